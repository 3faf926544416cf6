"""From samples to batches."""

from __future__ import annotations

from collections import OrderedDict, namedtuple

import numpy as np
import pytest

from facula import ops
from facula.base.dtypes import float32, float64, int64
from facula.utils.data import default_collate, default_convert
from facula.utils.data.collate import collate, default_collate_fn_map

Point = namedtuple("Point", "x y")


def test_leaves() -> None:
    assert default_collate([1, 2]).dtype == int64
    assert default_collate([1.0, 2.0]).dtype == float64
    assert default_collate(["a", "b"]) == ["a", "b"]
    assert default_collate([ops.zeros(2), ops.ones(2)]).tolist() == [[0, 0], [1, 1]]
    assert default_collate([np.zeros(2, np.float32), np.ones(2, np.float32)]).dtype == float32
    assert default_collate([np.float32(1), np.float32(2)]).dtype == float32
    assert default_collate([np.float64(1), np.float64(2)]).dtype == float64
    assert default_collate([True, False]).tolist() == [True, False]


def test_containers_keep_their_form() -> None:
    batch = default_collate([OrderedDict(a=(1, 2.0), b=[ops.zeros(1)]), OrderedDict(a=(3, 4.0), b=[ops.ones(1)])])
    assert type(batch) is OrderedDict and batch["a"][0].tolist() == [1, 3] and batch["b"][0].shape == (2, 1)
    point = default_collate([Point(1, 2), Point(3, 4)])
    assert type(point) is Point and point.y.tolist() == [2, 4]
    assert default_collate([(1, 2), (3, 4)])[1].tolist() == [2, 4]


def test_convert_changes_arrays_only() -> None:
    out = default_convert({"a": np.arange(2), "b": "text", "c": (1, np.float32(2))})
    assert out["a"].tolist() == [0, 1] and out["b"] == "text" and out["c"][0] == 1
    words = np.array(["x"])
    assert default_convert(words) is words


def test_a_map_adds_types() -> None:
    table = {**default_collate_fn_map, complex: lambda batch, *, collate_fn_map: sum(batch)}
    assert collate([(1j, 1), (2j, 2)], collate_fn_map=table)[0] == 3j


@pytest.mark.parametrize(
    ("batch", "kind", "match"),
    [
        ([object(), object()], TypeError, "batch must contain tensors, numpy arrays, numbers, dicts or lists; found <class 'object'>"),
        ([[1, 2], [3]], RuntimeError, "each element in list of batch should be of equal size"),
        ([np.array(["a"]), np.array(["b"])], TypeError, "found <U1"),
        ([None, None], TypeError, "found <class 'NoneType'>"),
    ],
)
def test_refusals(batch, kind, match) -> None:
    with pytest.raises(kind, match=match):
        default_collate(batch)
