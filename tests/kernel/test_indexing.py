"""Reads and writes through indices and masks against their NumPy interpreters and NumPy's own indexing."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from facula.base.dtypes import float32, int64
from facula.base.target import Target
from facula.kernel.compiler import run
from facula.kernel.indexing import (
    check_indices,
    chunks,
    count_true,
    embedding_backward,
    gather,
    index_get,
    index_put,
    interpret_gather,
    interpret_index_get,
    interpret_index_put,
    interpret_scatter,
    masked_scatter,
    masked_select,
    nonzero,
    scatter,
    take_rows,
)
from facula.kernel.launch import Array
from facula.runtime import pool
from facula.testing.operands import operand

KINDS = ("f", "b", "d", "F", "D", "e")
# shape, shapes of the indices, dims they point into, place of their dims in the result
ADVANCED = [
    ((10,), [(5,)], [0], None), ((50, 7), [(20,)], [0], None), ((50, 7), [(3, 4)], [1], None), ((50, 300), [(1000,)], [0], None),
    ((5, 6, 7), [(4, 1), (3,)], [0, 2], None), ((5, 6, 7), [(4, 1), (3,)], [1, 2], None), ((5, 6, 7), [()], [1], None),
    ((5, 6, 7), [(2, 3)], [1], 0), ((5, 3), [(0,)], [0], None), ((1000,), [(100, 30)], [0], None),
]  # fmt: skip
# shape, shape of the index, dim
ALONG = [
    ((10,), (5,), 0), ((10,), (50,), 0), ((20, 30), (20, 5), 1), ((20, 30), (5, 30), 0), ((20, 30), (7, 11), 0), ((3, 40, 50), (3, 20, 50), 1),
    ((3, 40, 50), (2, 40, 9), 2), ((), (), 0), ((1,), (), 0), ((300, 500), (100, 500), 0), ((4, 5), (0, 5), 0),
]  # fmt: skip


def drawn(case: tuple[Any, ...], kind: str) -> tuple[np.ndarray[Any, Any], list[np.ndarray[Any, Any]]]:
    """Source and indices, also negative ones."""
    rng = np.random.default_rng(len(case[0]))
    shape, shapes, dims, _ = case
    source = (rng.standard_normal(shape) * 50).astype(kind)
    indices = [
        np.asarray(rng.integers(-shape[d], shape[d], s)).astype((np.int32, np.int64)[k % 2]) for k, (s, d) in enumerate(zip(shapes, dims))
    ]
    return source, indices


def result_shape(case: tuple[Any, ...]) -> tuple[int, ...]:
    shape, shapes, dims, place = case
    together = np.broadcast_shapes(*shapes)
    rest = [n for d, n in enumerate(shape) if d not in dims]
    if place is None:
        place = dims[0] if dims == list(range(dims[0], dims[0] + len(dims))) else 0
    return (*rest[:place], *together, *rest[place:])


@pytest.mark.parametrize("case", ADVANCED, ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_index_get(target: Target, case: tuple[Any, ...], kind: str) -> None:
    source, indices = drawn(case, kind)
    _, _, dims, place = case
    want = np.zeros(result_shape(case), kind)
    interpret_index_get(want, source, indices, dims, place)
    if place is None:
        key: list[Any] = [slice(None)] * source.ndim
        for d, i in zip(dims, indices):
            key[d] = i
        assert np.array_equal(want, source[tuple(key)])
    for view in (source, np.ascontiguousarray(source.T).T):
        out = np.zeros_like(want)
        run(index_get(operand(out), operand(view), [operand(i) for i in indices], dims, place), [out], [view, *indices])
        assert np.array_equal(out, want)


@pytest.mark.parametrize("case", ADVANCED, ids=str)
@pytest.mark.parametrize(
    ("kind", "reduce"), [("f", None), ("f", "sum"), ("f", "prod"), ("f", "amax"), ("F", None), ("F", "sum"), ("b", "amin"), ("e", "sum")]
)
def test_index_put(target: Target, case: tuple[Any, ...], kind: str, reduce: str | None) -> None:
    source, indices = drawn(case, kind)
    _, _, dims, place = case
    values = (np.random.default_rng(1).standard_normal(result_shape(case)) * 3).astype(kind)
    one = np.broadcast_to(np.asarray(values.reshape(-1)[0] if values.size else 0, kind), values.shape)
    for given in (values, one):
        out, want = source.copy(), source.copy()
        interpret_index_put(want, given, indices, dims, place, reduce)
        run(index_put(operand(out), operand(given), [operand(i) for i in indices], dims, place, reduce), [out], [given, *indices])
        assert np.array_equal(out, want)


@pytest.mark.parametrize("case", ALONG, ids=str)
def test_gather_and_scatter(target: Target, case: tuple[Any, ...]) -> None:
    shape, wide, dim = case
    rng = np.random.default_rng(0)
    source = np.asarray(rng.standard_normal(shape).astype(np.float32))
    index = np.asarray(rng.integers(0, shape[dim] if shape else 1, wide))
    want = np.zeros(wide, np.float32)
    interpret_gather(want, source, index, dim)
    for view in (source, np.ascontiguousarray(source.T).T):
        view = view.reshape(shape)
        out = np.zeros(wide, np.float32)
        run(gather(operand(out), operand(view), operand(index), dim), [out], [view, index])
        assert np.array_equal(out, want)
    values = np.asarray(rng.standard_normal(wide).astype(np.float32))
    for reduce in (None, "sum", "prod", "amin"):
        out, want = source.copy(), source.copy()
        interpret_scatter(want, values, index, dim, reduce)
        run(scatter(operand(out), operand(values), operand(index), dim, reduce), [out], [values, index])
        assert np.array_equal(out, want)


@pytest.mark.parametrize("case", ADVANCED, ids=str)
def test_writing_in_pieces(target: Target, case: tuple[Any, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """What one item writes is launched piece by piece, in order, so that signals are seen in between."""
    monkeypatch.setattr(importlib.import_module("facula.kernel.indexing.put"), "SERIAL", 7)
    for reduce in (None, "sum"):
        test_index_put(target, case, "f", reduce)
    source, indices = drawn(case, "f")
    schedule = index_put(operand(source), operand(np.zeros(result_shape(case), "f")), [operand(i) for i in indices], case[2], case[3])
    assert len(schedule.launches) > 1 or indices[0].size < 8


@pytest.mark.parametrize("case", ALONG, ids=str)
def test_scattering_in_pieces(target: Target, case: tuple[Any, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.import_module("facula.kernel.indexing.put"), "SERIAL", 7)
    test_gather_and_scatter(target, case)


@pytest.mark.parametrize(("rows", "width", "count"), [(10, 3, 100), (50, 16, 1000), (100, 64, 500), (30, 700, 90)])
def test_embedding_and_its_gradient(target: Target, rows: int, width: int, count: int) -> None:
    rng = np.random.default_rng(0)
    table, index = rng.standard_normal((rows, width)).astype(np.float32), rng.integers(0, rows, count)
    out = np.zeros((count, width), np.float32)
    run(take_rows(operand(out), operand(table), operand(index)), [out], [table, index])
    assert np.array_equal(out, table[index])
    want = np.zeros_like(table)
    np.add.at(want, index[index != 3], out[index != 3])
    got = set()
    before = pool.get_num_threads()
    try:
        for threads in (1, 2, 8):
            pool.set_num_threads(threads)
            grad = np.full_like(table, 9)
            run(embedding_backward(operand(grad), operand(out), operand(index), skip=3), [grad], [out, index])
            np.testing.assert_array_equal(grad, want)  # the same order of additions
            got.add(grad.tobytes())
    finally:
        pool.set_num_threads(before)
    assert len(got) == 1


@pytest.mark.parametrize("shape", [(0,), (1,), (5,), (8192,), (8193,), (100000,), (3, 4), (100, 200, 7), (), (2, 0)], ids=str)
@pytest.mark.parametrize(("kind", "share"), [("?", 0.4), ("f", 0.4), ("F", 0.4), ("b", 0.4), ("?", 0.0), ("?", 0.99), ("?", 1.0)])
def test_masks(target: Target, shape: tuple[int, ...], kind: str, share: float) -> None:
    """Words of 64 with none, some and all of them."""
    rng = np.random.default_rng(0)
    mask = np.asarray((rng.random(shape) < share) * 1).astype(kind)
    source = np.asarray(rng.standard_normal(shape))
    for view in (mask, np.ascontiguousarray(mask.T).T.reshape(shape)):
        counts = np.zeros(chunks(operand(view)), np.int64)
        run(count_true(operand(counts), operand(view)), [counts], [view])
        assert counts[-1] == np.count_nonzero(mask)
        out = np.zeros(counts[-1])
        run(masked_select(operand(out), operand(source), operand(view)), [out], [source, view, counts])
        assert np.array_equal(out, source[mask != 0])
        into, want = source.copy(), source.copy()
        want[mask != 0] = np.arange(counts[-1])
        given = np.arange(counts[-1], dtype=np.float64)
        run(masked_scatter(operand(into), operand(given), operand(view)), [into], [given, view, counts])
        assert np.array_equal(into, want)
        places = np.zeros((counts[-1], len(shape)), np.int64)
        run(nonzero(operand(places), operand(view)), [places], [view, counts])
        assert np.array_equal(places, np.argwhere(mask) if shape else places)


@pytest.mark.parametrize("shape", [(5,), (100, 300), (200000,)], ids=str)
@pytest.mark.parametrize("kind", [np.int32, np.int64])
def test_the_first_index_out_of_range_is_found(target: Target, shape: tuple[int, ...], kind: Any) -> None:
    index = np.random.default_rng(0).integers(-10, 10, shape).astype(kind)
    out = np.zeros((), np.int64)

    def first(wrap: bool = True, size: int = 10) -> int:
        run(check_indices(operand(out), operand(index), size, wrap), [out], [index])
        return int(out)

    assert first() == -1
    assert first(wrap=False) == np.argmax(index.reshape(-1) < 0)
    flat = index.reshape(-1)
    flat[-1] = -11
    assert first() == flat.size - 1
    flat[flat.size // 2] = 10
    assert first() == flat.size // 2
    assert first(size=12) == -1


def test_an_index_into_nothing_is_out_of_range(target: Target) -> None:
    out, index = np.zeros((), np.int64), np.zeros(3, np.int64)
    run(check_indices(operand(out), operand(index), 0), [out], [index])
    assert out == 0


def test_shapes_that_do_not_fit_are_refused() -> None:
    table, index = Array(float32, (5, 3), (3, 1)), Array(int64, (4,), (1,))
    with pytest.raises(ValueError, match=r"gives shape \(4, 3\)"):
        take_rows(Array(float32, (3, 3), (3, 1)), table, index)
    with pytest.raises(ValueError, match="could not be broadcast"):
        index_get(Array(float32, (4,), (1,)), table, [index, Array(int64, (3,), (1,))], [0, 1])


def test_reads_and_writes_run_on_every_size_of_thread_pool(target: Target) -> None:
    rng = np.random.default_rng(0)
    source, index = rng.standard_normal((300, 400)).astype(np.float32), rng.integers(0, 300, (500, 400))
    got: set[Sequence[bytes]] = set()
    before = pool.get_num_threads()
    try:
        for threads in (1, 2, 8):
            pool.set_num_threads(threads)
            out, into = np.zeros((500, 400), np.float32), source.copy()
            run(gather(operand(out), operand(source), operand(index), 0), [out], [source, index])
            run(scatter(operand(into), operand(out), operand(index), 0, "sum"), [into], [out, index])
            got.add((out.tobytes(), into.tobytes()))
    finally:
        pool.set_num_threads(before)
    assert len(got) == 1
