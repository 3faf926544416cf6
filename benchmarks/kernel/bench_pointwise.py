"""Elementwise nests, copies and transposes: time, GB/s moved, next to a copy of as many bytes, NumPy and PyTorch in the same run.

    python -m benchmarks.kernel.bench_pointwise [--reference PYTHON] [--threads 1 2] [--only add ...]

PyTorch writes into a given output (`out=`), so that its page faults do not count. `share` is the copy's time over ours.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.kernel.bench_gemm import Job, operand
from benchmarks.kernel.bench_memory import Case, aligned, main
from facula.base.dtypes import float16, float32, float64
from facula.base.target import Target
from facula.kernel import scalar as s
from facula.kernel.pointwise import copy, pointwise

N = 10_000_000


def case(shape: tuple[int, ...], inputs: Callable[..., list[np.ndarray]], body: Any, torch: str, kind: type = np.float32) -> Case:
    """`torch`: the same with PyTorch, from tensors `x`, `ins` (as ours) and the output `o`."""

    def build(target: Target) -> tuple[Job, int]:
        out = aligned(np.zeros(shape, kind))
        ins = inputs(np.random.default_rng(0).standard_normal(shape).astype(kind))
        ins = [i if i.base is not None and i.ndim == 1 and i.strides[0] != i.itemsize else aligned(i) for i in ins]  # gaps stay
        seen = [np.broadcast_to(i, shape) for i in ins]
        made = body if callable(body) else lambda o, i: pointwise([o], i, body)
        schedule = made(operand(out), [operand(i) for i in seen])
        return Job(schedule, [out], seen, target), out.nbytes + sum(i.nbytes for i in ins)

    setup = f"o = torch.zeros({shape}, dtype=torch.{np.dtype(kind).name}); x = torch.randn({shape}).to(o.dtype)"
    return Case(build, setup, torch)


def moved(order: tuple[int, ...]) -> Callable[[np.ndarray], list[np.ndarray]]:
    back = tuple(np.argsort(order))
    return lambda x: [np.ascontiguousarray(x.transpose(order)).transpose(back)]


def transposed(o: Any, i: Any) -> Any:
    return copy(o, i[0])


X, Y = s.input(0, float32), s.input(1, float32)
CASES = {
    "copy": case((N,), lambda x: [x], [X], "o.copy_(x)"),
    "add": case((N,), lambda x: [x, x[::-1].copy()], [X + Y], "torch.add(x, y, out=o)"),
    "add_100k": case((100_000,), lambda x: [x, x.copy()], [X + Y], "torch.add(x, y, out=o)"),
    "add_float64": case(
        (N // 2,), lambda x: [x, x.copy()], [s.input(0, float64) + s.input(1, float64)], "torch.add(x, y, out=o)", np.float64
    ),
    "add_float16": case((N,), lambda x: [x, x.copy()], [s.input(0, float16) + s.input(1, float16)], "torch.add(x, y, out=o)", np.float16),
    "exp": case((N,), lambda x: [x], [s.exp(X)], "torch.exp(x, out=o)"),
    "tanh": case((N,), lambda x: [x], [s.tanh(X)], "torch.tanh(x, out=o)"),
    "gelu": case((N,), lambda x: [x], [0.5 * X * (1.0 + s.erf(X * 0.7071067811865476))], "torch.ops.aten.gelu.out(x, out=o)"),
    "bias": case((4000, 2500), lambda x: [x, x[0].copy()], [X + Y], "torch.add(x, x[0], out=o)"),
    "bias_10": case((1_000_000, 10), lambda x: [x, x[0].copy()], [X + Y], "torch.add(x, x[0], out=o)"),
    "per_channel": case((32, 64, 64, 64), lambda x: [x, x[0, :, :1, :1].copy()], [X * Y], "torch.mul(x, x[0, :, :1, :1], out=o)"),
    "transpose": case((2000, 4000), moved((1, 0)), transposed, "o.copy_(x.view(4000, 2000).t())"),
    "nchw_to_nhwc": case((32, 64, 56, 56), moved((0, 2, 3, 1)), transposed, "o.copy_(x.view(32, 56, 56, 64).permute(0, 3, 1, 2))"),
    "chw_to_hwc_uint8": case(
        (32, 224, 224, 3), moved((0, 3, 1, 2)), transposed, "o.copy_(x.view(32, 3, 224, 224).permute(0, 2, 3, 1))", np.uint8
    ),
    "interleave": case((1_000_000, 2), moved((1, 0)), transposed, "o.copy_(x.view(2, 1000000).t())"),
    "every_second": case((N // 2,), lambda x: [np.repeat(x, 2)[::2]], [X], "o.copy_(torch.cat([x, x])[::2])"),
}

if __name__ == "__main__":
    main(__doc__ or "", CASES)
