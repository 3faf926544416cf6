"""Arguments have PyTorch's names, also where its schemas and its manual disagree."""

from __future__ import annotations

import pytest

import facula
from facula.nn.parameter import is_lazy

x = facula.tensor([[0.5, 1.0], [2.0, 3.0]])


@pytest.mark.parametrize(
    "call",
    [
        *(
            lambda name=name: getattr(facula.special, name)(x=x)
            for name in ("airy_ai", "spherical_bessel_j0", "scaled_modified_bessel_k0", "scaled_modified_bessel_k1")
        ),
        lambda: facula.special.chebyshev_polynomial_t(x=x, n=3),
        lambda: facula.linalg.norm(input=x),
        lambda: facula.linalg.matrix_norm(input=x),
        lambda: facula.linalg.vector_norm(input=x),
        lambda: facula.result_type(tensor=x, other=1),
        lambda: facula.embedding_renorm_(input=x.clone(), indices=facula.tensor([0]), max_norm=1.0, norm_type=2.0),
        lambda: x.where(condition=x > 1, other=0),
        lambda: x.is_set_to(tensor=x),
        lambda: facula.get_device_module(device="cpu"),
        lambda: facula.set_default_device(device=None),
        lambda: facula.compile(lambda: x + 1, name="step", recompile_limit=8, isolate_recompiles=True, shapes_spec=None)(),
        lambda: not is_lazy(param=x),
    ],
)
def test_keywords_are_pytorchs(call) -> None:
    assert call() is not False


def test_modules_may_be_named_each_time_they_are_used() -> None:
    layer = facula.nn.Linear(2, 2)
    twice = facula.nn.Sequential(layer, layer)
    assert [len(list(twice.modules(remove_duplicate=flag))) for flag in (True, False)] == [2, 3]


def test_a_value_that_is_assigned_is_taken_itself() -> None:
    parameter, value = facula.nn.Parameter(facula.zeros(2)), facula.ones(2)
    assert parameter.module_load(value, assign=True).data_ptr() == value.data_ptr()
    assert parameter.module_load(value).data_ptr() == parameter.data_ptr() and parameter.tolist() == [1.0, 1.0]


def test_the_generator_is_put_back_for_a_device_type() -> None:
    facula.manual_seed(3)
    with facula.random.fork_rng(devices=[], device_type="cpu"):
        facula.rand(4)
    again = facula.rand(2)
    facula.manual_seed(3)
    assert facula.equal(again, facula.rand(2))
