"""PyTorch's promotion rules, as its documentation on tensor attributes states them."""

from __future__ import annotations

import itertools

import pytest

from facula.base import dtypes as d
from facula.spec.promotion import join, of_number, result_type

PLAIN = [d.bool_, d.uint8, d.int8, d.int16, d.int32, d.int64, d.float16, d.bfloat16, d.float32, d.float64, d.complex64, d.complex128]


@pytest.mark.parametrize(
    ("a", "b", "want"),
    [(d.uint8, d.int8, d.int16), (d.float16, d.bfloat16, d.float32), (d.int64, d.float16, d.float16), (d.bool_, d.uint8, d.uint8),
     (d.float64, d.complex64, d.complex128), (d.int32, d.int64, d.int64)],
)  # fmt: skip
def test_pairs(a: d.dtype, b: d.dtype, want: d.dtype) -> None:
    assert join(a, b) is join(b, a) is want


def test_order_does_not_matter() -> None:
    for a, b in itertools.product(PLAIN, PLAIN):
        assert join(a, b) is join(b, a) and join(a, a) is a


def test_ranks() -> None:
    """A 0-dim tensor or a number decides only by its category."""
    assert result_type([d.float32], [d.float64]) is d.float32
    assert result_type([d.int32], [d.float64]) is d.float64
    assert result_type([d.float16], numbers=[of_number(2.5)]) is d.float16
    assert result_type([d.int8], numbers=[of_number(2.5)]) is d.float32
    assert result_type([d.float64], numbers=[of_number(1j)]) is d.complex128


def test_large_unsigned_types_are_refused() -> None:
    with pytest.raises(
        RuntimeError, match="Promotion for uint16, uint32, uint64 types is not supported, attempted to promote UInt16 and Int"
    ):
        join(d.uint16, d.int32)
