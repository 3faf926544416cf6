"""Convolutions of random geometry against their definition, on every instruction set that this machine runs."""

from __future__ import annotations

import random
from dataclasses import dataclass

import ml_dtypes
import numpy as np
import pytest

from facula.base.dtypes import complex64, float32, int32
from facula.base.target import Target
from facula.kernel import compiler, convolution
from facula.kernel.convolution import plan
from facula.kernel.convolution.interpret import interpret_backward_input, interpret_backward_weight, interpret_forward
from facula.kernel.launch import Array, Schedule
from facula.runtime import pool
from facula.testing.operands import operand

EPS = {2: 2**-8, 4: 1e-5, 8: 1e-13}  # of the largest result; half precision: one rounding of bfloat16


@dataclass(frozen=True)
class Geometry:
    """A convolution with everything per dim."""

    images: int
    groups: int
    channels: int  # per group
    outputs: int  # per group
    size: tuple[int, ...]
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]

    @property
    def result(self) -> tuple[int, ...]:
        lines = zip(self.size, self.kernel, self.stride, self.padding, self.dilation)
        return tuple((n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, s, p, d in lines)

    @property
    def options(self) -> dict:
        return {"stride": self.stride, "padding": self.padding, "dilation": self.dilation, "groups": self.groups}


def general(seed: int) -> Geometry:
    r = random.Random(seed)
    while True:
        n = r.choice([1, 2, 2, 3])

        def each(low: int, high: int, n: int = n) -> tuple[int, ...]:
            return tuple(r.randint(low, high) for _ in range(n))

        size = each(1, {1: 70, 2: 20, 3: 8}[n])
        g = Geometry(
            r.randint(1, 4),
            r.choice([1, 1, 2, 3]),
            r.randint(1, 20),
            r.randint(1, 40),
            size,
            each(1, 4),
            each(1, 3),
            each(0, 3),
            each(1, 2),
        )
        if min(g.result) > 0:
            return g


def square(seed: int) -> Geometry:
    """3 x 3 of stride 1 with enough channels for minimal filtering."""
    r = random.Random(seed)
    while True:
        size, padding = (r.randint(1, 40), r.randint(1, 40)), (r.randint(0, 2), r.randint(0, 2))
        g = Geometry(r.randint(1, 4), 1, r.randint(32, 80), r.randint(32, 80), size, (3, 3), (1, 1), padding, (1, 1))
        if min(g.result) > 0:
            return g


def depthwise(seed: int) -> Geometry:
    r = random.Random(seed)
    while True:
        pair = [tuple(r.randint(low, high) for _ in range(2)) for low, high in ((1, 40), (1, 5), (0, 3), (1, 2))]
        stride = r.choice([(1, 1), (1, 1), (2, 2), (3, 3), (1, 2)])
        g = Geometry(r.randint(1, 4), r.randint(2, 12), 1, r.choice([1, 1, 2]), pair[0], pair[1], stride, pair[2], pair[3])  # type: ignore[arg-type]
        if min(g.result) > 0:
            return g


def normal(rng: np.random.Generator, shape: tuple[int, ...], dtype: object) -> np.ndarray:
    return rng.standard_normal(shape).astype(dtype)  # type: ignore[arg-type]


def close(got: np.ndarray, expected: np.ndarray) -> None:
    error = np.abs(got.astype(np.float64) - expected).max()
    assert error <= EPS[got.itemsize] * max(np.abs(expected).max(), 1e-30), error


def operands(g: Geometry, dtype: object, seed: int) -> tuple[np.ndarray, ...]:
    """x, w, bias, and a gradient of the result."""
    rng = np.random.default_rng(seed)
    x = normal(rng, (g.images, g.groups * g.channels, *g.size), dtype)
    w = normal(rng, (g.groups * g.outputs, g.channels, *g.kernel), dtype)
    return x, w, normal(rng, (len(w),), dtype), normal(rng, (g.images, len(w), *g.result), dtype)


def results(g: Geometry, x: np.ndarray, w: np.ndarray, bias: np.ndarray, dy: np.ndarray) -> list[np.ndarray]:
    """Forward with bias, gradient of the input, gradient of the weight."""
    y, gx, gw = (np.full(like.shape, np.nan, like.dtype) for like in (dy, x, w))
    compiler.run(convolution.forward(operand(y), operand(x), operand(w), bias=True, **g.options), [y], [x, w, bias])
    compiler.run(convolution.backward_input(operand(gx), operand(dy), operand(w), **g.options), [gx], [dy, w])
    compiler.run(convolution.backward_weight(operand(gw), operand(dy), operand(x), **g.options), [gw], [dy, x])
    return [y, gx, gw]


def check(g: Geometry, dtype: object, seed: int) -> None:
    x, w, bias, dy = operands(g, dtype, seed)
    y, gx, gw = results(g, x, w, bias, dy)
    close(y, interpret_forward(x, w, g.result, bias=bias, **g.options))
    close(gx, interpret_backward_input(dy, w, g.size, **g.options))
    close(gw, interpret_backward_weight(dy, x, g.kernel, **g.options))


@pytest.mark.parametrize("seed", range(16))
def test_any_geometry(target: Target, seed: int) -> None:
    check(general(seed), (np.float32, np.float64)[seed % 2], seed)


@pytest.mark.parametrize("seed", range(8))
def test_minimal_filtering(target: Target, seed: int) -> None:
    check(square(seed), np.float32, seed)


@pytest.mark.parametrize("seed", range(10))
def test_depthwise(target: Target, seed: int) -> None:
    check(depthwise(seed), (np.float32, np.float64)[seed % 2], seed)


@pytest.mark.parametrize("dtype", (np.float16, ml_dtypes.bfloat16), ids=("float16", "bfloat16"))
def test_half_precision_is_rounded_once(target: Target, dtype: object) -> None:
    for make in (general, square, depthwise):
        check(make(3), dtype, 3)


CASES = {
    "large, a period of rows": Geometry(1, 1, 3, 5, (96, 40), (3, 3), (1, 1), (1, 1), (1, 1)),
    "stem": Geometry(2, 1, 3, 20, (64, 62), (7, 7), (2, 2), (3, 3), (1, 1)),
    "stride 3, no padding, rows left over": Geometry(3, 2, 5, 40, (17, 20), (3, 2), (3, 3), (0, 0), (1, 1)),
    "stride 2, many outputs, wide gaps": Geometry(2, 1, 6, 70, (23, 21), (4, 3), (2, 2), (3, 1), (2, 3)),
    "strides of every size": Geometry(1, 1, 3, 5, (4, 30, 41), (2, 5, 7), (1, 5, 7), (1, 2, 3), (1, 1, 2)),
    "a stride that is gathered": Geometry(1, 1, 4, 20, (60, 70), (5, 11), (4, 9), (2, 5), (1, 1)),
    "phases that no tap meets": Geometry(2, 1, 20, 66, (30, 31), (1, 1), (4, 4), (1, 0), (1, 1)),
    "one dim, long stride": Geometry(2, 1, 2, 80, (3000,), (10,), (5,), (3,), (1,)),
    "stem of videos": Geometry(1, 1, 3, 64, (5, 20, 36), (3, 7, 7), (1, 2, 2), (1, 3, 3), (1, 1, 1)),
    "deep, several passes": Geometry(1, 1, 1100, 15, (5, 5), (1, 1), (1, 1), (0, 0), (1, 1)),
    "deep, passes over taps": Geometry(2, 1, 300, 17, (4, 6), (3, 3), (2, 2), (1, 1), (1, 1)),
    "few tiles": Geometry(1, 1, 40, 50, (7, 7), (3, 3), (1, 1), (1, 1), (1, 1)),
    "one pixel": Geometry(33, 1, 7, 9, (1, 1), (1, 1), (1, 1), (0, 0), (1, 1)),
    "many outputs": Geometry(1, 1, 5, 600, (9, 9), (3, 3), (2, 2), (1, 1), (1, 1)),
    "depthwise 7 x 7": Geometry(2, 3, 1, 1, (19, 18), (7, 7), (1, 1), (3, 3), (1, 1)),
    "depthwise, one row": Geometry(2, 5, 1, 2, (70,), (9,), (1,), (4,), (1,)),
    "depthwise 5 x 3 with holes": Geometry(1, 4, 1, 1, (17, 21), (5, 3), (2, 2), (2, 1), (2, 1)),
    "grouped": Geometry(2, 8, 4, 4, (14, 14), (3, 3), (1, 1), (1, 1), (1, 1)),
    "long kernel": Geometry(2, 1, 2, 3, (300,), (120,), (1,), (60,), (1,)),
    "taps outside": Geometry(1, 1, 2, 3, (2, 2), (5, 5), (1, 1), (4, 4), (2, 2)),
}


@pytest.mark.parametrize("name", CASES)
def test_cases(target: Target, name: str) -> None:
    check(CASES[name], np.float32, 0)


def test_output_padding_of_a_transposed_convolution(target: Target) -> None:
    """The gradient of an input that is larger than the windows reach: rows and columns that no tap meets are the bias."""
    g = Geometry(2, 1, 4, 6, (8, 9), (3, 3), (2, 2), (1, 1), (1, 1))
    _x, w, bias, dy = operands(g, np.float32, 0)
    rng = np.random.default_rng(1)
    for extra in ((0, 0), (1, 0), (1, 1)):
        size = tuple((r - 1) * 2 - 2 + 3 + e for r, e in zip(g.result, extra))
        gx, bias = np.full((2, 4, *size), np.nan, np.float32), normal(rng, (4,), np.float32)
        compiler.run(convolution.backward_input(operand(gx), operand(dy), operand(w), bias=True, **g.options), [gx], [dy, w, bias])
        close(gx, interpret_backward_input(dy, w, size, **g.options) + bias.reshape(-1, 1, 1))


def test_images_and_channels_at_any_stride(target: Target) -> None:
    g = Geometry(3, 1, 5, 7, (9, 10), (3, 3), (1, 1), (1, 1), (1, 1))
    x, w, _, _ = operands(g, np.float32, 0)
    wide = np.repeat(x, 2, axis=1)[::-1]
    apart = np.ascontiguousarray(wide)[:, ::2]
    y = np.zeros((3, 7, *g.result), np.float32)
    compiler.run(convolution.forward(operand(y), operand(apart), operand(w), **g.options), [y], [apart, w])
    close(y, interpret_forward(apart, w, g.result, **g.options))


@pytest.mark.parametrize("kernel", ((1, 1), (3, 3), (2, 5)), ids=str)
@pytest.mark.parametrize("stride", (1, 2))
def test_weights_at_any_stride(target: Target, kernel: tuple[int, int], stride: int) -> None:
    g = Geometry(2, 1, 35, 37, (9, 10), kernel, (stride, stride), (0, 1), (1, 1))
    x, w, _, dy = operands(g, np.float32, 0)
    rng = np.random.default_rng(1)
    for apart in (
        normal(rng, (2 * 37, 3 * 35, *kernel), np.float32)[::2, ::3],
        np.swapaxes(normal(rng, (35, 37, *kernel), np.float32), 0, 1),
    ):
        assert apart.shape == w.shape
        y, gx = np.full_like(dy, np.nan), np.full_like(x, np.nan)
        compiler.run(convolution.forward(operand(y), operand(x), operand(apart), **g.options), [y], [x, apart])
        close(y, interpret_forward(x, apart, g.result, **g.options))
        compiler.run(convolution.backward_input(operand(gx), operand(dy), operand(apart), **g.options), [gx], [dy, apart])
        close(gx, interpret_backward_input(dy, apart, g.size, **g.options))


@pytest.mark.parametrize("make", (general, square, depthwise), ids=lambda f: f.__name__)
def test_same_bits_for_any_number_of_threads(make: object, threads: None) -> None:
    for seed in (0, 1, 5):
        g = make(seed)  # type: ignore[operator]
        given = operands(g, np.float32, seed)
        seen = set()
        for n in (1, 2, 8):
            pool.set_num_threads(n)
            seen.add(b"".join(r.tobytes() for r in results(g, *given)))
        assert len(seen) == 1


def test_minimal_filtering_is_as_precise_as_it_says() -> None:
    g = Geometry(2, 1, 256, 64, (14, 14), (3, 3), (1, 1), (1, 1), (1, 1))
    x, w, bias, dy = operands(g, np.float32, 0)
    for got, exact in zip(
        results(g, x, w, bias, dy),
        (
            interpret_forward(x, w, g.result, bias=bias, **g.options),
            interpret_backward_input(dy, w, g.size, **g.options),
            interpret_backward_weight(dy, x, g.kernel, **g.options),
        ),
    ):
        assert np.abs(got - exact).max() < 1e-6 * np.abs(exact).max()


def test_plans_say_what_they_chose() -> None:
    def notes(g: Geometry) -> str:
        x, w, _, dy = operands(g, np.float32, 0)
        one: Schedule = convolution.forward(operand(dy), operand(x), operand(w), **g.options)
        return " ".join(one.notes)

    assert "minimal filtering" in notes(square(0))
    assert "depthwise" in notes(Geometry(1, 8, 1, 1, (9, 9), (3, 3), (1, 1), (1, 1), (1, 1)))
    assert "implicit GEMM" in notes(general(1))


@pytest.mark.parametrize("d", (int32, complex64), ids=lambda d: d.name)
def test_other_types_are_refused(d: object) -> None:
    x, w, y = Array(d, (1, 2, 4, 4), (32, 16, 4, 1)), Array(d, (3, 2, 1, 1), (2, 1, 1, 1)), Array(d, (1, 3, 4, 4), (48, 16, 4, 1))  # type: ignore[arg-type]
    with pytest.raises(NotImplementedError, match="float32, float64, float16, bfloat16"):
        convolution.forward(y, x, w, stride=(1, 1), padding=(0, 0), dilation=(1, 1))


def strided(x: np.ndarray, order: str) -> np.ndarray:
    """The same values, their dims in memory in order of NCHW or NHWC, or with gaps."""
    if order == "gaps":
        wide = np.full((*x.shape[:-1], 2 * x.shape[-1]), np.nan).astype(x.dtype)
        wide[..., ::2] = x
        return wide[..., ::2]
    return x if order == "planes" else np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)


@pytest.mark.parametrize(
    "orders", [("pixels", "planes"), ("planes", "pixels"), ("pixels", "pixels"), ("gaps", "pixels"), ("pixels", "gaps")]
)
@pytest.mark.parametrize("g", [general(0), general(7), square(1), Geometry(2, 1, 5, 20, (6, 3), (1, 1), (1, 1), (0, 0), (1, 1))], ids=str)
@pytest.mark.parametrize("dtype", (np.float32, np.float64, ml_dtypes.bfloat16), ids=lambda d: np.dtype(d).name)
def test_operands_of_any_order_of_dims(dtype: type, g: Geometry, orders: tuple[str, str]) -> None:
    x, w, bias, dy = operands(g, dtype, 3)
    first, second = orders
    sx, sw, sdy = strided(x, first), strided(w, second), strided(dy, first)
    out = strided(np.zeros_like(dy), second if second != "gaps" else "pixels")
    compiler.run(convolution.forward(operand(out), operand(sx), operand(sw), **g.options, bias=True), [out], [sx, sw, bias])
    gx, gw = strided(np.zeros_like(x), first if first != "gaps" else "pixels"), strided(np.zeros_like(w), "pixels")
    compiler.run(convolution.backward_input(operand(gx), operand(sdy), operand(sw), **g.options), [gx], [sdy, sw])
    compiler.run(convolution.backward_weight(operand(gw), operand(sdy), operand(sx), **g.options), [gw], [sdy, sx])
    close(out, interpret_forward(x, w, g.result, bias=bias, **g.options))
    close(gx, interpret_backward_input(dy, w, g.size, **g.options))
    close(gw, interpret_backward_weight(dy, x, g.kernel, **g.options))


def test_weights_are_laid_out_once_for_all_grids_of_a_transpose() -> None:
    g = Geometry(1, 1, 3, 8, (32, 32), (8, 8), (8, 8), (0, 0), (1, 1))
    x, w, _, dy = operands(g, np.float32, 0)
    assert len(convolution.backward_input(operand(x), operand(dy), operand(w), **g.options).launches) == 2


def test_pixels_under_one_tap_are_read_where_they_lie() -> None:
    x, y = (Array(float32, (4, n, 14, 14), (14 * 14 * n, 1, 14 * n, n)) for n in (64, 48))
    w = Array(float32, (48, 64, 1, 1), (64, 1, 1, 1))
    line = {"stride": (1, 1), "padding": (0, 0), "dilation": (1, 1)}
    for schedule in (
        convolution.forward(y, x, w, **line),
        convolution.backward_input(x, y, w, **line),
        convolution.backward_weight(w, y, x, **line),
    ):
        assert "gemm" in " ".join(schedule.notes) and "copied" not in " ".join(schedule.notes)


def test_a_new_batch_size_compiles_nothing() -> None:
    def kernels(images: int) -> set:
        g = Geometry(images, 1, 40, 48, (14, 14), (3, 3), (1, 1), (1, 1), (1, 1))
        x, w, _, dy = operands(g, np.float32, 0)
        made = [
            convolution.forward(operand(dy), operand(x), operand(w), **g.options),
            convolution.backward_input(operand(x), operand(dy), operand(w), **g.options),
            convolution.backward_weight(operand(w), operand(dy), operand(x), **g.options),
        ]
        return {launch.kernel for one in made for launch in one.launches}

    assert kernels(8) == kernels(9) == kernels(64)
    assert plan.ITEMS > 1


def test_empty_operands(target: Target) -> None:
    """No image: nothing to write but zeros for the weight. No channel: the bias."""
    sizes = {"stride": (1, 1), "padding": (1, 1), "dilation": (1, 1)}
    gw, none = np.full((3, 2, 3, 3), np.nan, np.float32), np.zeros((0, 2, 4, 4), np.float32)
    compiler.run(
        convolution.backward_weight(operand(gw), operand(np.zeros((0, 3, 4, 4), np.float32)), operand(none), **sizes), [gw], [none, none]
    )
    assert not gw.any()
    bias, y, x = np.arange(3, dtype=np.float32), np.full((2, 3, 4, 4), np.nan, np.float32), np.zeros((2, 0, 4, 4), np.float32)
    w = np.zeros((3, 0, 3, 3), np.float32)
    compiler.run(convolution.forward(operand(y), operand(x), operand(w), bias=True, **sizes), [y], [x, w, bias])
    assert (y == bias.reshape(-1, 1, 1)).all()


@pytest.mark.parametrize("seed", range(8))
def test_thin(target: Target, seed: int) -> None:
    """1 x 1 with few channels on one side."""
    r = random.Random(seed)
    n = r.choice([1, 2, 3])
    few, many = r.randint(1, 4), r.randint(1, 40)
    ones, size = (1,) * n, tuple(r.randint(1, {1: 5000, 2: 70, 3: 16}[n]) for _ in range(n))
    sides = (few, many) if seed % 2 else (many, few)
    check(Geometry(r.randint(1, 4), 1, *sides, size, ones, ones, (0,) * n, ones), (np.float32, np.float64)[seed // 2 % 2], seed)
