"""Sorting, top-k, k-th values and medians against NumPy's stable argsort."""

from __future__ import annotations

import importlib
from collections.abc import Callable

import numpy as np
import pytest

from facula.base import dtypes
from facula.kernel import compiler, sorting
from facula.kernel.launch import Array, Schedule
from facula.testing.operands import operand

ALL = ("bool", "uint8", "int8", "int16", "int32", "int64", "uint64", "float16", "bfloat16", "float32", "float64")


def rows(d: str, count: int, n: int) -> np.ndarray:
    """Values with ties, both zeros, infinities and NaN."""
    rng, kind = np.random.default_rng(n), dtypes.DTYPES[d].numpy
    if d == "bool":
        return rng.random((count, n)) < 0.5
    if kind.kind in "iu":
        info = np.iinfo(kind)
        x = rng.integers(info.min, info.max, (count, n), dtype=kind, endpoint=True)
        x[:, ::3] = x[:, :1]
        return x
    x = rng.standard_normal((count, n)).astype(kind)
    x[:, 1::5] = x[:, :1]
    for place, value in ((2, 0.0), (3, -0.0), (4, np.inf), (6, -np.inf), (7, np.nan), (8, -np.nan)):
        if n > place:
            x[:, place] = value
    return x


def order(x: np.ndarray, descending: bool = False) -> np.ndarray:
    """Stable, NaN largest."""
    if x.dtype.kind in "biu":
        keys = x.astype(object) * 1 if x.dtype == np.uint64 else x.astype(np.int64)
        return np.argsort(-keys if descending else keys, axis=1, kind="stable")
    wide = x.astype(np.float64)
    nan = np.isnan(wide)
    filled = np.where(nan, 0.0, wide) + 0.0
    return np.stack([np.lexsort((-f if descending else f, ~k if descending else k)) for f, k in zip(filled, nan)])


def same(a: np.ndarray, b: np.ndarray) -> bool:
    alike = (a == b) & (np.signbit(a.astype(np.float64)) == np.signbit(b.astype(np.float64))) if a.dtype.kind not in "biu" else a == b
    return bool((alike | ((a != a) & (b != b))).all())


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("d", ALL)
def test_sort(target: None, d: str, descending: bool) -> None:
    for count, n in ((1, 1), (3, 9), (2, 13), (2, 40), (3, 77), (2, 128), (2, 300), (1, 5000)):
        x = rows(d, count, n)
        values, indices = np.empty_like(x), np.full(x.shape, -1)
        compiler.run(sorting.sort(operand(x), descending), [values, indices], [x])
        assert (indices == order(x, descending)).all() and same(values, np.take_along_axis(x, indices, 1))


@pytest.mark.parametrize("largest", [False, True])
@pytest.mark.parametrize("d", ALL)
def test_topk(target: None, d: str, largest: bool) -> None:
    for count, n, k in ((1, 1, 1), (3, 9, 9), (2, 300, 50), (2, 1000, 7), (2, 300, 100)):
        x = rows(d, count, n)
        values, indices = np.empty((count, k), x.dtype), np.full((count, k), -1)
        compiler.run(sorting.topk(operand(x), k, largest), [values, indices], [x])
        want = order(x, largest)[:, :k]
        assert (indices == want).all() and same(values, np.take_along_axis(x, want, 1))


@pytest.mark.parametrize("d", ["int16", "int64", "float32", "float64", "bfloat16"])
def test_kthvalue_and_median(target: None, d: str) -> None:
    for count, n in ((2, 1), (3, 10), (3, 77), (1, 5001)):
        x = rows(d, count, n)
        values, indices = np.empty(count, x.dtype), np.full(count, -1)
        k = n // 3 + 1
        compiler.run(sorting.kthvalue(operand(x), k), [values, indices], [x])
        assert (indices == order(x)[:, k - 1]).all() and same(values, x[np.arange(count), indices])
        compiler.run(sorting.median(operand(x)), [values, indices], [x])
        nans = x != x
        want = [np.argmax(nans[i]) if nans[i].any() else order(x)[i, (n - 1) // 2] for i in range(count)]
        assert (indices == want).all() and same(values, x[np.arange(count), indices])


def test_rows_too_long_for_the_scratch_memory(target: None) -> None:
    x = np.random.default_rng(0).standard_normal((6, 300_000), dtype=np.float32)
    values, indices = np.empty_like(x), np.empty(x.shape, np.int64)
    compiler.run(sorting.sort(operand(x)), [values, indices], [x])
    assert (indices == np.argsort(x, axis=1, kind="stable")).all() and (values == np.sort(x, 1)).all()


@pytest.mark.parametrize("d", ALL)
def test_long_rows(target: None, d: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Passes in blocks, rows that do not fill the last one; ties and NaNs across blocks, rows whose digits are all equal."""
    passes = importlib.import_module("facula.kernel.sorting.passes")
    monkeypatch.setattr(passes, "LONG", 1 << 11)
    monkeypatch.setattr(passes, "BLOCK", (1 << 12, 1 << 14))
    monkeypatch.setattr(passes, "TOGETHER", 1 << 17)
    for count, n in ((3, 5000), (2, 70_001), (2, 131_072)):
        x = rows(d, count, n)
        x[-1, n // 2 :] = x[-1, 0]
        if n == 5000:
            x[1] = x[1, 0]
        for descending in (False, True):
            want = order(x, descending)
            values, indices = np.empty_like(x), np.full(x.shape, -1)
            compiler.run(sorting.sort(operand(x), descending), [values, indices], [x])
            assert (indices == want).all() and same(values, np.take_along_axis(x, want, 1))
            values, indices = np.empty((count, 3), x.dtype), np.full((count, 3), -1)
            compiler.run(sorting.part(operand(x), n - 3, 3, descending), [values, indices], [x])
            assert (indices == want[:, n - 3 :]).all() and same(values, np.take_along_axis(x, indices, 1))


@pytest.mark.parametrize("d", ALL)
def test_elements_by_their_rank(target: None, d: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ranks among equals that lie in several blocks, and of the first NaN."""
    monkeypatch.setattr(importlib.import_module("facula.kernel.sorting.passes"), "BLOCK", (1 << 12, 1 << 14))
    monkeypatch.setattr(importlib.import_module("facula.kernel.sorting.rank"), "AT_ONCE", 5)
    for count, n in ((7, 2049), (2, 70_001)):
        x = rows(d, count, n)
        x[0, 9:] = x[0, 9]
        if x.dtype.kind not in "biu":
            x[1] = np.where(np.isnan(x[1]), x.dtype.type(0), x[1])
        want, nans = order(x), x != x
        values, indices = np.empty(count, x.dtype), np.full(count, -1)
        for k in (1, n // 3, n):
            compiler.run(sorting.kthvalue(operand(x), k), [values, indices], [x])
            assert (indices == want[:, k - 1]).all() and same(values, x[np.arange(count), indices])
        compiler.run(sorting.median(operand(x)), [values, indices], [x])
        assert (indices == [np.argmax(nan) if nan.any() else at[(n - 1) // 2] for nan, at in zip(nans, want)]).all()
        for largest in (False, True):
            want = order(x, largest)
            for k in (65, n // 5, n // 2):
                values, indices = np.empty((count, k), x.dtype), np.full((count, k), -1)
                compiler.run(sorting.topk(operand(x), k, largest), [values, indices], [x])
                assert (indices == want[:, :k]).all() and same(values, np.take_along_axis(x, indices, 1))
            values, indices = np.empty(count, x.dtype), np.full(count, -1)


@pytest.mark.parametrize("d", ["int8", "float32", "float64"])
def test_topk_of_long_rows(target: None, d: str) -> None:
    for count, n in ((1, 3_145_800), (2, 2_097_152)):
        x = rows(d, count, n)
        for largest in (False, True):
            want = order(x, largest)[:, :64]
            for k in (1, 64):
                values, indices = np.empty((count, k), x.dtype), np.full((count, k), -1)
                compiler.run(sorting.topk(operand(x), k, largest), [values, indices], [x])
                assert (indices == want[:, :k]).all() and same(values, np.take_along_axis(x, indices, 1))


LONG = Array(dtypes.float32, (1, 100_000_000), (100_000_000, 1))


@pytest.mark.parametrize(
    "schedule",
    [
        pytest.param(lambda: sorting.sort(LONG), id="sort"),
        pytest.param(lambda: sorting.topk(LONG, 5), id="topk of few"),
        pytest.param(lambda: sorting.topk(LONG, 1_000_000), id="topk of many"),
        pytest.param(lambda: sorting.kthvalue(LONG, 50_000_000), id="kthvalue"),
        pytest.param(lambda: sorting.median(LONG), id="median"),
    ],
)
def test_no_run_of_a_long_row_keeps_signals_waiting(schedule: Callable[[], Schedule]) -> None:
    """Signals are looked at between runs of items, none of which may take 20 ms by estimate."""
    for launch in schedule().launches:
        runs = max(1, launch.total // launch.grain)
        assert (launch.bytes / 10 + launch.flops / 8) / runs < 20e6


def test_topk_of_rising_values(target: None) -> None:
    """Every element is inserted."""
    x = np.arange(3000, dtype=np.float32)[None]
    values, indices = np.empty((1, 64), np.float32), np.empty((1, 64), np.int64)
    compiler.run(sorting.topk(operand(x), 64), [values, indices], [x])
    assert (indices[0] == np.arange(2999, 2935, -1)).all()


@pytest.mark.parametrize("d", ALL)
@pytest.mark.parametrize("right", [False, True])
def test_search(target: None, d: str, right: bool) -> None:
    edges, wanted = rows(d, 3, 37), rows(d, 3, 11)
    if wanted.dtype.kind not in "biu":
        edges = np.where(edges != edges, np.zeros_like(edges), edges)
    edges = np.take_along_axis(edges, order(edges), 1)
    out, at = np.empty((3, 11), np.int64), np.empty((3, 11), np.int32)
    compiler.run(sorting.search(operand(out), operand(edges), operand(wanted), right), [out], [edges, wanted])
    compiler.run(sorting.search(operand(at), operand(edges[0]), operand(wanted), right), [at], [np.ascontiguousarray(edges[0]), wanted])
    side = "right" if right else "left"
    exact = (lambda x: x.astype(np.float64)) if wanted.dtype.kind not in "biu" else lambda x: x
    for row in range(3):
        np.testing.assert_array_equal(out[row], np.searchsorted(exact(edges[row]), exact(wanted[row]), side))
        np.testing.assert_array_equal(at[row], np.searchsorted(exact(edges[0]), exact(wanted[row]), side))
