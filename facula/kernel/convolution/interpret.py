"""Convolution in NumPy, in float64: what the kernels mean."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


def windows(
    size: Sequence[int],
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    result: Sequence[int],
) -> Iterator[tuple[tuple[int, ...], tuple[slice, ...], tuple[slice, ...]]]:
    """(tap, slices of the result, slices of the source) such that each pair of elements at the same place meets under the tap."""
    for tap in itertools.product(*map(range, kernel)):
        ours: list[slice] = []
        theirs: list[slice] = []
        for k, n, s, p, d, r in zip(tap, size, stride, padding, dilation, result):
            first = max(0, -(-(p - k * d) // s))
            last = min(r, (n - 1 + p - k * d) // s + 1)
            ours.append(slice(first, max(first, last)))
            begin = first * s - p + k * d
            theirs.append(slice(begin, begin + max(0, last - first) * s, s) if last > first else slice(0, 0))
        yield tap, tuple(ours), tuple(theirs)


def interpret_forward(
    x: np.ndarray, w: np.ndarray, result: Sequence[int], *, stride: Sequence[int], padding: Sequence[int], dilation: Sequence[int], groups: int,
    bias: np.ndarray | None = None,
) -> np.ndarray:  # fmt: skip
    """(N, C, *S), (O, C / groups, *K) -> (N, O, *result)."""
    import numpy as np

    n, o = len(x), len(w)
    x, w = x.astype(np.float64), w.astype(np.float64)
    y = np.zeros((n, groups, o // groups, *result))
    xs, ws = x.reshape(n, groups, -1, *x.shape[2:]), w.reshape(groups, o // groups, *w.shape[1:])
    for tap, ours, theirs in windows(x.shape[2:], w.shape[2:], stride, padding, dilation, result):
        y[(..., *ours)] += np.einsum("ngc...,goc->ngo...", xs[(..., *theirs)], ws[(..., *tap)])
    y = y.reshape(n, o, *result)
    return y if bias is None else y + bias.astype(np.float64).reshape(-1, *[1] * len(result))


def interpret_backward_input(
    g: np.ndarray,
    w: np.ndarray,
    size: Sequence[int],
    *,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    groups: int,
) -> np.ndarray:
    """(N, O, *R), (O, C / groups, *K) -> (N, C, *size)."""
    import numpy as np

    n, o = len(g), len(w)
    gs = g.astype(np.float64).reshape(n, groups, o // groups, *g.shape[2:])
    ws = w.astype(np.float64).reshape(groups, o // groups, *w.shape[1:])
    gx = np.zeros((n, groups, w.shape[1], *size))
    for tap, ours, theirs in windows(size, w.shape[2:], stride, padding, dilation, g.shape[2:]):
        gx[(..., *theirs)] += np.einsum("ngo...,goc->ngc...", gs[(..., *ours)], ws[(..., *tap)])
    return gx.reshape(n, -1, *size)


def interpret_backward_weight(
    g: np.ndarray,
    x: np.ndarray,
    kernel: Sequence[int],
    *,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    groups: int,
) -> np.ndarray:
    """(N, O, *R), (N, C, *S) -> (O, C / groups, *kernel)."""
    import numpy as np

    n, o = g.shape[:2]
    gs = g.astype(np.float64).reshape(n, groups, o // groups, *g.shape[2:])
    xs = x.astype(np.float64).reshape(n, groups, -1, *x.shape[2:])
    gw = np.zeros((groups, o // groups, xs.shape[2], *kernel))
    letters = "xyz"[: len(kernel)]
    for tap, ours, theirs in windows(x.shape[2:], kernel, stride, padding, dilation, g.shape[2:]):
        gw[(..., *tap)] = np.einsum(f"ngo{letters},ngc{letters}->goc", gs[(..., *ours)], xs[(..., *theirs)])
    return gw.reshape(o, -1, *kernel)
