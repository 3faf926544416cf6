"""Reductions against their NumPy interpreter and higher precision, for both vector targets, shapes of every form, and any threads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from facula.base.dtypes import bool_, complex64, float16, float32, float64, int8, int64, uint8
from facula.base.target import Target
from facula.kernel.compiler import run
from facula.kernel.launch import Array, Schedule
from facula.kernel.reduction import (
    Reducer,
    all_of,
    any_of,
    argmax_of,
    argmin_of,
    count_nonzero_of,
    inner_of,
    interpret_pairs,
    interpret_reduce,
    logsumexp_of,
    max_of,
    mean_of,
    min_max_of,
    min_of,
    moments_of,
    norm_of,
    product_of,
    reduce,
    reduce_pairs,
    reducer,
    sum_of,
)
from facula.runtime import pool
from facula.testing.operands import operand

CASES = [
    ((5,), (0,)), ((0,), (0,)), ((3, 0), (1,)), ((3, 0, 4), (1,)), ((1,), (0,)), ((), ()), ((4, 5), ()), ((100,), (0,)), ((5000,), (0,)),
    ((300001,), (0,)), ((7, 33), (1,)), ((7, 33), (0,)), ((1000, 3), (0,)), ((1000, 3), (1,)), ((3, 5000), (1,)), ((2000, 600), (0,)),
    ((100000, 7), (0,)), ((4, 6, 49), (0, 2)), ((4, 6, 49), (1,)), ((4, 6, 300), (0, 1)), ((8, 3, 5, 17), (0, 2, 3)),
    ((40, 2, 3000), (1,)), ((600, 1100), (0, 1)), ((70, 50, 20), (0, 2)), ((37, 33), (1,)), ((21, 130), (1,)), ((18, 4096), (1,)),
    ((5, 7, 70), (2,)), ((5, 7, 130), (0,)),
]  # fmt: skip


def layouts(shape: tuple[int, ...]) -> list[np.ndarray[Any, Any]]:
    """The same shape row-major, turned around, and with gaps."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal(shape).astype(np.float32)
    out = [x]
    if x.ndim > 1:
        out.append(np.ascontiguousarray(x.T).T)
    if x.ndim and x.size:
        out.append(rng.standard_normal((*shape[:-1], shape[-1] * 2)).astype(np.float32)[..., ::2])
    return out


def computed(
    x: np.ndarray[Any, Any], dims: Sequence[int], r: Reducer, kinds: str, numbers: Sequence[complex] = ()
) -> list[np.ndarray[Any, Any]]:
    rest = tuple(n for d, n in enumerate(x.shape) if d not in dims)
    outs = [np.full(rest, 77, kind) for kind in kinds]
    run(reduce([operand(o) for o in outs], [operand(x)], dims, r), outs, [x], numbers)
    return outs


def agree(
    x: np.ndarray[Any, Any], dims: Sequence[int], r: Reducer, kinds: str, numbers: Sequence[complex] = (), tolerance: float = 0.0
) -> None:
    """Equal to the interpreter, bit for bit if there is no tolerance."""
    outs = computed(x, dims, r, kinds, numbers)
    wanted = [o.copy() for o in outs]
    interpret_reduce(wanted, [x], dims, r, numbers)
    for out, want in zip(outs, wanted):
        if tolerance:
            np.testing.assert_allclose(out, want, rtol=tolerance, atol=tolerance)
        else:
            np.testing.assert_array_equal(out, want)


@pytest.mark.parametrize(("shape", "dims"), CASES, ids=str)
def test_every_form(target: Target, shape: tuple[int, ...], dims: tuple[int, ...]) -> None:
    for x in layouts(shape):
        agree(x, dims, sum_of(float32), "f", tolerance=3e-4)
        agree(np.asarray(x > 1), dims, sum_of(bool_), "q")
        whole = np.asarray(np.round(x))
        agree(whole, dims, argmin_of(float32), "q")
        agree(whole.astype(np.int8), dims, sum_of(int8), "q")
        if x.size:
            agree(x, dims, max_of(float32), "f")
            spoilt = x.copy(order="K")
            spoilt.reshape(-1)[x.size // 2] = np.nan
            agree(spoilt, dims, max_of(float32), "f")
            agree(spoilt, dims, argmax_of(float32, values=True), "fq")


@pytest.mark.parametrize(
    ("shape", "dims"), [((7, 33), (1,)), ((40, 33), (1,)), ((40, 600), (0,)), ((4, 6, 49), (0, 2)), ((150001,), (0,))], ids=str
)
def test_every_reducer(target: Target, shape: tuple[int, ...], dims: tuple[int, ...]) -> None:
    x = layouts(shape)[0]
    agree(x, dims, min_of(float32), "f")
    agree(x, dims, min_max_of(float32), "ff")
    agree(x.astype(np.float64), dims, mean_of(float64), "d", tolerance=1e-12)
    agree(x.astype(np.float16), dims, sum_of(float16), "e", tolerance=4e-3)
    agree((x + 1j * x).astype(np.complex64), dims, sum_of(complex64), "F", tolerance=3e-4)
    agree(np.float32(1) + x / 1000, dims, product_of(float32), "f", tolerance=1e-3)
    agree(x > 2.5, dims, any_of(bool_), "?")
    agree(x, dims, all_of(float32), "?")
    agree(np.round(x), dims, count_nonzero_of(float32), "q")
    agree(np.abs(x * 50).astype(np.uint8), dims, max_of(uint8), "B")
    agree((x * 50).astype(np.int64), dims, argmax_of(int64), "q")
    agree(x, dims, logsumexp_of(float32), "f", tolerance=1e-5)
    for order in (0, 1, 2, float("inf"), float("-inf")):
        agree(x, dims, norm_of(float32, order), "f", tolerance=1e-4)
    agree(x, dims, norm_of(float32), "f", (3.0,), tolerance=1e-4)


def test_variance_survives_a_large_mean(target: Target) -> None:
    x = (np.random.default_rng(0).standard_normal((3, 5000)) + 1000).astype(np.float32)
    for view, dims in ((x, (1,)), (np.ascontiguousarray(x.T), (0,))):
        deviation, mean = computed(view, dims, moments_of(float32, root=True, with_mean=True), "ff", (1.0,))
        np.testing.assert_allclose(deviation, x.astype(np.float64).std(1, ddof=1), rtol=1e-5)
        np.testing.assert_allclose(mean, x.astype(np.float64).mean(1), rtol=3e-7)  # a few roundings


def test_error_of_a_long_sum_grows_slowly(target: Target) -> None:
    """Naively 4 million equal float32 lose more than 1 %."""
    x = np.full(4_000_000, 0.1, np.float32)
    total = computed(x, (0,), sum_of(float32), "f")[0]
    assert abs(total / (4_000_000 * float(np.float32(0.1))) - 1) < 1e-6


def test_empty_reductions_give_the_neutral_element(target: Target) -> None:
    x = np.empty((3, 0), np.float32)
    assert computed(x, (1,), sum_of(float32), "f")[0].tolist() == [0, 0, 0]
    assert computed(x, (1,), product_of(float32), "f")[0].tolist() == [1, 1, 1]
    assert np.isnan(computed(x, (1,), mean_of(float32), "f")[0]).all()
    assert computed(x, (1,), all_of(float32), "?")[0].all()
    assert computed(x, (1,), logsumexp_of(float32), "f")[0].tolist() == [-np.inf] * 3


def test_infinities(target: Target) -> None:
    x = np.array([[np.inf, 1], [-np.inf, -np.inf], [-np.inf, 3]], np.float32)
    assert computed(x, (1,), logsumexp_of(float32), "f")[0].tolist() == [np.inf, -np.inf, 3]
    assert computed(x, (1,), argmax_of(float32), "q")[0].tolist() == [0, 0, 1]


def test_prologue_of_two_inputs(target: Target) -> None:
    """A body over several inputs, one of them broadcast, fuses into the reduction."""
    x, y = layouts((40, 50))[0], layouts((50,))[0]
    dot = reducer([0], [float32], lambda a, b: a * b, lambda a, b: a[0] + b[0], inputs=[float32, float32])
    out = np.empty(40, np.float32)
    wide = np.broadcast_to(y, x.shape)
    run(reduce([operand(out)], [operand(x), operand(wide)], (1,), dot), [out], [x, y])
    np.testing.assert_allclose(out, x @ y, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("shape", "dims"), [((5000, 100), (1,)), ((3, 700001), (1,)), ((9000, 600), (0,)), ((500, 3000), (1,)), ((64, 40, 99), (0, 2))], ids=str
)
def test_same_bits_for_any_number_of_threads(target: Target, shape: tuple[int, ...], dims: tuple[int, ...]) -> None:
    x = layouts(shape)[0]
    got = set()
    before = pool.get_num_threads()
    try:
        for threads in (1, 2, 8):
            pool.set_num_threads(threads)
            got.add(computed(x, dims, sum_of(float32), "f")[0].tobytes())
    finally:
        pool.set_num_threads(before)
    assert len(got) == 1


def test_schedules_depend_on_the_shape_alone() -> None:
    def plan(shape: tuple[int, ...], rest: tuple[int, ...], dims: tuple[int, ...]) -> Schedule:
        from facula.kernel.coalesce import contiguous

        return reduce([Array(float32, rest, contiguous(rest))], [Array(float32, shape, contiguous(shape))], dims, sum_of(float32))

    assert len(plan((4096, 2048), (4096,), (1,)).launches) == 1
    assert len(plan((4096, 2048), (), (0, 1)).launches) == 2
    assert "columns" in plan((4096, 2048), (2048,), (0,)).notes[0]
    assert plan((4, 0), (0,), (0,)).launches == ()


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="outputs of"):
        reduce([Array(float32, (3,), (1,))], [Array(float32, (3, 4), (4, 1))], (0,), sum_of(float32))


@pytest.mark.parametrize(
    "own, shape", [((1, 1, 1), (8, 40, 33)), ((6, 1, 5), (6, 300, 5)), ((1, 40, 1), (7, 40, 9)), ((1, 0), (5, 0))], ids=str
)
def test_broadcast_dims_are_read_once(target: Target, own: tuple[int, ...], shape: tuple[int, ...]) -> None:
    x = np.broadcast_to((np.random.default_rng(0).standard_normal(own) * 4).astype(np.float32), shape)
    for k in range(len(shape)):
        for dims in ((k,), tuple(range(k + 1)), tuple(range(len(shape)))):
            agree(x, dims, max_of(float32), "f")
            agree(x, dims, count_nonzero_of(float32), "q")
            agree(x, dims, argmax_of(float32), "q")
            agree(x, dims, min_max_of(float32), "ff")
            agree(x, dims, sum_of(float32), "f", tolerance=1e-5)
            agree(x, dims, mean_of(float32), "f", tolerance=1e-5)
            agree(x, dims, moments_of(float32), "f", (1.0,), tolerance=1e-4)
    schedule = reduce([Array(float32, shape[1:], tuple(operand(x[0]).strides))], [operand(x)], (0,), sum_of(float32))
    assert sum(y.flops for y in schedule.launches) <= 4 * (np.prod(own) + x[0].size)  # nothing is done for each of the repeated elements


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.float16], ids=lambda k: k.__name__)
@pytest.mark.parametrize(("n", "depth"), [(0, 3), (1, 3), (2, 0), (2, 1), (5, 3), (17, 16), (40, 5), (41, 130), (67, 64)])
def test_pairs_of_rows(n: int, depth: int, kind: Any) -> None:
    x = np.random.default_rng(0).standard_normal((n, depth)).astype(kind)
    out = np.full(n * (n - 1) // 2 + 1, 77, kind)  # the last one is not its own
    found, want = out[:-1], out[:-1].copy()
    r = inner_of(operand(x).dtype)
    for threads in (1, 2):
        pool.set_num_threads(threads)
        run(reduce_pairs(operand(found), operand(x), r), [found], [x])
        interpret_pairs(want, x, r)
        np.testing.assert_allclose(found.astype(float), want.astype(float), rtol=2e-3 if kind is np.float16 else 1e-5, atol=1e-5)
        assert out[-1] == 77


def test_pairs_carry_little_error() -> None:
    """Long rows are added up in blocks."""
    x = np.full((2, 1 << 20), 0.1, np.float32)
    out = np.zeros(1, np.float32)
    run(reduce_pairs(operand(out), operand(x), inner_of(float32)), [out], [x])
    exact = float(np.float32(np.float32(0.1) * np.float32(0.1))) * (1 << 20)
    assert abs(out[0] / exact - 1) < 1e-4


@pytest.mark.parametrize("inner", [3, 100])
def test_a_first_input_that_stands_still_along_the_reduced_dim(inner: int) -> None:
    """Lanes then run where the next one is dense."""
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((20, 1, inner)).astype(np.float32), rng.standard_normal((1, 50, inner)).astype(np.float32)
    shape = (20, 50, inner)
    ins = [np.broadcast_to(v, shape) for v in (x, y)]
    out = np.zeros((20, inner), np.float32)
    schedule = reduce([operand(out)], [operand(v) for v in ins], (1,), inner_of(float32))
    assert "columns" in schedule.notes[0]
    run(schedule, [out], ins)
    np.testing.assert_allclose(out, (x * y).sum(1), rtol=1e-4, atol=1e-4)


def test_lanes_run_beside_a_short_reduced_dim_if_any_input_moves_there() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((20, 1, 3)).astype(np.float32), np.asfortranarray(rng.standard_normal((1, 50, 3)).astype(np.float32))
    ins = [np.broadcast_to(v, (20, 50, 3)) for v in (x, y)]
    out = np.zeros((20, 50), np.float32)
    schedule = reduce([operand(out)], [operand(v) for v in ins], (2,), inner_of(float32))
    assert "columns" in schedule.notes[0]
    run(schedule, [out], ins)
    np.testing.assert_allclose(out, (x * y).sum(2), rtol=1e-5, atol=1e-5)
