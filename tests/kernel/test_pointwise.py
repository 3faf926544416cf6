"""Elementwise nests against their NumPy interpreter: bit for bit, for both vector targets, any strides, any number of threads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from facula.base.dtypes import (
    DTYPES,
    bfloat16,
    bool_,
    complex64,
    complex128,
    dtype,
    float16,
    float32,
    float64,
    int8,
    int16,
    int32,
    int64,
    uint8,
)
from facula.base.target import Target
from facula.kernel.compiler import run
from facula.kernel.launch import Array, Counter, Schedule
from facula.kernel.pointwise import copy, fill, flip, interpret_pointwise, pointwise
from facula.kernel.pointwise.cost import keeps_bfloat16
from facula.kernel.scalar import Scalar, abs, cast, exp, floor, index, input, maximum, minimum, number, relu, where
from facula.runtime import pool
from facula.testing.operands import operand

SIZES = (1, 2, 7, 8, 15, 16, 17, 33, 64, 100, 1000, 20011)
REAL = (uint8, int8, int16, int32, int64, float16, bfloat16, float32, float64)


def values(shape: int | Sequence[int], d: dtype, seed: int = 0) -> np.ndarray[Any, Any]:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(shape) * 20
    if d.is_complex:
        x = x + 1j * rng.standard_normal(shape)
    return np.asarray(x > 0 if d is bool_ else np.abs(x) if d is uint8 else x).astype(d.numpy)


def agree(
    outs: Sequence[np.ndarray[Any, Any]], ins: Sequence[np.ndarray[Any, Any]], body: Sequence[Scalar], numbers: Sequence[complex] = ()
) -> Schedule:
    """Run and compare every bit; what lies between strided results must not change either."""
    wanted = [o.copy() for o in outs]
    interpret_pointwise(wanted, ins, body, numbers)
    schedule = pointwise([operand(o) for o in outs], [operand(i) for i in ins], body)
    run(schedule, outs, ins, numbers)
    for out, want in zip(outs, wanted):
        assert out.tobytes() == want.tobytes(), schedule.notes
    return schedule


def guarded(shape: Sequence[int], d: dtype) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """An array inside a larger one, whose margins show writes outside."""
    n = int(np.prod(shape))
    whole = np.full(n + 128, 77, d.numpy)
    return whole, whole[64 : 64 + n].reshape(shape)


@pytest.mark.parametrize("d", REAL, ids=lambda d: d.name)
def test_every_length_and_type(target: Target, d: dtype) -> None:
    body = [input(0, d) * input(1, d) + number(0, d)]
    for n in SIZES:
        whole, out = guarded((n,), d)
        agree([out], [values(n, d, 1), values(n, d, 2)], body, (3,))
        assert (whole[:64] == whole[0]).all() and (whole[64 + n :] == whole[0]).all()


@pytest.mark.parametrize("d", (complex64, complex128), ids=lambda d: d.name)
def test_complex(target: Target, d: dtype) -> None:
    for n in SIZES:
        agree([np.empty(n, d.numpy)], [values(n, d, 1), values(2 * n, d, 2)[::2]], [input(0, d) + input(1, d)])
    agree([np.empty(9, d.numpy)], [values(9, d)], [input(0, d) - number(0, d)], (1 + 2j,))


def test_bfloat16_that_is_only_chosen_is_not_rounded(target: Target) -> None:
    """Every number of the type, through bodies that can only choose one or change its sign, beside one that rounds."""
    x = np.arange(65536, dtype=np.uint16).view(bfloat16.numpy)
    y = np.roll(x, 12345)
    a, b = input(0, bfloat16), input(1, bfloat16)
    numbers = ~np.isnan(x.astype(np.float32)) & ~np.isnan(y.astype(np.float32))
    for body in (-a, abs(a), relu(a), where(a < b, b, -a), maximum(a, b), minimum(abs(a), 2.0), floor(a), minimum(a, 0.1), a + b):
        out, want = np.empty_like(x), np.empty_like(x)
        run(pointwise([operand(out)], [operand(x), operand(y)], [body]), [out], [x, y])
        with np.errstate(all="ignore"):
            interpret_pointwise([want], [x, y], [body])
        assert out[numbers].tobytes() == want[numbers].tobytes()
        assert np.array_equal(np.isnan(out.astype(np.float32)), np.isnan(want.astype(np.float32)))
    assert keeps_bfloat16(relu(-a), ["bfloat16"]) and not keeps_bfloat16(minimum(a, 0.1), ["bfloat16"])
    assert not keeps_bfloat16(-a, ["float32"]) and not keeps_bfloat16(a + b, ["bfloat16", "bfloat16"])


def test_a_sign_of_bfloat16_is_changed_as_a_bit(target: Target) -> None:
    """Nothing is widened, and NaN keeps its other bits; from and to any strides."""
    bits = np.arange(65536, dtype=np.uint16)
    a = input(0, bfloat16)
    for body, want in ((-a, bits ^ 0x8000), (abs(a), bits & 0x7FFF), (-abs(a), bits | 0x8000), (abs(-a), bits & 0x7FFF)):
        for step in (1, 2, -1):
            x, out = bits[::step].view(bfloat16.numpy), np.zeros((65536, 2), np.uint16)[:: 2 if step == 2 else 1, 0].view(bfloat16.numpy)
            schedule = pointwise([operand(out)], [operand(x)], [body])
            assert "int16" in schedule.notes[0]
            run(schedule, [out], [x])
            np.testing.assert_array_equal(out.view(np.uint16), want[::step])


def test_types_convert_on_the_way_in_and_out(target: Target) -> None:
    for n in (5, 40):
        x, b, k = values(n, float32), values(n, bool_, 1), values(n, int16, 2)
        agree([np.empty(n)], [x, b], [cast(input(0), float64) * cast(input(1, bool_), float64)])
        agree([np.empty(n, bool)], [x, k], [input(0) < cast(input(1, int16), float32)])
        agree([np.empty(n, np.float16), np.empty(n, np.int64)], [x, k], [input(0) * 2.0, cast(input(1, int16), int64)])
        agree([np.empty(n, bfloat16.numpy)], [x], [input(0)])


SHAPES = [(3, 4, 5), (1, 1, 1), (5, 17, 33), (2, 100, 70), (130, 3, 7), (1, 40000, 2), (2, 3, 40000)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_broadcasting(target: Target, shape: tuple[int, int, int]) -> None:
    a, b, c = shape
    x = values(shape, float32)
    for i, small in enumerate(((c,), (b, 1), (a, 1, 1), (a, 1, c), (1, b, c), (1,))):
        y = np.broadcast_to(values(small, float32, i), shape)
        agree([np.empty(shape, np.float32)], [x, y], [input(0) * input(1)])


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("order", [(2, 1, 0), (0, 2, 1), (1, 2, 0)], ids=str)
def test_transposed_inputs(target: Target, shape: tuple[int, int, int], order: tuple[int, int, int]) -> None:
    x = values(shape, float32)
    back = tuple(np.argsort(order))
    turned = np.ascontiguousarray(x.transpose(order)).transpose(back)
    agree([np.empty(shape, np.float32)], [x, turned], [input(0) - input(1)])
    for d in (int8, float16, float64, complex64, complex128):
        source = turned.astype(d.numpy, order="K")
        schedule = agree([np.empty(shape, d.numpy)], [source], [input(0, d)])
    if min(shape) >= 8:
        assert "turned" not in schedule.notes[0]  # elements of 16 bytes go one by one
    agree([turned.copy(order="K")], [turned], [input(0)])  # the output's own order is followed


@pytest.mark.parametrize("d", (bool_, float16, bfloat16, int32, float64, complex64), ids=lambda d: d.name)
@pytest.mark.parametrize("shape", [(40, 2), (57, 3), (5, 16, 2), (3, 2, 50, 7), (20, 3, 2), (300, 1, 5), (2, 700, 2), (17, 40, 3)], ids=str)
def test_short_rows_of_strided_inputs(target: Target, d: dtype, shape: tuple[int, ...]) -> None:
    for order in ((*range(1, len(shape)), 0), tuple(reversed(range(len(shape))))):
        back = np.argsort(order)
        turned = values([shape[i] for i in order], d).transpose(back)
        whole, out = guarded(shape, d)
        agree([out], [turned], [cast(input(0, d), d)])
        assert (whole[:64] == whole[0]).all() and (whole[64 + out.size :] == whole[0]).all()


def test_short_rows_are_walked_across() -> None:
    pixels = np.zeros((2, 3, 40, 50), np.uint8).transpose(0, 2, 3, 1)
    assert "tiles" in copy(operand(np.zeros(pixels.shape, np.uint8)), operand(pixels)).notes[0]


def test_strided_operands(target: Target) -> None:
    for n in SIZES[:-1]:
        x = values(3 * n, float32)
        base = np.full(2 * n, 9, np.float32)
        agree([base[::2]], [x[1::3], x[:n]], [input(0) * input(1)])
        assert (base[1::2] == 9).all()


def test_linear_index(target: Target) -> None:
    for shape in ((17,), (5, 9, 40), (70, 90)):
        agree([np.empty(shape, np.int64)], [], [index() * 3])
        turned = np.empty(shape[::-1], np.float32).T
        agree([turned], [values(shape, float32)], [input(0) + cast(index(), float32)])


def test_in_place(target: Target) -> None:
    for n in (1, 17, 1000, 70000):
        x, y = values(n, float32, 1), values(n, float32, 2)
        want = x + y
        run(pointwise([operand(x)], [operand(x), operand(y)], [input(0) + input(1)], in_place=True), [x], [x, y])
        assert np.array_equal(x, want)


def test_streaming_stores_peel_to_an_aligned_address(target: Target) -> None:
    n = 3_500_003
    for offset in (0, 1, 3):
        out = np.zeros(n + 8, np.float32)
        x = values(n, float32)
        schedule = agree([out[offset : offset + n]], [x, x], [input(0) + input(1)])
        assert "stream" in schedule.notes[0]
        assert not out[:offset].any() and not out[offset + n :].any()


def test_empty_and_zero_dim(target: Target) -> None:
    assert pointwise([Array(float32, (0, 3), (3, 1))], [Array(float32, (0, 3), (3, 1))], [input(0)]).launches == ()
    agree([np.empty((), np.float32)], [values((), float32)], [input(0) * 2.0])


def test_same_bits_for_any_number_of_threads(target: Target) -> None:
    x = values((300, 1001), float32) / 20
    got = []
    before = pool.get_num_threads()
    try:
        for threads in (1, 2, 8):
            pool.set_num_threads(threads)
            out = np.empty_like(x)
            schedule = pointwise([operand(out)], [operand(x), operand(np.broadcast_to(x[0], x.shape))], [exp(input(0)) * input(1)])
            run(schedule, [out], [x, x[0]])
            got.append(out.tobytes())
    finally:
        pool.set_num_threads(before)
    assert len(set(got)) == 1


def test_main_loop_and_tail_give_the_same_bits(target: Target) -> None:
    x = np.repeat(np.array([0.3, -1.7, 11.5], np.float32), 37)
    out = np.empty_like(x)
    run(pointwise([operand(out)], [operand(x)], [exp(input(0))]), [out], [x])
    assert len(set(out.tolist())) == 3


@pytest.mark.parametrize(
    "d", [d for d in DTYPES.values() if d.name not in ("uint16", "uint32", "uint64", "complex32")], ids=lambda d: d.name
)
def test_copy_and_fill(target: Target, d: dtype) -> None:
    x = values((13, 21), d)
    out = np.empty((21, 13), d.numpy).T
    run(copy(operand(out), operand(x)), [out], [x])
    assert np.array_equal(out, x)
    run(fill(operand(out), 1), [out], [])
    assert (out == np.ones((), d.numpy)).all()
    run(fill(operand(out)), [out], [], (0,))
    assert not out.any()


@pytest.mark.parametrize("shape", [(), (1,), (7,), (1000,), (3, 40, 50), (0, 3), (2, 9, 67)], ids=str)
def test_flip(target: Target, shape: tuple[int, ...]) -> None:
    for d in (bool_, int8, bfloat16, float32, complex128):
        x = values(shape, d)
        for dims in ((), *((k,) for k in range(len(shape))), tuple(range(len(shape)))):
            out = np.empty(shape, d.numpy)
            schedule = flip(operand(out), operand(x), dims)
            run(schedule, [out], [x])
            assert np.array_equal(out, np.flip(x, dims))
        assert 0 in shape or x.size == 1 or "reversed" in schedule.notes[0]  # vectors, not one element after the other


def test_counter(target: Target) -> None:
    """Places along dims as an operand: their sum with any factors, from any start."""
    for shape, steps in (((17,), (3,)), ((5, 40), (-1, 1)), ((2, 30, 9), (0, -7, 2)), ((70, 90), (1, 0))):
        for d in (int32, int64):
            out, x = np.empty(shape, np.float64), values(shape, float32)
            place = Counter(d, shape, steps, -4)
            run(pointwise([operand(out)], [operand(x), place], [cast(input(1, d), float64) + cast(input(0), float64)]), [out], [x])
            assert np.array_equal(out, x + (sum(i * s for i, s in zip(np.indices(shape), steps)) - 4.0))


def test_operands_of_different_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="one shape"):
        pointwise([Array(float32, (3,), (1,))], [Array(float32, (1,), (1,))], [input(0)])
