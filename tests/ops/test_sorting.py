"""What follows from the blocks of facula/ops/sorting.py."""

from __future__ import annotations

import math

from facula import ops
from facula.testing import derived

test_declared = derived("facula.ops.sorting")


def test_nan_goes_last_and_equal_elements_keep_their_order() -> None:
    values, indices = ops.sort(ops.tensor([2.0, float("nan"), 1.0, 2.0]))
    assert indices.tolist() == [2, 0, 3, 1] and values.tolist()[:3] == [1.0, 2.0, 2.0]
    assert ops.argsort(ops.tensor([1, 1, 0]), descending=True).tolist() == [0, 1, 2]


def test_medians_and_modes() -> None:
    x = ops.tensor([[3.0, 1.0, 2.0, 4.0], [5.0, float("nan"), 5.0, 0.0]])
    assert ops.median(x[0]).item() == 2.0 and math.isnan(ops.median(x).item()) and ops.nanmedian(x).item() == 3.0
    assert ops.nanmedian(x, 1).indices.tolist() == [2, 0] and ops.mode(x, 1).values.tolist() == [1.0, 5.0]
    assert ops.mode(x, 1).indices.tolist() == [1, 2]


def test_quantiles_lie_between_elements() -> None:
    x = ops.tensor([0.0, 1.0, 4.0, 9.0])
    assert ops.quantile(x, ops.tensor([0.0, 0.5, 1.0])).tolist() == [0.0, 2.5, 9.0]
    assert [ops.quantile(x, 0.4, interpolation=how).item() for how in ("lower", "higher", "midpoint", "nearest")] == [1.0, 4.0, 2.5, 1.0]
