"""Values as Python sees them: the same from the first call on, in every element type and layout."""

from __future__ import annotations

import math
from typing import Any

import pytest

import facula as t

INTEGRAL = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
FLOATING = ("float16", "bfloat16", "float32", "float64")


@pytest.mark.parametrize("name", [*INTEGRAL, *FLOATING, "bool", "complex64"])
def test_numbers_and_lists(name: str) -> None:
    kind: Any = {"bool": bool, "complex64": complex}.get(name, float if name in FLOATING else int)
    x = t.tensor([[1, 0, 3], [4, 5, 6]]).to(getattr(t, name))
    want = [[kind(v) for v in row] for row in ((1, 0, 3), (4, 5, 6))]
    for _ in range(3):
        got = x.tolist(), x.t().tolist(), x[0, 1].item(), x[1].tolist(), x[0, 0].tolist()
        assert repr(got) == repr((want, [[*column] for column in zip(*want)], kind(0), want[1], kind(1)))
        assert bool(x[0, 1]) is False and bool(x[1, 2]) is True and complex(x[0, 0]) == 1
        if name != "complex64":
            assert repr((float(x[0, 2]), int(x[0, 0]))) == repr((float(want[0][2]), 1))
        if name in INTEGRAL:
            assert range(9)[x[1, 0]] == 4


def test_ends_of_the_types() -> None:
    for _ in range(3):
        assert t.tensor(-5, dtype=t.int8).item() == -5 and t.tensor(200, dtype=t.uint8).item() == 200
        assert t.tensor(2**63 - 1).item() == 2**63 - 1 and t.tensor(-(2**63)).tolist() == -(2**63)
        assert t.tensor(2**63, dtype=t.uint64).item() == 2**63 and float(t.tensor(2**63, dtype=t.uint64)) == 2.0**63
        assert math.isnan(float(t.tensor(math.nan))) and bool(t.tensor(math.nan)) is True and bool(t.tensor(-0.0)) is False
        assert t.zeros(2, 0).tolist() == [[], []] and t.zeros(0).tolist() == []


def test_what_has_no_value_is_refused_every_time() -> None:
    for _ in range(3):
        with pytest.raises(ValueError, match="cannot convert float NaN to integer"):
            int(t.tensor(math.nan))
        with pytest.raises(TypeError, match="can be converted to an index"):
            range(3)[t.tensor(1.0)]
        for x, sentence in ((t.ones(2), "more than one value"), (t.ones(0), "no values")):
            with pytest.raises(RuntimeError, match=f"Boolean value of Tensor with {sentence} is ambiguous"):
                bool(x)
            with pytest.raises(RuntimeError, match=f"a Tensor with {x.numel()} elements cannot be converted to Scalar"):
                x.item()
            for kind in (int, float):
                with pytest.raises(ValueError, match="only one element tensors can be converted to Python scalars"):
                    kind(x)


def test_subclasses_decide_for_themselves() -> None:
    class Seven(t.Tensor):
        def __float__(self) -> float:
            return 7.0

    for _ in range(3):
        assert float(t.ones(1).as_subclass(Seven)) == 7.0 and t.ones(1).as_subclass(Seven).item() == 1.0


def test_values_under_a_recording() -> None:
    def f(x: Any) -> Any:
        y = x * 2
        return y + (1 if y.sum() > 0 else -1) * int(y[0].item())

    run = t.compile(f)
    for _ in range(4):
        assert run(t.tensor([3.0, 1.0])).tolist() == [12.0, 8.0] and run(t.tensor([-3.0, 1.0])).tolist() == [0.0, 8.0]


def test_extents_are_numbers_and_sizes() -> None:
    shape = t.zeros(2, 3, 4).shape
    assert shape[0] == 2 and type(shape[0]) is int and shape[-1] == 4
    assert type(shape[1:]) is t.Size and shape[1:] == (3, 4) and shape[True] == 3
