"""Tests that follow from a block: its samples in every dtype and layout, against independent definitions; its gradients; its refusals.

    test_declared = derived("facula.ops.activation")

A pointwise body is compared with the NumPy reading of the same expression in higher precision; other operators with themselves on
contiguous float64 copies (layouts, dtypes, out=, in place, compiled), their gradients with finite differences, and with hand-written and
recorded answers in the test files.
"""

from __future__ import annotations

import importlib
import zlib
from collections.abc import Callable, Iterator
from typing import Any

from ..autograd import backward
from ..autograd.gradcheck import gradcheck, gradgradcheck
from ..base import dtypes as d
from ..base.dtypes import DTYPES
from ..base.dtypes import dtype as DType
from ..core.tensor import Tensor
from ..func import grad, vmap
from ..graph.compile import compile as compiled
from ..kernel.scalar import interpret
from ..spec.registry import OPS, Op, ops
from ..spec.samples import Make, Refusal, Sample
from .comparison import assert_close

FLOATS = (d.float32, d.float64, d.bfloat16, d.float16)
LOOSE = {"float32": (2e-5, 2e-5), "float64": (1e-9, 1e-9), "bfloat16": (3e-2, 3e-2), "float16": (4e-3, 4e-3)}


def make(m: Make, kind: DType, seed: int) -> Tensor:
    """The tensor that a declaration asks for, drawn from its own seed."""
    import numpy as np

    rng = np.random.default_rng(seed)
    own = DTYPES[m.dtype] if m.dtype else kind
    if m.how == "values":
        return ops.tensor(m.values, dtype=DTYPES[m.dtype]) if m.dtype else ops.tensor(m.values)
    n = int(np.prod(m.shape, dtype=np.int64))
    draws: dict[str, Callable[[], Any]] = {
        "normal": lambda: rng.standard_normal(m.shape),
        "uniform": lambda: rng.uniform(m.low, m.high, m.shape),
        "integer": lambda: rng.integers(int(m.low), int(m.high), m.shape),
        "boolean": lambda: rng.random(m.shape) < 0.5,
        "ones": lambda: np.ones(m.shape),
        "eye": lambda: np.eye(m.shape[0], m.shape[-1]),
        "distinct": lambda: rng.permutation(n).reshape(m.shape) * 0.37 - n * 0.15,
    }
    return ops.from_numpy(np.ascontiguousarray(draws[m.how]()).reshape(m.shape)).to(own)


def realise(value: Any, kind: DType, seed: int) -> Any:
    """A sample's argument with its tensors made."""
    if isinstance(value, Make):
        return make(value, kind, seed)
    if isinstance(value, (list, tuple)) and any(isinstance(v, Make) for v in value):
        return type(value)(realise(v, kind, seed + 1 + i) for i, v in enumerate(value))
    return value


def call(
    op: Op, sample: Sample, kind: DType, seed: int, change: Callable[[Tensor], Tensor] = lambda t: t
) -> tuple[list[Any], dict[str, Any]]:
    def one(value: Any, i: int) -> Any:
        got = realise(value, kind, seed + 10 * i)
        if isinstance(got, Tensor):
            return change(got)
        return type(got)(change(g) for g in got) if isinstance(got, (list, tuple)) and got and isinstance(got[0], Tensor) else got

    args = [one(v, i) for i, v in enumerate(sample.args)]
    kwargs = {k: one(v, 100 + i) for i, (k, v) in enumerate(sample.kwargs.items())}
    return args, kwargs


def public(op: Op) -> Any:
    return getattr(ops, op.block.public or op.name)


def strided(t: Tensor) -> Tensor:
    """The same values with gaps and another order of dims."""
    if not t.ndim:
        return t
    wide = ops.zeros(tuple(reversed([2 * n for n in t.shape])), dtype=t.dtype).permute(tuple(range(t.ndim - 1, -1, -1)))
    view = wide[tuple(slice(None, None, 2) for _ in range(t.ndim))]
    view.copy_(t)
    return view


def outputs(got: Any) -> list[Tensor]:
    return [t for t in (got if isinstance(got, (tuple, list)) else [got]) if isinstance(t, Tensor)]


def floating(op: Op, sample: Sample) -> bool:
    """Whether the sample's tensors take the dtype under test."""
    return any(isinstance(v, Make) and not v.dtype and v.how != "values" for v in flattened(sample))


def flattened(sample: Sample) -> list[Any]:
    """The sample's arguments, those in lists too."""
    values = [*sample.args, *sample.kwargs.values()]
    return [w for v in values for w in (v if isinstance(v, (list, tuple)) else [v])]


# -- what is checked
def check_dtypes(op: Op, sample: Sample, seed: int) -> None:
    """Every floating dtype gives the float64 answer to its own precision."""
    args, kwargs = call(op, sample, d.float64, seed)
    want = outputs(public(op)(*args, **kwargs))
    for kind in FLOATS:
        if kind.name not in op.block.floats:
            continue
        args, kwargs = call(op, sample, kind, seed)
        try:
            got = outputs(public(op)(*args, **kwargs))
        except NotImplementedError:
            continue
        for g, w in zip(got, want):
            rtol, atol = (x * (op.block.half_error if kind.itemsize == 2 else 1) for x in LOOSE[kind.name])
            if g.dtype.is_floating_point:
                assert_close(g.to(d.float64), w.to(d.float64), rtol=rtol, atol=atol, equal_nan=True)


def check_layouts(op: Op, sample: Sample, seed: int) -> None:
    """Strided inputs give the same values as contiguous ones."""
    if op.block.by_strides:
        return
    args, kwargs = call(op, sample, d.float32, seed)
    want = outputs(public(op)(*args, **kwargs))
    args, kwargs = call(op, sample, d.float32, seed, strided)
    for g, w in zip(outputs(public(op)(*args, **kwargs)), want):
        assert_close(g, w, rtol=1e-5, atol=1e-6, equal_nan=True)


def check_definition(op: Op, sample: Sample, seed: int) -> None:
    """A pointwise body: what LLVM computes is what NumPy reads from the same expression."""
    from ..core.planner import expression_for, gather
    from ..spec.binder import BINDER

    args, kwargs = call(op, sample, d.float64, seed)
    bound = BINDER.bind(op.schema, args, kwargs, op.name)
    expression = expression_for(gather(op, bound))
    tensors = [t for t in bound if isinstance(t, Tensor)]
    static = getattr(op.block, "static", ())
    numbers = [
        v
        for p, v in zip(op.schema.params, bound)
        if (p.is_operand or p.type == "Tensor|Scalar") and isinstance(v, (int, float)) and p.name not in static
    ]
    if len(numbers) != len(expression.numbers):
        return
    want = interpret(expression.body, [t.numpy() for t in tensors], numbers)
    got = outputs(public(op)(*args, **kwargs))
    for g, w in zip(got, want):
        assert_close(g.to(d.float64), ops.as_tensor(w).to(d.float64).expand(g.shape), rtol=1e-11, atol=1e-12, equal_nan=True)


def check_gradient(op: Op, sample: Sample, seed: int) -> None:
    """First and second derivatives against finite differences."""
    args, kwargs = call(op, sample, d.float64, seed)
    slots = [("a", i) for i, v in enumerate(args) if isinstance(v, Tensor) and v.dtype is d.float64] + [
        ("k", k) for k, v in kwargs.items() if isinstance(v, Tensor) and v.dtype is d.float64
    ]
    inputs = [(args[k] if kind == "a" else kwargs[k]).requires_grad_() for kind, k in slots]  # type: ignore[index, call-overload]
    if not inputs or any(t._layout.numel == 0 or t._layout.numel > 64 for t in inputs):
        return

    def run(*given: Any) -> Any:
        a, k = list(args), dict(kwargs)
        for (kind, place), t in zip(slots, given):
            if kind == "a":
                a[place] = t  # type: ignore[index, call-overload]
            else:
                k[place] = t  # type: ignore[index]
        got = public(op)(*a, **k)
        return tuple(t for t in outputs(got) if t.dtype.is_floating_point)

    if not any(t.requires_grad for t in run(*inputs)):
        return
    gradcheck(run, inputs, atol=1e-4, rtol=1e-3)
    gradgradcheck(run, inputs, atol=1e-3, rtol=1e-3)


def check_writing(op: Op, sample: Sample, seed: int) -> None:
    """out= and the in-place variant give the same values, in the tensor that was passed."""
    args, kwargs = call(op, sample, d.float32, seed)
    want = outputs(public(op)(*args, **kwargs))
    if op.block.out and op.kind != "composite" and len(want) == 1 and "out" not in op.schema.index:
        out = ops.empty(0, dtype=want[0].dtype)
        got = public(op)(*args, **kwargs, out=out)
        assert got is out
        assert_close(out, want[0], equal_nan=True)
    if op.block.in_place and sample.args or op.block.in_place and op.schema.params[0].name in sample.kwargs:
        first = args[0] if args else kwargs.pop(op.schema.params[0].name)
        rest = args[1:] if args else []
        if isinstance(first, Tensor) and first.shape == want[0].shape and first.dtype is want[0].dtype:
            target = first.clone()
            got = getattr(ops, (op.block.public or op.name) + "_")(target, *rest, **kwargs)
            assert got is target
            assert_close(target, want[0], equal_nan=True)


def check_compiled(op: Op, sample: Sample, seed: int) -> None:
    """A recorded run gives the eager answer."""
    args, kwargs = call(op, sample, d.float32, seed)
    want = outputs(public(op)(*args, **kwargs))
    for g, w in zip(outputs(compiled(public(op))(*args, **kwargs)), want):
        assert_close(g, w, rtol=1e-5, atol=1e-6, equal_nan=True)


def check_vmap(op: Op, sample: Sample, seed: int) -> None:
    """Three examples at once give what each gives alone, values and gradients, whichever tensors differ between them."""
    if op.block.needs_values or op.block.may_look:
        return
    args, kwargs = call(op, sample, d.float64, seed)
    tensors = [i for i, v in enumerate(args) if isinstance(v, Tensor)]
    for chosen in [[i] for i in tensors] + [tensors] * (len(tensors) > 1):
        variants = [call(op, sample, d.float64, seed + 1000 * k)[0] for k in range(3)]
        each = [[v[i] if i in chosen else args[i] for i in range(len(args))] for v in variants]
        dims = tuple(0 if i in chosen else None for i in range(len(args)))
        many = [ops.stack([row[i] for row in each]) if i in chosen else v for i, v in enumerate(args)]
        for run in (lambda *a: tuple(outputs(public(op)(*a, **kwargs))), lambda *a: _slopes(op, a, kwargs)):
            want = [run(*row) for row in each]
            if not want[0]:
                continue
            for k, got in enumerate(vmap(run, dims)(*many)):
                for row, w in zip(got, want):
                    assert row.dtype is w[k].dtype
                    assert_close(row, w[k], rtol=1e-9, atol=1e-9, equal_nan=True)


def _slopes(op: Op, args: Any, kwargs: dict[str, Any]) -> tuple[Tensor, ...]:
    """Gradients of a weighted sum of the results, by every floating argument; empty where there is no derivative."""
    places = tuple(i for i, v in enumerate(args) if isinstance(v, Tensor) and v.dtype is d.float64)

    def weighted(*a: Any) -> Tensor:
        total = ops.zeros((), dtype=d.float64)
        for t in outputs(public(op)(*a, **kwargs)):
            if t.dtype is d.float64:
                total = total + (t * ops.arange(1, t.numel() + 1, dtype=d.float64).view(t.shape).cos()).sum()
        return total

    return tuple(grad(weighted, places)(*args)) if places and op.block.kind != "procedure" else ()


def check_meta(op: Op, sample: Sample, seed: int) -> None:
    """On the meta device: the types, shapes and strides of a run with values, or the refusal that the block declares."""
    for change in (lambda t: t, strided) if floating(op, sample) and not op.block.by_strides else (lambda t: t,):
        args, kwargs = call(op, sample, d.float32, seed, change)
        want = outputs(public(op)(*args, **kwargs))
        args, kwargs = call(op, sample, d.float32, seed, lambda t, change=change: without_values(change(t)))
        if op.block.needs_values:
            try:
                public(op)(*args, **kwargs)
            except NotImplementedError:
                return
            raise AssertionError(f"{op.full_name} declares that it needs values, and runs without")
        try:
            got = outputs(public(op)(*args, **kwargs))
        except RuntimeError:
            if op.block.may_look:
                return
            raise
        assert [described(g) for g in got] == [described(w) for w in want]
        assert all(g.device.type == "meta" for g in got)


def check_meta_gradient(op: Op, sample: Sample, seed: int) -> None:
    """Gradients on the meta device: for the same arguments as with values, of the same types, shapes and strides."""
    if op.block.needs_values or op.block.may_look:
        return
    try:
        want = _slopes_of(op, sample, seed, lambda t: t)
    except (NotImplementedError, RuntimeError):  # a derivative that is not there, or a write to a leaf
        return
    got = _slopes_of(op, sample, seed, without_values)
    assert [g is not None and described(g) for g in got] == [w is not None and described(w) for w in want]
    assert all(g is None or g.is_meta for g in got)


def _slopes_of(op: Op, sample: Sample, seed: int, change: Callable[[Tensor], Tensor]) -> list[Tensor | None]:
    """The gradient of the sum of all results by each floating argument."""
    leaves: list[Tensor] = []

    def leaf(t: Tensor) -> Tensor:
        t = change(t)
        if t.dtype.is_floating_point:
            leaves.append(t.requires_grad_())
        return t

    args, kwargs = call(op, sample, d.float32, seed, leaf)
    made = [t.sum() for t in outputs(public(op)(*args, **kwargs)) if t.requires_grad and t.dtype.is_floating_point]
    if made:
        backward(made)
    return [t.grad for t in leaves]


def without_values(t: Tensor) -> Tensor:
    """A meta tensor with the same shape, strides and type."""
    return ops.empty_strided(tuple(t.shape), t.stride(), dtype=t.dtype, device="meta")


def described(t: Tensor) -> tuple[Any, ...]:
    return t.dtype, tuple(t.shape), t.stride()


def check_refusal(op: Op, refusal: Refusal, seed: int) -> None:
    """The declared error, with the declared sentence."""
    import re

    args, kwargs = call(op, Sample(refusal.args, refusal.kwargs), d.float32, seed)
    try:
        public(op)(*args, **kwargs)
    except refusal.raises as error:
        assert re.search(refusal.match, str(error)), f"{error} does not match {refusal.match!r}"
        return
    raise AssertionError(f"{op.full_name} accepted {refusal.args} {refusal.kwargs}")


CHECKS = (
    check_dtypes,
    check_layouts,
    check_definition,
    check_gradient,
    check_writing,
    check_compiled,
    check_vmap,
    check_meta,
    check_meta_gradient,
)
SHAPES = (check_meta, check_meta_gradient)  # of every sample with tensors
RANDOM = (
    "rand",
    "dropout",
    "bernoulli",
    "empty",
    "multinomial",
    "binomial",
    "normal",
    "poisson",
    "random",
    "exponential",
    "geometric",
    "cauchy",
    "fractional",
)


def cases(module: str) -> Iterator[tuple[str, Callable[[], None]]]:
    """(name, check) for every block of a module."""
    for op in [op for op in OPS.values() if op.block.__module__ == module and op.block.paths]:
        for i, sample in enumerate(op.block.all_samples()):
            seed = zlib.crc32(f"{op.full_name}{i}".encode()) % 1000003
            for check in CHECKS:
                if check not in SHAPES and (any(word in op.name for word in RANDOM) or not floating(op, sample)):
                    continue
                if check in SHAPES and not any(isinstance(v, Make) for v in flattened(sample)):
                    continue
                if check is check_definition and op.kind != "pointwise":
                    continue
                yield f"{op.full_name}-{i}-{check.__name__[6:]}", lambda c=check, o=op, s=sample, n=seed: c(o, s, n)
        for i, refusal in enumerate(op.block.all_refusals()):
            yield f"{op.full_name}-refusal{i}", lambda o=op, r=refusal, n=i: check_refusal(o, r, n)


def derived(module: str) -> Any:
    """A parametrised test of every block that `module` declares."""
    import pytest

    importlib.import_module("facula.ops")
    importlib.import_module(module)
    rows = list(cases(module))

    @pytest.mark.parametrize("check", [run for _, run in rows], ids=[name for name, _ in rows])
    def test_declared(check: Callable[[], None]) -> None:
        check()

    return test_declared
