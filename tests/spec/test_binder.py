"""From arguments as they were written to values in schema order."""

from __future__ import annotations

import pytest

import facula
from facula.spec.binder import BINDER
from facula.spec.schema import parse

SUM = parse("sum(Tensor input, int[1]? dim=None, bool keepdim=False, *, ScalarType? dtype=None) -> Tensor")
VIEW = parse("view(Tensor input, int[] size) -> Tensor")
T = facula.ones(2)


def test_places_names_and_defaults() -> None:
    assert BINDER.bind(SUM, (T, 1), {"keepdim": True}, "sum") == [T, (1,), True, None]
    assert BINDER.bind(SUM, (), {"input": T, "axis": (0, 1)}, "sum")[1] == (0, 1)
    assert BINDER.bind(SUM, (T,), {"dtype": float}, "sum")[3] is facula.float64


def test_sizes_without_brackets() -> None:
    assert BINDER.bind(VIEW, (T, 2, 1), {}, "view")[1] == BINDER.bind(VIEW, (T, [2, 1]), {}, "view")[1] == (2, 1)


@pytest.mark.parametrize(
    ("args", "kwargs", "sentence"),
    [
        ((), {}, r'sum\(\) missing 1 required positional arguments: "input"'),
        ((T, 0, False, 1), {}, r"sum\(\) takes 3 positional arguments but 4 were given"),
        ((T,), {"dims_": 1}, r"sum\(\) got an unexpected keyword argument 'dims_'"),
        ((T, 0), {"dim": 1}, r"sum\(\) got multiple values for argument 'dim'"),
        (([1.0],), {}, r"sum\(\): argument 'input' \(position 1\) must be Tensor, not list"),
        ((T, 0.5), {}, r"sum\(\): argument 'dim' \(position 2\) must be"),
    ],
)
def test_refusals(args: tuple[object, ...], kwargs: dict[str, object], sentence: str) -> None:
    with pytest.raises(TypeError, match=sentence):
        BINDER.bind(SUM, args, kwargs, "sum")
