"""Loops merge exactly where all operands walk them with one step."""

from __future__ import annotations

import pytest

from facula.base.dtypes import float32
from facula.kernel.coalesce import Geometry, broadcast, coalesce, contiguous, merge
from facula.kernel.launch import Array


def dense(*shape: int) -> Array:
    return Array(float32, shape, contiguous(shape))


def test_dense_operands_become_one_loop() -> None:
    turned = Array(float32, (4, 3, 2), (1, 4, 12))
    assert coalesce([dense(2, 3, 4), dense(2, 3, 4)]) == Geometry((24,), ((1,), (1,)))
    assert coalesce([turned, turned]) == Geometry((24,), ((1,), (1,)))


def test_a_broadcast_dim_stays_apart() -> None:
    assert coalesce([dense(2, 3, 4), broadcast(dense(3, 1), (2, 3, 4))]) == Geometry((2, 3, 4), ((12, 4, 1), (0, 1, 0)))
    assert coalesce([dense(2, 3, 4), broadcast(dense(4), (2, 3, 4))]) == Geometry((6, 4), ((4, 1), (0, 1)))


def test_loops_of_one_step_go() -> None:
    assert merge(Geometry((1, 5, 1), ((7, 1, 9),))) == Geometry((5,), ((1,),))
    assert merge(Geometry((1, 1), ((7, 1),))) == Geometry((), ((),))


def test_broadcast_refuses_what_does_not_fit() -> None:
    with pytest.raises(ValueError, match="does not broadcast"):
        broadcast(dense(3), (2, 4))
