"""What programs ask at PyTorch's paths before they use something, types for annotations, and numbers that a tracer would leave open."""

from __future__ import annotations

import pytest

import facula
from facula.types import Device, Number


def test_nothing_is_scripted_traced_or_distributed() -> None:
    assert not any(
        ask()
        for ask in (
            facula.jit.is_scripting,
            facula.jit.is_tracing,
            facula.compiler.is_compiling,
            facula.compiler.is_exporting,
            facula.distributed.is_available,
            facula.distributed.is_initialized,
            facula.distributed.is_nccl_available,
        )
    )


def test_marks_give_the_function_back() -> None:
    @facula.jit.ignore
    def one() -> int:
        return 1

    @facula.jit.ignore(drop=False)
    @facula.jit.unused
    @facula.jit.export
    @facula.compiler.disable
    @facula.compiler.disable(recursive=False)
    @facula.compiler.allow_in_graph
    def two() -> int:
        return 2

    assert (one(), two()) == (1, 2)
    assert (
        facula.jit.annotate(list[int], [3]) == [3] and facula.jit.isinstance([3], list[int]) and not facula.jit.isinstance(3, (list, str))
    )


def test_a_disabled_function_inside_a_compiled_one() -> None:
    inner = facula.compiler.disable(lambda x: x + float(x.sum()))
    assert facula.compile(lambda x: inner(x * 2))(facula.ones(2)).tolist() == [6.0, 6.0]


def test_types_for_annotations() -> None:
    assert isinstance(2.5, Number) and isinstance(facula.device("cpu"), Device) and not isinstance(2.5, Device)
    assert facula.types._int is int and facula.types._dtype is facula.dtype
    with pytest.raises(AttributeError):
        _ = facula.types.nothing


def test_symbolic_functions_take_plain_numbers() -> None:
    assert (facula.sym_int(-3.7), facula.sym_float(3), facula.sym_not(True), facula.sym_sum([1, 2, 3]), facula.sym_sum(1, 2)) == (
        -3,
        3.0,
        False,
        6,
        3,
    )
    assert repr((facula.sym_max(3, 2.0), facula.sym_max(3, True), facula.sym_min(2, 3), facula.sym_ite(False, 1, 2))) == "(3.0, 3, 2, 2)"
    for wrong in (lambda: facula.sym_max("a", 2), lambda: facula.sym_ite(1, 1, 2), lambda: facula.sym_ite(True, 1, 2.0)):
        with pytest.raises(AssertionError, match=r"expected|type mismatch"):
            wrong()
    assert not isinstance(facula.ones(2).shape[0], facula.SymInt)


def test_dlpack_at_its_path() -> None:
    from facula.utils.dlpack import DLDeviceType, from_dlpack, to_dlpack

    x = facula.arange(3)
    assert from_dlpack(to_dlpack(x)).data_ptr() == x.data_ptr() and x.__dlpack_device__() == (DLDeviceType.kDLCPU, 0)


def test_a_function_class_has_what_its_context_has() -> None:
    names = ("saved_tensors", "save_for_backward", "needs_input_grad", "mark_dirty", "mark_non_differentiable", "set_materialize_grads")
    assert all(hasattr(facula.autograd.Function, name) for name in names)
