"""Scans against their NumPy interpreter, for both vector targets, every form and dim."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import pytest

from facula.base.dtypes import bool_, complex64, float16, float32, int64
from facula.base.target import Target
from facula.kernel.compiler import run
from facula.kernel.launch import Array
from facula.kernel.reduction import Reducer, logsumexp_of, product_of, sum_of
from facula.kernel.scan import cummax_of, cummin_of, interpret_scan, scan
from facula.runtime import pool
from facula.testing.operands import operand

SHAPES = [(), (1,), (5,), (16,), (17,), (1000,), (3, 0), (0,), (7, 33), (33, 7), (40, 600), (600, 40), (3, 4, 5), (5, 230, 3)]


def agree(x: np.ndarray[Any, Any], dim: int, r: Reducer, kinds: str, tolerance: float = 0.0) -> None:
    outs = [np.full(x.shape, 77, kind) for kind in kinds]
    run(scan([operand(o) for o in outs], [operand(x)], dim, r), outs, [x])
    wanted = [o.copy() for o in outs]
    interpret_scan(wanted, [x], dim, r)
    for out, want in zip(outs, wanted):
        np.testing.assert_allclose(out, want, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_every_form(target: Target, shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    x = np.asarray(rng.standard_normal(shape).astype(np.float32))
    views = [x]
    if x.ndim > 1:
        views.append(np.ascontiguousarray(x.T).T)
    if x.ndim:
        views.append(rng.standard_normal((*shape[:-1], shape[-1] * 2)).astype(np.float32)[..., ::2])
    for view in views:
        for dim in range(max(1, view.ndim)):
            agree(view, dim, sum_of(float32), "f", 1e-4)
            whole = np.array(np.round(view), order="K")
            if whole.size > 20:
                whole.reshape(-1)[[whole.size // 2, whole.size // 2 + 1]] = np.nan
            agree(whole, dim, cummax_of(float32), "fq")
            agree(whole, dim, cummin_of(float32), "fq")
            agree(np.asarray(view > 0), dim, sum_of(bool_), "q")
            agree(np.asarray(view > 0), dim, cummin_of(bool_), "?q")
            agree(np.asarray(view).astype(np.float16), dim, sum_of(float16), "e", 1e-2)
            agree(np.asarray(view + 1j * view).astype(np.complex64), dim, product_of(complex64), "F", 1e-4)
            agree(view, dim, logsumexp_of(float32), "f", 1e-4)


@pytest.mark.parametrize(
    ("shape", "dim"), [((200001,), -1), ((2, 140000), -1), ((50001, 5), 0), ((2, 3001, 70), 1), ((70, 2500), 0)], ids=str
)
def test_long_rows_and_columns_in_pieces(target: Target, shape: tuple[int, ...], dim: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.import_module("facula.kernel.scan.nest"), "LONG", 1 << 17)
    x = np.random.default_rng(0).integers(-9, 9, shape)
    out = np.empty_like(x)
    schedule = scan([operand(out)], [operand(x)], dim, sum_of(int64))
    assert len(schedule.launches) == 3
    before = pool.get_num_threads()
    try:
        for threads in (1, 2, 8):
            pool.set_num_threads(threads)
            run(schedule, [out], [x])
            assert np.array_equal(out, x.cumsum(dim))
        if x.shape[dim] < 5000:  # the definition takes a step of Python for each place
            agree(x.astype(np.float16), dim, cummax_of(float16), "eq")
    finally:
        pool.set_num_threads(before)


def test_in_place(target: Target) -> None:
    for shape, dim in (((5, 100), 1), ((100, 50), 0)):
        x = np.arange(np.prod(shape)).reshape(shape)
        want = x.cumsum(dim)
        run(scan([operand(x)], [operand(x)], dim, sum_of(int64)), [x], [x])
        assert np.array_equal(x, want)


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="one shape"):
        scan([Array(float32, (3,), (1,))], [Array(float32, (4,), (1,))], 0, sum_of(float32))
