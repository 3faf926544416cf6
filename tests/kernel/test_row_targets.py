"""Kernels over rows, of attention, sorting, random numbers and optimizers become code for targets that this machine cannot run."""

from __future__ import annotations

import pytest

from facula.base.dtypes import bfloat16, float16, float32, float64, int64
from facula.base.target import AARCH64, WASM32, Target
from facula.kernel import attention, compiler, optimizer, random, rows, sorting
from facula.kernel.launch import Array, Schedule
from facula.runtime import host


def schedules() -> list[Schedule]:
    x, y, z = Array(float32, (4, 8), (8, 1)), Array(float16, (4, 8), (8, 1)), Array(bfloat16, (2, 3, 8), (24, 8, 1))
    q = Array(float32, (1, 1, 8, 8), (64, 64, 8, 1))
    w, n = Array(float64, (40,), (1,)), Array(int64, (4, 8), (8, 1))
    return [
        *(rows.softmax(a, 1) for a in (x, y, z)),
        rows.softmax_backward(x, x, 1, True),
        rows.layer_norm(y),
        rows.layer_norm_backward(x),
        rows.batch_norm(z),
        rows.batch_norm(x),
        rows.batch_norm_backward(x),
        rows.group_norm(z, 3),
        rows.group_norm_backward(z, 3),
        rows.cross_entropy(x),
        rows.cross_entropy_backward(z),
        attention.attention(q, q, q, q),
        attention.attention_backward(q, q, q, q, None, True, q, q, q, q),
        *(make(w) for make in (random.uniform, random.normal, random.bernoulli, random.exponential, random.log_normal, random.poisson)),
        random.normal(x),
        random.permutation(w),
        sorting.sort(x),
        sorting.topk(n, 3),
        sorting.median(y),
    ]


@pytest.mark.parametrize("target", [AARCH64, WASM32], ids=lambda t: t.name)
def test_other_targets(target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "target", lambda: target)
    kernels = {launch.kernel for schedule in schedules() for launch in schedule.launches}
    kernels.add(optimizer.kernel(optimizer.ADAM, float32, frozenset({"amsgrad"})))
    for kernel in kernels:
        assert compiler.object_code(kernel, target)
