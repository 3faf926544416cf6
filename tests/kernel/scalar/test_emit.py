"""Emission against interpretation: every operator, every type, several widths."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from facula.base.dtypes import DTYPES, bfloat16, bool_, complex64, complex128, dtype, float16, float32, float64
from facula.base.target import X86_64_V3, Target
from facula.kernel import llvm, scalar
from facula.kernel.scalar import Scalar, emit, from_memory, interpret, to_memory, trace
from facula.runtime import host
from facula.runtime.ir import Module, vector

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")


def run(
    body: Callable[..., object], arrays: Sequence[np.ndarray], lanes: int = 8, numbers: Sequence[float] = (), target: Target | None = None
) -> list[np.ndarray]:
    """The body compiled over contiguous arrays (length a multiple of the lanes), through memory types on both sides."""
    target = target or host.target()
    kinds = [DTYPES[a.dtype.name] for a in arrays]
    exprs = trace(body, kinds, [float32] * len(numbers))
    outs = [np.zeros(arrays[0].shape, e.dtype.numpy) for e in exprs]
    m = Module(target)
    with m.function("k", "ptr words, ptr numbers, i64 n") as (f, words, nums, n):
        pointers = f.words(words, *["ptr"] * (len(kinds) + len(exprs)))
        values = [f.load("float", nums, i) for i in range(len(numbers))]
        with f.range(0, n, max(lanes, 1)) as i:
            xs = [_load(f, p, i, d, lanes) for p, d in zip(pointers, kinds)]
            index = i if not lanes else f.splat(i, lanes) + f.lanes(vector(lanes, "i64"), range(lanes))
            for y, e, p in zip(emit(exprs, f, xs, values, index), exprs, pointers[len(kinds) :]):
                for part, v in enumerate(y if isinstance(y, tuple) else (y,)):
                    stored = to_memory(f, v if not lanes or v.type[0] == "<" else f.splat(v, lanes), e.dtype)
                    if not isinstance(y, tuple):
                        f.store(stored, p, i)
                        continue
                    for lane in range(max(lanes, 1)):
                        f.store(f.extract(stored, lane) if lanes else stored, p, (i + lane) * 2 + part)
    words = (ctypes.c_uint64 * (len(arrays) + len(outs)))(*[a.ctypes.data for a in (*arrays, *outs)])
    nums = (ctypes.c_float * max(len(numbers), 1))(*numbers)
    address = llvm.load(m.text(), target)["k"]
    ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)(address)(
        ctypes.addressof(words), ctypes.addressof(nums), arrays[0].size
    )
    return outs


def _load(f, p, i, d: dtype, lanes: int):  # type: ignore[no-untyped-def]
    if not d.is_complex:
        return from_memory(f, f.load(vector(lanes, d.llvm), p, i), d)
    if not lanes:
        return f.load(d.llvm, p, i * 2), f.load(d.llvm, p, i * 2 + 1)
    both = f.load(vector(2 * lanes, d.llvm), p, i * 2)
    return f.shuffle(both, None, range(0, 2 * lanes, 2)), f.shuffle(both, None, range(1, 2 * lanes, 2))


def samples(d: dtype, seed: int = 0, count: int = 256) -> np.ndarray:
    rng = np.random.default_rng(seed)
    if d is bool_:
        return rng.integers(0, 2, count).astype(bool)
    if d.is_integral:
        info = np.iinfo(d.numpy)
        x = rng.integers(info.min, info.max, count, dtype=d.numpy, endpoint=True)
        x[::3] = rng.integers(-5 if d.is_signed else 0, 9, x[::3].size)
        x[:6] = [0, 1, info.min, info.max, 2, info.max - 1]
        return rng.permutation(x)
    x = rng.normal(size=count) * 10.0 ** rng.integers(-3, 4, count)
    x[:6] = [0.0, -0.0, np.inf, -np.inf, np.nan, 1.0]
    x = rng.permutation(x)
    return (x + 1j * rng.normal(size=count) if d.is_complex else x).astype(d.numpy)


def agree(body: Callable[..., object], arrays: Sequence[np.ndarray], rtol: float = 0.0, numbers: Sequence[float] = ()) -> None:
    kinds = [DTYPES[a.dtype.name] for a in arrays]
    with np.errstate(all="ignore"):
        want = interpret(trace(body, kinds, [float32] * len(numbers)), [a.astype(d.compute.numpy) for a, d in zip(arrays, kinds)], numbers)
    for lanes, target in ((8, None), (0, None), (4, X86_64_V3)):
        for got, w in zip(run(body, arrays, lanes, numbers, target), want):
            np.testing.assert_allclose(got, np.broadcast_to(w, got.shape), rtol=rtol, atol=0, err_msg=f"{lanes} lanes")


INTEGERS = [d for d in DTYPES.values() if d.is_integral]


@pytest.mark.parametrize("d", INTEGERS, ids=lambda d: d.name)
def test_integers_wrap_and_divide_as_python(d: dtype) -> None:
    a, b = samples(d, 1), samples(d, 2)
    agree(lambda x, y: (x + y, x - y, x * y, -x, abs(x), x // y, x % y, scalar.fmod(x, y), scalar.trunc_divide(x, y)), [a, b])
    agree(lambda x, y: (x & y, x | y, x ^ y, ~x, x << (y & 7), x >> (y & 7), x << y, x >> y), [a, b])
    agree(lambda x, y: (x < y, x <= y, x > y, x >= y, x == y, x != y, scalar.minimum(x, y), scalar.maximum(x, y), scalar.sign(x)), [a, b])
    agree(lambda x, y: (x**3, scalar.pow(x, y)), [a, b])
    agree(lambda x, y: scalar.gcd(x & 63, y & 63), [a, b])


def test_integer_division_never_traps() -> None:
    a = np.array([-(2**63), 5, -7, 0] * 8, np.int64)
    b = np.array([-1, 0, 0, 0] * 8, np.int64)
    q, r = run(lambda x, y: (x // y, x % y), [a, b])
    assert q[0] == -(2**63) and r[0] == 0 and not q[1:4].any() and not r[1:4].any()


@pytest.mark.parametrize("d", [float32, float64], ids=lambda d: d.name)
def test_floating_arithmetic_is_exact(d: dtype) -> None:
    a, b = samples(d, 1), samples(d, 2)
    agree(lambda x, y: (x + y, x - y, x * y, x / y, -x, abs(x), scalar.sqrt(x)), [a, b])
    agree(lambda x, y: scalar.fma(x, y, x), [a, b], rtol=0 if d is float32 else 3e-16)
    agree(lambda x, y: (x < y, x <= y, x > y, x >= y, x == y, x != y, scalar.isnan(x), scalar.isinf(x), scalar.isfinite(x)), [a, b])
    agree(lambda x, y: (scalar.floor(x), scalar.ceil(x), scalar.trunc(x), scalar.round(x), scalar.sign(x), scalar.relu(x)), [a, b])
    agree(lambda x, y: (scalar.where(x < y, x, y), scalar.clamp(x, -1.0, 1.0), x // y, x % y, scalar.hypot(x, y)), [a, b], rtol=3e-7)


def test_bool() -> None:
    a, b = samples(bool_, 1), samples(bool_, 2)
    agree(lambda x, y: (x & y, x | y, x ^ y, ~x, x == y, x < y, x + y, x * y, scalar.maximum(x, y), scalar.cast(x, float32)), [a, b])


@pytest.mark.parametrize("source", [d for d in DTYPES.values() if d.name not in ("complex32", "float16", "bfloat16")], ids=lambda d: d.name)
def test_casts(source: dtype) -> None:
    x = samples(source)
    real = x.real if source.is_complex else x
    x = x[np.isfinite(real) & (np.abs(real.astype(np.float64)) < 100) & (real >= 0)] if not source.is_integral else x
    x = np.resize(x, 64)
    targets = [d for d in DTYPES.values() if d.name not in ("complex32", "float16", "bfloat16")]
    agree(lambda v: tuple(scalar.cast(v, d) for d in targets), [x])


def test_float_casts_out_of_range_are_the_same_on_every_width() -> None:
    x = np.resize(np.array([np.nan, np.inf, -np.inf, 1e20, -1e20, 300.7, -1.5, 3e9], np.float32), 64)
    body = lambda v: tuple(scalar.cast(v, DTYPES[n]) for n in ("int8", "uint8", "int16", "int32", "int64", "uint32"))  # noqa: E731
    first = run(body, [x], 8)
    for other in (run(body, [x], 0), run(body, [x], 4, target=X86_64_V3)):
        for a, b in zip(first, other):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("d", [float16, bfloat16], ids=lambda d: d.name)
def test_halves_round_once_to_even(d: dtype) -> None:
    bits = np.arange(1 << 16, dtype=np.uint16)
    x = bits.view(d.numpy)
    (same,) = run(lambda v: v, [x], 16)
    np.testing.assert_array_equal(same, x.astype(np.float32))
    wide = np.random.default_rng(0).integers(0, 1 << 32, 1 << 16, dtype=np.uint32).view(np.float32)
    m = Module(host.target())
    with m.function("k", "ptr out, ptr x, i64 n") as (f, out, xs, n), f.range(0, n, 16) as i:
        f.store(to_memory(f, f.load("<16 x float>", xs, i), d), out, i)
    got = np.zeros(wide.shape, d.numpy)
    address = llvm.load(m.text(), host.target())["k"]
    ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)(address)(got.ctypes.data, wide.ctypes.data, wide.size)
    want = wide.astype(d.numpy)
    np.testing.assert_array_equal(np.isnan(got), np.isnan(want))
    np.testing.assert_array_equal(got.view(np.uint16)[~np.isnan(want)], want.view(np.uint16)[~np.isnan(want)])


def test_a_cast_to_a_half_rounds_in_the_middle() -> None:
    x = np.random.default_rng(0).normal(size=64).astype(np.float32)
    (got,) = run(lambda v: scalar.cast(scalar.cast(v, float16), float32), [x])
    np.testing.assert_array_equal(got, x.astype(np.float16).astype(np.float32))


FUNCTIONS = [
    "exp",
    "log",
    "log1p",
    "expm1",
    "sqrt",
    "rsqrt",
    "sin",
    "cos",
    "tan",
    "asin",
    "acos",
    "atan",
    "sinh",
    "cosh",
    "tanh",
    "asinh",
    "acosh",
    "atanh",
    "sigmoid",
    "exp2",
    "log2",
    "log10",
    "sign",
]


@pytest.mark.parametrize("d", [complex64, complex128], ids=lambda d: d.name)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_complex_functions(name: str, d: dtype) -> None:
    rng = np.random.default_rng(4)
    z = (rng.normal(size=256) + 1j * rng.normal(size=256)).astype(d.numpy)
    agree(getattr(scalar, name), [z], rtol=2e-6 if d is complex64 else 1e-13)


@pytest.mark.parametrize("d", [complex64, complex128], ids=lambda d: d.name)
def test_complex_arithmetic(d: dtype) -> None:
    rng = np.random.default_rng(5)
    a, b = ((rng.normal(size=64) + 1j * rng.normal(size=64)).astype(d.numpy) for _ in range(2))
    agree(lambda x, y: (x + y, x - y, x * y, x / y, -x, abs(x), x == y, x != x), [a, b], rtol=5e-6 if d is complex64 else 1e-13)

    def body(x: Scalar, y: Scalar) -> tuple[Scalar, ...]:
        return scalar.angle(x), scalar.conj(x), scalar.real(x), scalar.pow(x, y)

    agree(body, [a, b], rtol=5e-6 if d is complex64 else 1e-13)
    agree(lambda x, y: scalar.complex_(scalar.real(x), scalar.imag(y)) * (1 + 2j), [a, b], rtol=1e-6)


def test_complex_division_and_modulus_do_not_overflow() -> None:
    z = np.full(8, 1e30 + 1e30j, np.complex64)
    quotient, size = run(lambda x: (x / x, abs(x)), [z])
    np.testing.assert_allclose(quotient, 1, rtol=1e-6)
    np.testing.assert_allclose(size, np.sqrt(2) * 1e30, rtol=1e-6)


def test_numbers_index_and_constants() -> None:
    x = np.arange(64, dtype=np.float32)
    agree(lambda v, a, b: v * a + b, [x], numbers=[2.5, -1.0])
    agree(lambda v: scalar.cast(scalar.index(), float32) + v, [x])
    agree(lambda v, a: (scalar.exp(a), 3), [x], numbers=[0.5], rtol=1e-6)


def test_a_rare_block_changes_nothing_but_its_lanes() -> None:
    x = np.arange(-32, 32, dtype=np.float32)
    body = lambda v: scalar.rare(v > 20, scalar.exp(v * 0.5), v) + v  # noqa: E731
    agree(body, [x], rtol=1e-6)


def test_a_rare_block_takes_no_registers_from_the_loop() -> None:
    """Without branch weights LLVM keeps the slow side's constants in registers and loads the fast side's for each vector."""
    m = Module(host.target())
    with m.function("k", "ptr x") as (f, x):
        (y,) = emit(trace(scalar.cos, [float32]), f, [f.load("<16 x float>", x)])
        assert not isinstance(y, tuple)
        f.store(y, x)
    assert "branch_weights" in m.text() and ", !prof !1" in m.text()


def test_lookup_reads_its_table_on_every_width() -> None:
    index = np.arange(-64, 64, dtype=np.int32)
    table = [float(np.float32(1 / (i + 3))) for i in range(16)]
    for lanes in (0, 4, 8, 16, 32):
        for target in (host.target(), X86_64_V3):
            if host.runs(target):
                (out,) = run(lambda i: scalar.lookup(i, table), [index], lanes, target=target)
                np.testing.assert_array_equal(out, np.float32(table)[index % 16])
    agree(lambda i: scalar.lookup(i, table), [index])
    with pytest.raises(TypeError, match="16 numbers, not int32 and 3"):
        scalar.lookup(scalar.input(0, DTYPES["int32"]), [1.0, 2.0, 3.0])


def test_an_unknown_derivative_says_so() -> None:
    with pytest.raises(NotImplementedError, match="trigamma"):
        scalar.derive([scalar.trigamma(scalar.input(0))], [scalar.const(1.0)], [scalar.input(0)])
    assert isinstance(scalar.input(0), Scalar)
