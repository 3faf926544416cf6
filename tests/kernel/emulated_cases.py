"""What is run on every emulated target: {name: function(target)}. `host.target` must give the target while a case runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from unittest.mock import patch

import numpy as np

from facula.base.dtypes import bfloat16, dtype, float16, float32, float64, int8, int16, int32, int64, uint8
from facula.base.target import X86_64_V3, Target
from facula.kernel import compiler, convolution, emulate, indexing, random, rows, sorting
from facula.kernel.convolution.interpret import interpret_backward_input, interpret_backward_weight, interpret_forward
from facula.kernel.gemm import matmul
from facula.kernel.launch import Schedule
from facula.kernel.pointwise import copy, flip, interpret_pointwise, pointwise
from facula.kernel.pointwise.nest import number_types
from facula.kernel.random.mt19937 import BYTES
from facula.kernel.reduction import argmax_of, interpret_reduce, max_of, moments_of, reduce, sum_of
from facula.kernel.resample import resample
from facula.kernel.scalar import (
    Scalar,
    atan2,
    cast,
    erf,
    exp,
    floor_divide,
    fma,
    gcd,
    input,
    lgamma,
    log,
    number,
    pow,
    remainder,
    sin,
    sqrt,
    tanh,
)
from facula.kernel.scan import cummax_of, interpret_scan, scan
from facula.runtime import host
from facula.testing.operands import operand

MACHINE = host.target  # before a test puts another in its place
SIZES = (1, 3, 4, 17, 100)
CASES: dict[str, Callable[[Target], None]] = {}


def case(f: Callable[[Target], None]) -> Callable[[Target], None]:
    CASES[f.__name__] = f
    return f


def values(shape: int | Sequence[int], d: dtype, seed: int = 0) -> np.ndarray:
    x = np.random.default_rng(seed).standard_normal(shape) * 5
    return np.asarray(np.abs(x) if d is uint8 else x).astype(d.numpy)


def same(target: Target, outs: list[np.ndarray], ins: list[np.ndarray], body: list[Scalar], numbers: tuple[complex, ...] = ()) -> None:
    """An elementwise nest gives the interpreter's bits."""
    wanted = [o.copy() for o in outs]
    interpret_pointwise(wanted, ins, body, numbers)
    emulate.run(pointwise([operand(o) for o in outs], [operand(i) for i in ins], body), outs, ins, numbers, target=target)
    for out, want in zip(outs, wanted):
        assert out.tobytes() == want.tobytes()


def near(got: np.ndarray, want: np.ndarray, error: float) -> None:
    assert np.abs(got.astype(np.float64) - want).max() <= error * max(1.0, np.abs(want).max())


def alike(target: Target, ins: list[np.ndarray], body: list[Scalar]) -> None:
    """Functions are within a few ulp of the interpreter, which does not fuse, and have the bits of this machine's own code."""
    outs, wanted, own = ([np.empty_like(ins[0]) for _ in body] for _ in range(3))
    interpret_pointwise(wanted, ins, body)
    emulate.run(pointwise([operand(o) for o in outs], [operand(i) for i in ins], body), outs, ins, target=target)
    for out, want in zip(outs, wanted):
        np.testing.assert_allclose(out, want, 32 * np.finfo(out.dtype).eps, 4 * np.finfo(out.dtype).eps)
    if host.runs(X86_64_V3):
        with patch.object(host, "target", lambda: X86_64_V3):
            compiler.run(pointwise([operand(o) for o in own], [operand(i) for i in ins], body), own, ins)
        assert all(a.tobytes() == b.tobytes() for a, b in zip(outs, own))


@case
def functions(target: Target) -> None:
    x, x6 = input(0), input(0, float64)
    for n in SIZES:
        a, b = np.abs(values(n, float32)) + np.float32(0.1), np.abs(values(n, float64)) + 0.1
        for one in (exp, tanh, erf, log, sin, sqrt, lgamma):
            alike(target, [a], [one(x)])
            alike(target, [b], [one(x6)])
        alike(target, [a, a[::-1].copy()], [pow(x, input(1)), atan2(x, input(1))])
        same(target, [np.empty_like(b)], [b, b, b], [fma(x6, -input(1, float64), input(2, float64))])


@case
def ends_of_the_range(target: Target) -> None:
    a = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1e-40, -1e-40, 3e38, 88.8, -104.0, 1.0], np.float32)
    for one in (exp, tanh, erf):
        alike(target, [a], [one(input(0))])
        alike(target, [a.astype(np.float64)], [one(input(0, float64))])


@case
def integers(target: Target) -> None:
    for d in (uint8, int8, int16, int32, int64):
        a, b = input(0, d), input(1, d)
        for n in SIZES:
            x, y = values(n, d, 1), values(n, d, 2)
            same(target, [np.empty_like(x)] * 1, [x, y], [a * b + number(0, d)], (3,))
            same(target, [np.empty_like(x), np.empty_like(x)], [x, y], [floor_divide(a, b), remainder(a, b)])
            same(target, [np.empty_like(x), np.empty(n, bool)], [x, y], [(a & b) ^ a, a < b])
    x, y = values(99, int64, 3) * 6, values(99, int64, 4) * 4
    same(target, [np.empty_like(x)], [x, y], [gcd(input(0, int64), input(1, int64))])


@case
def conversions(target: Target) -> None:
    every = np.arange(65536, dtype=np.uint16)
    for d in (float16, bfloat16):
        x = every.view(d.numpy)
        x = x[~np.isnan(x.astype(np.float32))]
        wide, back = np.empty(len(x), np.float32), np.empty_like(x)
        emulate.run(copy(operand(wide), operand(x)), [wide], [x], target=target)
        assert np.array_equal(wide, x.astype(np.float32))
        rough = (wide * np.float32(1.0007)).astype(np.float32)  # wants rounding
        with np.errstate(over="ignore"):
            for source in (rough, wide, rough.astype(np.float64)):
                emulate.run(copy(operand(back), operand(source)), [back], [source], target=target)
                assert back.tobytes() == source.astype(np.float32).astype(d.numpy).tobytes()
    for n in SIZES:
        x = values(n, float32)
        same(target, [np.empty(n, np.int64), np.empty(n, np.int8), np.empty(n)], [x], [cast(input(0), d) for d in (int64, int8, float64)])
        k = values(n, int64)
        same(target, [np.empty(n, np.float32), np.empty(n, np.float16)], [k], [cast(input(0, int64), d) for d in (float32, float16)])


@case
def layouts(target: Target) -> None:
    x = values((30, 41), float32)
    for y in (x[::2, ::3], x.T, np.broadcast_to(x[:1], (30, 41)), x[:, 5:9]):
        same(target, [np.empty(y.shape, np.float32)], [y], [input(0) * 2.0])


@case
def reversed_rows(target: Target) -> None:
    for d in (uint8, float16, float32, int64):
        x = values((3, 21), d)
        out = np.empty_like(x)
        emulate.run(flip(operand(out), operand(x), (1,)), [out], [x], target=target)
        assert np.array_equal(out, x[:, ::-1])


@case
def reductions(target: Target) -> None:
    for shape, dims in (((37,), (0,)), ((6, 50), (1,)), ((50, 9), (0,)), ((3, 5, 7), (0, 2))):
        for d in (float32, float64, bfloat16, int32):
            x = values(shape, d)
            out = np.empty([n for i, n in enumerate(shape) if i not in dims], (int64 if d is int32 else d).numpy)
            want, r = out.copy(), sum_of(d)
            interpret_reduce([want], [x], dims, r)
            emulate.run(reduce([operand(out)], [operand(x)], dims, r), [out], [x], target=target)
            near(out, want.astype(np.float64), 0.02 if d is bfloat16 else 1e-5)
        x = values(shape, float32)
        for r in (max_of(float32), moments_of(float32)):
            out, want = (np.empty([n for i, n in enumerate(shape) if i not in dims], np.float32) for _ in range(2))
            given = (1.0,) if number_types(r.finish) else ()  # the correction of a variance
            interpret_reduce([want], [x], dims, r, given)
            emulate.run(reduce([operand(out)], [operand(x)], dims, r), [out], [x], given, target=target)
            near(out, want, 1e-5)
    x, place = values((7, 33), float32), np.empty(7, np.int64)
    emulate.run(reduce([operand(place)], [operand(x)], (1,), argmax_of(float32)), [place], [x], target=target)
    assert np.array_equal(place, x.argmax(1))


@case
def scans(target: Target) -> None:
    for shape, dim in (((99,), 0), ((5, 40), 1), ((40, 5), 0)):
        x = values(shape, float32)
        out, want = np.empty_like(x), np.empty_like(x)
        interpret_scan([want], [x], dim, sum_of(float32))
        emulate.run(scan([operand(out)], [operand(x)], dim, sum_of(float32)), [out], [x], target=target)
        near(out, want, 1e-5)
        place, best = np.empty(shape, np.int64), np.empty_like(x)
        emulate.run(scan([operand(best), operand(place)], [operand(x)], dim, cummax_of(float32)), [best, place], [x], target=target)
        assert np.array_equal(best, np.maximum.accumulate(x, dim))


@case
def products(target: Target) -> None:
    for m, n, k in ((1, 1, 1), (2, 3, 4), (5, 9, 7), (33, 40, 20), (70, 60, 90), (1, 90, 70), (80, 1, 60)):
        for d in (float32, float64, bfloat16, float16, int32):
            a, b = values((m, k), d, 1), values((k, n), d, 2)
            out = np.empty((m, n), d.numpy)
            emulate.run(matmul(operand(out), operand(a), operand(b)), [out], [a, b], target=target)
            want = a.astype(np.float64) @ b.astype(np.float64)
            near(out, want, {2: 0.01, 4: 1e-5, 8: 1e-13}[d.itemsize])
    a, b = values((30, 50), float32, 1), values((45, 30), float32, 2)
    out = np.empty((50, 45), np.float32)
    emulate.run(matmul(operand(out), operand(a.T), operand(b.T)), [out], [a.T, b.T], target=target)
    near(out, a.T.astype(np.float64) @ b.T, 1e-5)


@case
def row_kernels(target: Target) -> None:
    for d, error in ((float32, 4e-6), (float64, 1e-13), (bfloat16, 0.02), (float16, 4e-3)):
        for shape in ((3, 1), (5, 7), (4, 130)):
            x = values(shape, d)
            y, x6 = np.empty_like(x), x.astype(np.float64)
            emulate.run(rows.softmax(operand(x), 1), [y], [x], target=target)
            e = np.exp(x6 - x6.max(1, keepdims=True))
            near(y, e / e.sum(1, keepdims=True), error)
            stat = np.float64 if d is float64 else np.float32
            mean, scale = np.empty(shape[0], stat), np.empty(shape[0], stat)
            emulate.run(rows.layer_norm(operand(x)), [y, mean, scale], [x], (1e-5,), target=target)
            near(y, (x6 - x6.mean(1, keepdims=True)) / np.sqrt(x6.var(1, keepdims=True) + 1e-5), error * 2)


def _convolve(target: Target, x: np.ndarray, w: np.ndarray, result: tuple[int, int], how: dict) -> None:
    g = values((len(x), len(w), *result), float32, 3)
    y, gx, gw = np.empty_like(g), np.empty_like(x), np.empty_like(w)
    emulate.run(convolution.forward(operand(y), operand(x), operand(w), **how), [y], [x, w], target=target)
    near(y, interpret_forward(x, w, result, **how), 2e-5)
    emulate.run(convolution.backward_input(operand(gx), operand(g), operand(w), **how), [gx], [g, w], target=target)
    near(gx, interpret_backward_input(g, w, x.shape[2:], **how), 2e-5)
    emulate.run(convolution.backward_weight(operand(gw), operand(g), operand(x), **how), [gw], [g, x], target=target)
    near(gw, interpret_backward_weight(g, x, w.shape[2:], **how), 2e-5)


@case
def convolutions(target: Target) -> None:
    for channels, outputs, groups, stride in ((3, 8, 1, 1), (6, 6, 6, 1), (32, 32, 1, 1), (8, 12, 2, 2)):
        x, w = values((2, channels, 9, 11), float32, 1), values((outputs, channels // groups, 3, 3), float32, 2)
        result = ((9 - 1) // stride + 1, (11 - 1) // stride + 1)
        _convolve(target, x, w, result, {"stride": (stride,) * 2, "padding": (1, 1), "dilation": (1, 1), "groups": groups})


def order(schedule: Schedule, outs: list[np.ndarray], ins: list[np.ndarray], target: Target) -> None:
    emulate.run(schedule, outs, ins, target=target)


@case
def sorts_and_gathers(target: Target) -> None:
    x = values((6, 70), float32)
    v, i = np.empty_like(x), np.empty(x.shape, np.int64)
    order(sorting.sort(operand(x)), [v, i], [x], target)
    assert np.array_equal(v, np.sort(x, 1)) and np.array_equal(np.take_along_axis(x, i, 1), v)
    out = np.empty_like(x)
    order(indexing.gather(operand(out), operand(x), operand(i), 1), [out], [x, i], target)
    assert np.array_equal(out, v)


@case
def random_numbers(target: Target) -> None:
    """The stream does not depend on the target; normals differ by what their functions differ."""
    for n in (5, 40, 700):
        for d, make in ((float32, random.uniform), (float64, random.uniform), (float32, random.normal)):
            got, own = np.empty(n, d.numpy), np.empty(n, d.numpy)
            first, second = random.State(7), random.State(7)
            emulate.run(make(operand(got)), [got], [], (first.address, 0.0, 1.0), target=target, blocks=[(first.address, BYTES)])
            with patch.object(host, "target", MACHINE):
                compiler.run(make(operand(own)), [own], [], (second.address, 0.0, 1.0))
            np.testing.assert_allclose(got, own, 4e-6, 1e-6)
            assert first.get_state() == second.get_state()


@case
def resampling(target: Target) -> None:
    x, y = values((2, 3, 9, 12), float32), np.empty((2, 3, 18, 24), np.float32)
    order(resample(operand(y), operand(x), spatial=2, mode="nearest"), [y], [x], target)
    assert np.array_equal(y, x.repeat(2, 2).repeat(2, 3))
