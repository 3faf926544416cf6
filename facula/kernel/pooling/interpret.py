"""Pooling in NumPy, one output at a time: what the kernels mean."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


def interpret_max(x: np.ndarray, boxes: Sequence[Sequence[Sequence[int]]]) -> tuple[np.ndarray, np.ndarray]:
    """Maxima and flat indices; `boxes`: for each spatial dim the source coordinates of each output."""
    import numpy as np

    n = len(boxes)
    lead, size = x.shape[: x.ndim - n], x.shape[x.ndim - n :]
    planes = x.reshape(-1, *size)
    shape = tuple(map(len, boxes))
    y, index = np.zeros((len(planes), *shape), x.dtype), np.zeros((len(planes), *shape), np.int64)
    for p, at in itertools.product(range(len(planes)), np.ndindex(*shape)):
        best, where = None, 0
        sides: list[Sequence[int]] = [box[i] for box, i in zip(boxes, at)]
        for place in itertools.product(*sides):
            value = planes[(p, *place)]
            if best is None or value > best or value != value:
                best, where = value, int(np.ravel_multi_index(place, size))
        y[(p, *at)], index[(p, *at)] = best, where
    return y.reshape(*lead, *shape), index.reshape(*lead, *shape)


def interpret_average(x: np.ndarray, boxes: Sequence[Sequence[Sequence[int]]], divisors: np.ndarray) -> np.ndarray:
    """Sums over boxes, in float64, divided; `divisors` has the outputs' spatial shape."""
    import numpy as np

    n = len(boxes)
    planes = x.astype(np.float64).reshape(-1, *x.shape[x.ndim - n :])
    y = np.zeros((len(planes), *map(len, boxes)))
    for at in np.ndindex(*y.shape[1:]):
        picked = planes[(slice(None), *np.ix_(*(np.array(box[i], int) for box, i in zip(boxes, at))))]
        y[(slice(None), *at)] = picked.sum(tuple(range(1, n + 1))) / divisors[at]
    return y.reshape(*x.shape[: x.ndim - n], *y.shape[1:])


def interpret_average_backward(
    g: np.ndarray, boxes: Sequence[Sequence[Sequence[int]]], divisors: np.ndarray, size: Sequence[int]
) -> np.ndarray:
    import numpy as np

    n = len(boxes)
    planes = g.astype(np.float64).reshape(-1, *g.shape[g.ndim - n :])
    gx = np.zeros((len(planes), *size))
    for at in np.ndindex(*planes.shape[1:]):
        where = (slice(None), *np.ix_(*(np.array(box[i], int) for box, i in zip(boxes, at))))
        gx[where] += (planes[(slice(None), *at)] / divisors[at]).reshape(-1, *[1] * n)
    return gx.reshape(*g.shape[: g.ndim - n], *size)


def interpret_scatter(values: np.ndarray, index: np.ndarray, size: Sequence[int], add: bool) -> np.ndarray:
    """zeros (*, *size) with values added or put at flat indices; the last len(size) dims are the plane."""
    import numpy as np

    n = len(size)
    lead = values.shape[: values.ndim - n]
    planes = int(np.prod(lead))
    out = np.zeros((planes, int(np.prod(size))), np.float64)
    for p, (v, i) in enumerate(zip(values.reshape(planes, -1), index.reshape(planes, -1))):
        if add:
            np.add.at(out[p], i, v.astype(np.float64))
        else:
            out[p][i] = v
    return out.reshape(*lead, *size)


def window_boxes(
    size: Sequence[int],
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    result: Sequence[int],
) -> list[list[list[int]]]:
    """Source coordinates of each output along each dim."""
    lines = zip(size, kernel, stride, padding, dilation, result)
    return [[[c for c in range(o * s - p, o * s - p + k * d, d) if 0 <= c < n] for o in range(r)] for n, k, s, p, d, r in lines]
