"""Pooling of random geometry against its definition, on every instruction set that this machine runs."""

from __future__ import annotations

import random
from dataclasses import dataclass

import ml_dtypes
import numpy as np
import pytest

from facula.base.dtypes import complex64
from facula.base.target import Target
from facula.kernel import compiler, pooling
from facula.kernel.launch import Array
from facula.kernel.pooling.interpret import (
    interpret_average,
    interpret_average_backward,
    interpret_max,
    interpret_scatter,
    window_boxes,
)
from facula.runtime import pool
from facula.testing.operands import operand

FLOATS = ("float32", "float64", "float16", "bfloat16")
INTEGERS = ("int8", "uint8", "int16", "int32", "int64")
EPS = {2: 2**-8, 4: 1e-6, 8: 1e-14}


@dataclass(frozen=True)
class Geometry:
    """Windows over planes; `ceil` rounds the number of windows up, as ceil_mode does."""

    lead: tuple[int, ...]
    size: tuple[int, ...]
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    ceil: bool = False

    @property
    def result(self) -> tuple[int, ...]:
        out = []
        for n, k, s, p, d in zip(self.size, self.kernel, self.stride, self.padding, self.dilation):
            span = n + 2 * p - d * (k - 1) - 1
            r = (-(-span // s) if self.ceil else span // s) + 1
            out.append(r - 1 if self.ceil and (r - 1) * s >= n + p else r)
        return tuple(out)

    @property
    def boxes(self) -> list[list[list[int]]]:
        return window_boxes(self.size, self.kernel, self.stride, self.padding, self.dilation, self.result)

    @property
    def window(self) -> dict:
        return {"kernel": self.kernel, "stride": self.stride, "padding": self.padding}


def geometry(seed: int, dilated: bool = True) -> Geometry:
    r = random.Random(seed)
    while True:
        n = r.choice([1, 2, 2, 3])
        size = tuple(r.randint(1, {1: 90, 2: 40, 3: 8}[n]) for _ in range(n))
        kernel = tuple(r.randint(1, 4) for _ in size)
        g = Geometry(
            r.choice([(2, 3), (3,), (1, 2)]), size, kernel, tuple(r.randint(1, 3) for _ in size), tuple(r.randint(0, k // 2) for k in kernel),
            tuple(r.choice([1, 1, 2]) if dilated else 1 for _ in size), r.random() < 0.3,
        )  # fmt: skip
        if min(g.result) > 0 and all(box for line in g.boxes for box in line):
            return g


def of(name: str) -> np.dtype:
    return np.dtype(ml_dtypes.bfloat16 if name == "bfloat16" else name)


def values(shape: tuple[int, ...], name: str, seed: int) -> np.ndarray:
    """Numbers with many ties; some seeds have NaN or minus infinity."""
    rng = np.random.default_rng(seed)
    if name in INTEGERS:
        return rng.integers(0 if name == "uint8" else -50, 50, shape).astype(name)
    x = rng.standard_normal(shape) if seed % 2 else np.round(rng.standard_normal(shape) * 3)
    if seed % 3 == 0:
        x.reshape(-1)[rng.integers(x.size)] = np.nan
    if seed % 5 == 0:
        x[..., :2] = -np.inf
    return x.astype(of(name))


def close(got: np.ndarray, expected: np.ndarray) -> None:
    error = np.abs(got.astype(np.float64) - expected).max()
    assert error <= EPS[got.itemsize] * max(1.0, np.abs(expected).max()), error


@pytest.mark.parametrize("name", FLOATS + INTEGERS)
@pytest.mark.parametrize("seed", range(6))
def test_maximum(target: Target, name: str, seed: int) -> None:
    g = geometry(seed * 31 + len(name))
    x = values((*g.lead, *g.size), name, seed)
    expected, places = interpret_max(x, g.boxes)
    y, index, taps = np.zeros_like(expected), np.full(expected.shape, -7), np.zeros(expected.shape, np.uint8)
    for note, outs in (("", [y]), ("tap", [y, taps]), ("index", [y, index])):
        y.fill(0)
        compiler.run(pooling.max_pool(operand(y), operand(x), **g.window, dilation=g.dilation, note=note), outs, [x])
        assert np.array_equal(y.astype(np.float64), expected.astype(np.float64), equal_nan=True)
    assert np.array_equal(index, places)
    if name in FLOATS:
        grad = np.random.default_rng(seed).standard_normal(y.shape).astype(y.dtype)
        exact = interpret_scatter(grad, places, g.size, True)
        for note, noted in (("tap", taps), ("index", index)):
            gx = np.full(x.shape, 7, x.dtype)
            extra = {"spatial": len(g.size)} if note == "index" else {**g.window, "dilation": g.dilation}
            compiler.run(pooling.max_pool_backward(operand(gx), operand(grad), note=note, **extra), [gx], [grad, noted])
            close(gx, exact)


LARGE = [
    *(Geometry((2, 3), (150,), (s + 1,), (s,), (s // 2,), (1,)) for s in range(3, 10)),
    Geometry((2,), (300,), (299,), (12,), (140,), (1,)),
    Geometry((2, 2), (23, 70), (5, 7), (3, 5), (2, 3), (1, 1), ceil=True),
    Geometry((2, 2), (23, 70), (4, 3), (1, 1), (2, 1), (2, 3)),
    Geometry((3,), (9, 11), (9, 11), (9, 11), (0, 0), (1, 1)),
    Geometry((2,), (9, 40), (3, 30), (2, 20), (1, 15), (1, 1)),
    Geometry((2,), (5, 6, 35), (3, 2, 5), (2, 1, 4), (1, 1, 2), (1, 1, 1)),
]


@pytest.mark.parametrize("name", ("float32", "float64", "bfloat16", "uint8", "int64"))
@pytest.mark.parametrize("seed", (0, 1, 5))
@pytest.mark.parametrize("g", LARGE)
def test_maximum_of_large_windows(target: Target, name: str, seed: int, g: Geometry) -> None:
    x = values((*g.lead, *g.size), name, seed)
    expected, places = interpret_max(x, g.boxes)
    y, index = np.zeros_like(expected), np.full(expected.shape, -7)
    for note, outs in (("", [y]), ("index", [y, index])):
        y.fill(0)
        compiler.run(pooling.max_pool(operand(y), operand(x), **g.window, dilation=g.dilation, note=note), outs, [x])
        assert np.array_equal(y.astype(np.float64), expected.astype(np.float64), equal_nan=True)
    assert np.array_equal(index, places)


@pytest.mark.parametrize("name", FLOATS)
@pytest.mark.parametrize("include", (True, False))
@pytest.mark.parametrize("override", (None, 5))
@pytest.mark.parametrize("g", [*(geometry(seed + 100, dilated=False) for seed in range(3)), *(g for g in LARGE if set(g.dilation) == {1})])
def test_average(target: Target, name: str, include: bool, override: int | None, g: Geometry) -> None:
    seed = sum(g.size)
    x = np.random.default_rng(seed).standard_normal((*g.lead, *g.size)).astype(of(name))
    divisors = np.ones(g.result)
    lines = zip(g.size, g.kernel, g.stride, g.padding, g.result, g.boxes)
    for dim, (n, k, s, p, r, boxes) in enumerate(lines):
        lengths = [min(o * s - p + k, n + p) - (o * s - p) if include else len(boxes[o]) for o in range(r)]
        divisors *= np.array(lengths).reshape([-1 if i == dim else 1 for i in range(len(g.size))])
    if override:
        divisors[...] = override
    options = {**g.window, "count_include_pad": include, "divisor_override": override}
    y, gx = np.zeros((*g.lead, *g.result), x.dtype), np.full(x.shape, 7, x.dtype)
    compiler.run(pooling.avg_pool(operand(y), operand(x), **options), [y], [x])
    close(y, interpret_average(x, g.boxes, divisors))
    grad = np.random.default_rng(seed + 1).standard_normal(y.shape).astype(y.dtype)
    compiler.run(pooling.avg_pool_backward(operand(gx), operand(grad), **options), [gx], [grad])
    close(gx, interpret_average_backward(grad, g.boxes, divisors, g.size))


@pytest.mark.parametrize("stride", range(1, 10))
@pytest.mark.parametrize("beyond", (-2, -1, 0, 1, 6))
def test_gradients_of_averages_at_any_stride(target: Target, stride: int, beyond: int) -> None:
    """Windows apart, side by side and over each other; rows that are long enough for interleaved vectors."""
    k = max(stride + beyond, 1)
    for size, form in (((203,), "gradient"), ((5, 150), "gradient"), ((3, 4, 90), "gradient"), ((6, 2 * stride + 7), "")):
        kernel = (*(min(k, n) for n in size[:-1]), k)
        if k > size[-1]:
            continue
        g = Geometry((2,), size, kernel, (*(min(stride, 3),) * (len(size) - 1), stride), tuple(v // 2 for v in kernel), (1,) * len(size))
        divisors = np.full(g.result, float(np.prod(g.kernel)))
        grad, gx = (
            np.random.default_rng(stride).standard_normal((*g.lead, *g.result)).astype(np.float32),
            np.full((2, *size), 7, np.float32),
        )
        schedule = pooling.avg_pool_backward(operand(gx), operand(grad), **g.window, divisor_override=int(divisors.flat[0]))
        assert stride > 8 or form in schedule.launches[0].kernel.emit.__name__
        compiler.run(schedule, [gx], [grad])
        close(gx, interpret_average_backward(grad, g.boxes, divisors, g.size))


SHAPES = [
    ((7, 7), (1, 1)),
    ((8, 6), (4, 3)),
    ((13, 13), (6, 6)),
    ((5, 9), (7, 4)),
    ((33,), (5,)),
    ((64,), (1,)),
    ((301,), (1,)),
    ((5, 320), (2, 2)),
    ((9, 47), (4, 3)),
    ((4, 5, 6), (3, 2, 6)),
    ((3, 4), (1, 4)),
]


@pytest.mark.parametrize("name", FLOATS)
@pytest.mark.parametrize(("size", "result"), SHAPES)
def test_adaptive_and_unpooling(target: Target, name: str, size: tuple[int, ...], result: tuple[int, ...]) -> None:
    n = len(size)
    boxes = [[list(range(i * s // r, -(-(i + 1) * s // r))) for i in range(r)] for s, r in zip(size, result)]
    divisors = np.ones(result)
    for dim, line in enumerate(boxes):
        divisors = divisors * np.array(list(map(len, line))).reshape([-1 if i == dim else 1 for i in range(n)])
    x = values((2, 3, *size), name, 1)
    y, gx = np.zeros((2, 3, *result), x.dtype), np.full(x.shape, 7, x.dtype)
    compiler.run(pooling.adaptive_avg_pool(operand(y), operand(x), spatial=n), [y], [x])
    close(y, interpret_average(x, boxes, divisors))
    grad = np.random.default_rng(1).standard_normal(y.shape).astype(y.dtype)
    compiler.run(pooling.adaptive_avg_pool_backward(operand(gx), operand(grad), spatial=n), [gx], [grad])
    close(gx, interpret_average_backward(grad, boxes, divisors, size))

    index = np.zeros(y.shape, np.int64)
    for seed in (0, 2, 5, 1):
        x = values(x.shape, name, seed)
        expected, places = interpret_max(x, boxes)
        compiler.run(pooling.adaptive_max_pool(operand(y), operand(x), spatial=n), [y, index], [x])
        assert np.array_equal(y.astype(np.float64), expected.astype(np.float64), equal_nan=True) and np.array_equal(index, places)
    back, gy = np.full(x.shape, 7, x.dtype), np.zeros_like(y)
    compiler.run(pooling.max_unpool(operand(back), operand(y), spatial=n), [back], [y, index])
    assert np.array_equal(back.astype(np.float64), interpret_scatter(y, places, size, False))
    compiler.run(pooling.max_unpool_backward(operand(gy), operand(x), spatial=n), [gy], [x, index])
    flat = np.take_along_axis(x.reshape(6, -1).astype(np.float64), index.reshape(6, -1), 1)
    assert np.array_equal(gy.reshape(6, -1).astype(np.float64), flat)


def test_unpooling_skips_indices_outside_the_plane() -> None:
    x, index = np.ones((1, 3), np.float32), np.array([[0, 4, -1]])
    y = np.full((1, 4), 9, np.float32)
    compiler.run(pooling.max_unpool(operand(y), operand(x), spatial=1), [y], [x, index])
    assert y.tolist() == [[1, 0, 0, 0]]


def test_a_large_plane_is_pooled_in_bands(target: Target) -> None:
    x = np.random.default_rng(0).standard_normal((1, 700, 900)).astype(np.float32)
    y = np.zeros((1, 350, 450), np.float32)
    compiler.run(pooling.max_pool(operand(y), operand(x), kernel=(2, 2), stride=(2, 2), padding=(0, 0), dilation=(1, 1)), [y], [x])
    assert np.array_equal(y, x.reshape(1, 350, 2, 450, 2).max((2, 4)))
    gx, grad = np.zeros_like(x), np.ones_like(y)
    compiler.run(pooling.avg_pool_backward(operand(gx), operand(grad), kernel=(2, 2), stride=(2, 2), padding=(0, 0)), [gx], [grad])
    assert np.array_equal(gx, np.full_like(x, 0.25))


def test_same_bits_for_any_number_of_threads(threads: None) -> None:
    x = np.random.default_rng(0).standard_normal((4, 5, 29, 31)).astype(np.float32)
    window = {"kernel": (3, 3), "stride": (2, 2), "padding": (1, 1)}
    seen = set()
    for n in (1, 2, 8):
        pool.set_num_threads(n)
        y, taps, gx, mean = (
            np.zeros((4, 5, 15, 16), np.float32),
            np.zeros((4, 5, 15, 16), np.uint8),
            np.zeros_like(x),
            np.zeros((4, 5, 4, 3), np.float32),
        )
        compiler.run(pooling.max_pool(operand(y), operand(x), **window, dilation=(1, 1), note="tap"), [y, taps], [x])
        compiler.run(pooling.max_pool_backward(operand(gx), operand(y), **window, dilation=(1, 1), note="tap"), [gx], [y, taps])
        compiler.run(pooling.adaptive_avg_pool(operand(mean), operand(x), spatial=2), [mean], [x])
        seen.add(y.tobytes() + taps.tobytes() + gx.tobytes() + mean.tobytes())
    assert len(seen) == 1


def test_what_cannot_be_pooled_is_refused() -> None:
    x = Array(complex64, (1, 4, 4), (16, 4, 1))
    with pytest.raises(NotImplementedError, match="complex64"):
        pooling.max_pool(x, x, kernel=(1, 1), stride=(1, 1), padding=(0, 0), dilation=(1, 1))
    y = operand(np.zeros((1, 20, 20), np.float32))
    with pytest.raises(NotImplementedError, match="does not fit one byte"):
        pooling.max_pool(y, y, kernel=(17, 17), stride=(1, 1), padding=(8, 8), dilation=(1, 1), note="tap")
