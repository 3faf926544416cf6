"""Products of every dtype, shape and stride against NumPy in double precision (integers: exact, modulo their range)."""

from __future__ import annotations

import ctypes
import mmap

import ml_dtypes
import numpy as np
import pytest

from facula.base.dtypes import DTYPES, bfloat16, dtype
from facula.base.target import AARCH64, TARGETS, WASM32, X86_64_V3, X86_64_V4, X86_64_V4_BF16, Target
from facula.kernel import compiler
from facula.kernel.gemm import blocked, matmul, skinny
from facula.kernel.launch import Array, Kernel, Number, Schedule
from facula.kernel.scalar import clamp, relu, text, trace
from facula.runtime import host, pool
from facula.testing.operands import operand

NAMES = ("float32", "float64", "bfloat16", "float16", "complex64", "complex128", "int8", "uint8", "int16", "int32", "int64")
RUNNABLE = [t for t in TARGETS.values() if host.runs(t)]
EPS = {"float32": 2**-24, "float64": 2**-53, "bfloat16": 2**-24, "float16": 2**-24, "complex64": 2**-23, "complex128": 2**-52}
ROUND = {"bfloat16": 2**-8, "float16": 2**-11}  # of the result; also half of the smallest float16 step
SHAPES = [
    (1, 1, 1), (1, 7, 5), (7, 1, 5), (5, 3, 1), (4, 16, 16), (3, 33, 17), (14, 32, 4), (16, 48, 8), (15, 47, 9), (13, 31, 40), (64, 64, 64),
    (70, 100, 33), (130, 65, 129), (2, 0, 3), (0, 2, 3), (3, 5, 0), (40, 200, 0),
]  # fmt: skip
LARGE = [
    (200, 230, 90),
    (150, 150, 1100),
    (30, 600, 1300),
    (600, 30, 300),
    (10, 40, 9000),
    (8, 700, 600),
    (1, 900, 800),
    (900, 3, 800),
    (2, 2, 70000),
]


def random(rng: np.random.Generator, d: dtype, shape: tuple[int, ...]) -> np.ndarray:
    if d.is_integral:
        info = np.iinfo(d.numpy)
        return rng.integers(info.min, info.max, shape, d.numpy, endpoint=True)
    x = rng.standard_normal(shape)
    return (x + 1j * rng.standard_normal(shape) if d.is_complex else x).astype(d.numpy)


def laid(x: np.ndarray, how: str, fill: bool = True) -> np.ndarray:
    """The same values: rows or columns contiguous, a slice of something larger, or every second element."""
    *lead, m, n = x.shape
    if how == "columns":
        out = np.empty((*lead, n, m), x.dtype).swapaxes(-1, -2)
    elif how == "slice":
        out = np.zeros((*lead, m + 2, n + 3), x.dtype)[..., 1 : m + 1, 2 : n + 2]
    elif how == "strided":
        out = np.zeros((*lead, 3 * m + 1, 2 * n + 1), x.dtype)[..., : 3 * m : 3, : 2 * n : 2]
    else:
        out = np.empty(x.shape, x.dtype)
    if fill:
        out[...] = x
    return out


def wide(x: np.ndarray) -> np.ndarray:
    return x if x.dtype.kind in "iu" else x.astype(np.complex128 if x.dtype.kind == "c" else np.float64)


def product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):
        return np.matmul(wide(a), wide(b))


def check(got: np.ndarray, want: np.ndarray, d: dtype, size: np.ndarray, K: int) -> None:
    """`size` bounds the sum of the products' magnitudes."""
    if d.is_integral:
        np.testing.assert_array_equal(got, want)
        return
    bound = EPS[d.name] * (K + 4) * size + ROUND.get(d.name, 0) * np.abs(want) + (2**-24 if d.name == "float16" else 0) + 1e-300
    assert (np.abs(wide(got) - want) <= bound).all(), np.abs(wide(got) - want).max()


def run(
    a: np.ndarray, b: np.ndarray, d: dtype, target: Target, how: str = "rows", lead: tuple[int, ...] | None = None
) -> tuple[np.ndarray, Schedule]:
    shape = (*(a.shape[:-2] if lead is None else lead), a.shape[-2], b.shape[-1])
    out = laid(np.zeros(shape, d.numpy), how, fill=False)
    out[...] = 99
    schedule = matmul(operand(out, d), operand(np.broadcast_to(a, (*shape[:-2], *a.shape[-2:])), d),
                      operand(np.broadcast_to(b, (*shape[:-2], *b.shape[-2:])), d), target=target)  # fmt: skip
    compiler.run(schedule, [out], [a, b], target=target)
    return out, schedule


@pytest.mark.parametrize("target", RUNNABLE, ids=lambda t: t.name)
@pytest.mark.parametrize("name", NAMES)
def test_every_dtype_and_shape(name: str, target: Target) -> None:
    d, rng = DTYPES[name], np.random.default_rng(1)
    for M, N, K in SHAPES + LARGE:
        if M * N * K > 3_000_000 and d.is_integral:
            continue
        a, b = random(rng, d, (M, K)), random(rng, d, (K, N))
        got, _ = run(a, b, d, target)
        check(got, product(a, b), d, np.abs(wide(a)) @ np.abs(wide(b)) if not d.is_integral else got, K)


@pytest.mark.parametrize("target", RUNNABLE, ids=lambda t: t.name)
@pytest.mark.parametrize("name", ("float32", "bfloat16", "complex64", "complex128", "int16"))
def test_every_stride(name: str, target: Target) -> None:
    d, rng = DTYPES[name], np.random.default_rng(2)
    layouts = ("rows", "columns", "slice", "strided")
    for M, N, K in ((1, 40, 30), (5, 9, 7), (33, 50, 20), (100, 120, 110), (4, 500, 300), (300, 5, 300), (17, 20, 5000)):
        a, b = random(rng, d, (M, K)), random(rng, d, (K, N))
        want = product(a, b)
        size = np.abs(wide(a)) @ np.abs(wide(b)) if not d.is_integral else want
        for left in layouts:
            for right in layouts:
                got, _ = run(laid(a, left), laid(b, right), d, target)
                check(got, want, d, size, K)
        for how in layouts:
            got, _ = run(a, b, d, target, how)
            check(got, want, d, size, K)


def test_rows_and_columns_of_stride_zero() -> None:
    d, rng = DTYPES["float32"], np.random.default_rng(3)
    a, b = random(rng, d, (20, 30)), random(rng, d, (30, 40))
    for x, y in ((np.broadcast_to(a[:1], a.shape), b), (np.broadcast_to(a[:, :1], a.shape), b), (a, np.broadcast_to(b[:1], b.shape)), (a, np.broadcast_to(b[:, :1], b.shape))):  # fmt: skip
        got, _ = run(x, y, d, host.target())
        check(got, product(x, y), d, np.abs(wide(x)) @ np.abs(wide(y)), 30)


@pytest.mark.parametrize("name", ("float32", "complex64", "int64"))
@pytest.mark.parametrize(
    ("left", "right"),
    [
        ((3,), (3,)),
        ((2, 3), (2, 3)),
        ((), (4,)),
        ((4,), ()),
        ((2, 1), (1, 3)),
        ((2, 1, 2), (1, 3, 1)),
        ((0,), (0,)),
        ((2, 2, 2, 2), (2, 2, 2, 2)),
    ],
)
def test_batches(name: str, left: tuple[int, ...], right: tuple[int, ...]) -> None:
    d, rng = DTYPES[name], np.random.default_rng(4)
    lead = np.broadcast_shapes(left, right)
    for M, N, K in ((5, 6, 7), (1, 40, 8), (70, 150, 90), (150, 200, 200)):
        a, b = random(rng, d, (*left, M, K)), random(rng, d, (*right, K, N))
        got, _ = run(a, b, d, host.target(), lead=lead)
        size = got if d.is_integral else np.matmul(np.abs(wide(a)), np.abs(wide(b)))
        check(got, product(a, b), d, size, K)
    a = random(rng, d, (*left, 20, 30))  # a batch whose matrices interleave
    a = np.ascontiguousarray(np.moveaxis(a, -1, 0)).transpose(*range(1, a.ndim), 0)
    b = random(rng, d, (*right, 30, 10))
    got, _ = run(a, b, d, host.target(), lead=lead)
    check(got, product(a, b), d, got if d.is_integral else np.matmul(np.abs(wide(a)), np.abs(wide(b))), 30)


def test_a_broadcast_weight_makes_one_product() -> None:
    d = DTYPES["float32"]
    x, w = Array(d, (8, 16, 32), (512, 32, 1)), Array(d, (8, 32, 24), (0, 1, 32))
    schedule = matmul(Array(d, (8, 16, 24), (384, 24, 1)), x, w, target=X86_64_V4)
    assert schedule.launches[0].total == 1


@pytest.mark.parametrize("name", ("float32", "float64", "bfloat16", "complex64", "int32"))
def test_bias_factors_and_accumulation(name: str) -> None:
    d, rng, target = DTYPES[name], np.random.default_rng(5), host.target()
    alpha, beta = (2 - 1j, 0.5 + 2j) if d.is_complex else (3, -2) if d.is_integral else (0.5, 3.0)
    for M, N, K in ((4, 16, 16), (33, 50, 20), (150, 130, 140), (60, 70, 3000), (4, 600, 700), (70, 3, 30), (5, 7, 0)):
        a, b = random(rng, d, (M, K)), random(rng, d, (K, N))
        for shape in ((N,), (M, 1), (M, N), (1, 1)):
            u, old = random(rng, d, shape), random(rng, d, (M, N))
            size = 8 * (np.abs(wide(a)) @ np.abs(wide(b)) + np.abs(wide(u)) + np.abs(wide(old)) if not d.is_integral else old)
            for how, accumulate, by_number in (("rows", False, False), ("columns", True, True), ("rows", True, False)):
                out = laid(old, how)
                x, y = (Number(0, "i64"), Number(1, "i64")) if by_number else (alpha, beta)
                schedule = matmul(operand(out, d), operand(a, d), operand(b, d), bias=operand(u, d), alpha=x, beta=y, accumulate=accumulate)
                compiler.run(schedule, [out], [a, b, u], (alpha, beta), target=target)
                with np.errstate(over="ignore"):
                    factor = d.numpy.type if d.is_integral else complex if d.is_complex else float
                    want = factor(alpha) * product(a, b) + factor(beta) * wide(u) + (wide(old) if accumulate else 0)
                check(out, want, d, size, K)


def test_beta_zero_ignores_the_bias() -> None:
    d = DTYPES["float32"]
    a, b, u, out = np.ones((5, 4), np.float32), np.ones((4, 3), np.float32), np.full(3, np.nan, np.float32), np.zeros((5, 3), np.float32)
    for beta in (0.0, Number(0)):
        schedule = matmul(operand(out, d), operand(a, d), operand(b, d), bias=operand(u, d), beta=beta)
        compiler.run(schedule, [out], [a, b, u], (0.0,))
        assert (out == 4).all()


def test_nan_and_infinity_stay_in_their_rows_and_columns() -> None:
    d = DTYPES["float32"]
    a, b = np.ones((37, 45), np.float32), np.ones((45, 53), np.float32)
    a[3, 7], b[9, 11] = np.nan, np.inf
    got, _ = run(a, b, d, host.target())
    assert np.isnan(got[3]).all()
    rest = np.delete(got, 3, 0)
    assert (rest[:, 11] == np.inf).all()
    assert (np.delete(rest, 11, 1) == 45).all()


@pytest.mark.parametrize("name", ("float32", "bfloat16", "complex64"))
def test_the_number_of_threads_changes_no_bit(name: str, threads: None) -> None:
    d, rng = DTYPES[name], np.random.default_rng(6)
    for M, N, K in ((150, 130, 140), (3, 3000, 700), (700, 300, 1100), (10, 40, 20000), (2, 2, 90000), (20, 3000, 100)):
        a, b = random(rng, d, (M, K)), random(rng, d, (K, N))
        results = []
        for n in (1, 2, 8):
            pool.set_num_threads(n)
            for right in (b, laid(b, "columns")):
                results.append(run(a, right, d, host.target())[0].tobytes())
        assert results[0::2] == results[:1] * 3
        assert results[1::2] == results[1:2] * 3


class Guarded:
    """Arrays that end where an unreadable page begins, or begin where one ends."""

    def __init__(self) -> None:
        self.libc = ctypes.CDLL(None, use_errno=True)
        self.maps: list[mmap.mmap] = []

    def array(self, x: np.ndarray, at_end: bool) -> np.ndarray:
        page = mmap.PAGESIZE
        size = -(-max(1, x.nbytes) // page) * page
        area = mmap.mmap(-1, size + 2 * page)
        self.maps.append(area)
        base = ctypes.addressof(ctypes.c_char.from_buffer(area))
        for guard in (base, base + page + size):
            assert self.libc.mprotect(ctypes.c_void_p(guard), ctypes.c_size_t(page), 0) == 0
        offset = page + (size - x.nbytes if at_end else 0)
        out = np.frombuffer(area, x.dtype, x.size, offset).reshape(x.shape)
        out[...] = x
        return out


@pytest.mark.parametrize("target", RUNNABLE, ids=lambda t: t.name)
@pytest.mark.parametrize("name", ("float32", "bfloat16", "complex64", "int8"))
def test_nothing_outside_the_operands_is_touched(name: str, target: Target) -> None:
    """A wrong access ends the process here."""
    d, rng, guarded = DTYPES[name], np.random.default_rng(7), Guarded()
    for M, N, K in (
        (1, 1, 1),
        (3, 5, 7),
        (15, 33, 17),
        (14, 16, 16),
        (16, 16, 16),
        (50, 70, 37),
        (150, 131, 141),
        (3, 500, 301),
        (20, 700, 90),
        (6, 9, 9001),
    ):
        a, b = random(rng, d, (M, K)), random(rng, d, (K, N))
        want, size = product(a, b), np.abs(wide(a)) @ np.abs(wide(b)) if not d.is_integral else None
        for at_end in (False, True):
            for turn_a in (False, True):
                for turn_b in (False, True):
                    x = guarded.array(a.T, at_end).T if turn_a else guarded.array(a, at_end)
                    y = guarded.array(b.T, at_end).T if turn_b else guarded.array(b, at_end)
                    out = guarded.array(np.zeros((M, N), d.numpy), at_end)
                    compiler.run(matmul(operand(out, d), operand(x, d), operand(y, d), target=target), [out], [x, y], target=target)
                    check(out, want, d, want if size is None else size, K)


@pytest.mark.parametrize("target", (AARCH64, WASM32, X86_64_V3, X86_64_V4, X86_64_V4_BF16), ids=lambda t: t.name)
def test_every_kernel_compiles_for_every_target(target: Target) -> None:
    for name in ("float32", "bfloat16", "float16", "complex128", "int64"):
        for emit in (blocked.emit_tiles, blocked.emit_pack_b, blocked.emit_combine):
            assert compiler.object_code(Kernel(emit, (name,)), target)
    for name in ("float32", "bfloat16"):
        assert compiler.object_code(Kernel(skinny.emit_stream, (name,)), target)
        assert compiler.object_code(Kernel(skinny.emit_dots, (name,)), target)


def test_shapes_that_do_not_fit_are_refused() -> None:
    d = DTYPES["float32"]
    with pytest.raises(RuntimeError, match=r"mat1 and mat2 shapes cannot be multiplied \(64x5 and 3x4\)"):
        matmul(Array(d, (64, 4), (4, 1)), Array(d, (64, 5), (5, 1)), Array(d, (3, 4), (4, 1)))


def test_bfloat16_is_rounded_once() -> None:
    """Products sum in float32: each of the small ones alone would be lost beside 1."""
    a = np.full((1, 4), 1, ml_dtypes.bfloat16)
    b = np.array([[1.0], [2**-9], [2**-9], [2**-8]], ml_dtypes.bfloat16)
    got, _ = run(a, b, bfloat16, host.target())
    assert float(got[0, 0]) == 1 + 2**-7


@pytest.mark.parametrize("name", ("float32", "float64", "bfloat16"))
@pytest.mark.parametrize("how", ("rows", "columns"))
def test_epilogues(name: str, how: str) -> None:
    """One input: of alpha * sum + beta * bias; two: of both; numbers come at each call."""
    d, rng, target = DTYPES[name], np.random.default_rng(8), host.target()
    kind = d.compute
    clipped = text(trace(lambda x, low, high: clamp(x, low, high), [kind], [kind, kind]))
    gated = text(trace(lambda x, gate: relu(x) * gate, [kind, kind]))
    for M, N, K in ((4, 16, 16), (33, 50, 20), (150, 130, 140), (60, 70, 3000), (4, 600, 700)):
        a, b, u = random(rng, d, (M, K)), random(rng, d, (K, N)), random(rng, d, (N,))
        size = 2 * (np.abs(wide(a)) @ np.abs(wide(b))) * (1 + np.abs(wide(u)))
        total = product(a, b)
        for epilogue, numbers, want in (
            (clipped, (Number(0, "float" if kind.itemsize == 4 else "double"), 2.5), np.clip(total + wide(u), -1.5, 2.5)),
            (gated, (), np.maximum(total, 0) * wide(u)),
        ):
            out = laid(np.zeros((M, N), d.numpy), how)
            schedule = matmul(operand(out, d), operand(a, d), operand(b, d), bias=operand(u, d), epilogue=epilogue, numbers=numbers)
            compiler.run(schedule, [out], [a, b, u], (-1.5,), target=target)
            check(out, want, d, size, K)


def test_epilogues_are_for_real_floating_dtypes() -> None:
    d = DTYPES["int32"]
    x = Array(d, (2, 2), (2, 1))
    with pytest.raises(ValueError, match="no epilogue"):
        matmul(x, x, x, epilogue=text(trace(relu, [d])))
