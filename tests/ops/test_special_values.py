"""NaN, infinities and the sign of zero in values and gradients, recorded from PyTorch 2.13 on x86-64."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

import facula
import facula.nn.functional as F

NAN, INF = math.nan, math.inf
SPECIAL = [NAN, INF, -INF, -0.0]
SCORES = [[NAN, 1.0, 2.0], [1.0, -INF, 2.0], [0.0, NAN, 1.0]]
LABELS = [[0, -1, -1], [1, 2, -1], [2, -1, 0]]

# name: (call, inputs, values, gradients of the sum)
CASES: dict[str, tuple[Callable[..., Any], list[Any], list[float], list[list[float]]]] = {
    "abs": (lambda x: facula.abs(x), [SPECIAL], [NAN, INF, INF, 0.0], [[0.0, 1.0, -1.0, 0.0]]),
    "angle": (lambda x: facula.angle(x), [SPECIAL], [NAN, 0.0, 3.14159, 0.0], [[0.0, 0.0, 0.0, 0.0]]),
    "clamp": (lambda x: facula.clamp(x, -1.0, 1.0), [SPECIAL], [NAN, 1.0, -1.0, -0.0], [[0.0, 0.0, 0.0, 1.0]]),
    "clamp by tensors": (
        lambda x, a, b: facula.clamp(x, a, b),
        [[0.0, NAN, 1.0, 5.0, 1.0], [2.0, 0.0, NAN, 1.0, -1.0], [1.0, 1.0, 1.0, NAN, 3.0]],
        [1.0, NAN, NAN, NAN, 1.0],
        [[0.0, 0.0, 0.0, 0.0, 1.0], [0.0, 0.0, 0.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0, 0.0]],
    ),
    "relu6": (lambda x: F.relu6(x), [[-0.0, 7.0, 2.0]], [-0.0, 6.0, 2.0], [[0.0, 0.0, 1.0]]),
    "hardsigmoid": (
        lambda x: F.hardsigmoid(x),
        [SPECIAL + [3.0, -3.0]],
        [NAN, 1.0, 0.0, 0.5, 1.0, 0.0],
        [[0.0, 0.0, 0.0, 0.166667, 0.0, 0.0]],
    ),
    "hardswish": (lambda x: F.hardswish(x), [SPECIAL + [3.0, -4.0]], [NAN, INF, NAN, -0.0, 3.0, -0.0], [[1.0, 1.0, 0.0, 0.5, 1.0, 0.0]]),
    "logsigmoid": (lambda x: F.logsigmoid(x), [[NAN, INF, -INF, 200.0]], [NAN, 0.0, -INF, 0.0], [[NAN, 0.0, 1.0, 0.0]]),
    "softshrink": (lambda x: F.softshrink(x), [SPECIAL], [NAN, INF, -INF, -0.0], [[1.0, 1.0, 1.0, 0.0]]),
    "logit": (lambda x: facula.logit(x), [[-0.0, 0.0, 1.0, NAN]], [-INF, -INF, INF, NAN], [[INF, INF, INF, NAN]]),
    "mvlgamma": (lambda x: facula.mvlgamma(x, 1), [[-0.0, 2.0]], [INF, 0.0], [[-INF, 0.422784]]),
    "nextafter": (
        lambda x, y: facula.nextafter(x, y),
        [[1.0, INF, NAN], [1.0, INF, 1.0]],
        [1.0, INF, NAN],
        [[0.0, 0.0, 1.0], [0.0, 0.0, 0.0]],
    ),
    "atan2": (
        lambda x, y: facula.atan2(x, y),
        [[1e-40, 0.0, 1.0], [0.0, -0.0, INF]],
        [1.5708, 3.14159, 0.0],
        [[0.0, -0.0, NAN], [-0.0, -0.0, -0.0]],
    ),
    "amax": (lambda x: facula.amax(x, 1), [[[NAN, 1.0], [2.0, 2.0]]], [NAN, 2.0], [[NAN, NAN, 0.5, 0.5]]),
    "max": (lambda x: facula.max(x), [[NAN, 1.0, NAN]], [NAN], [[0.5, 0.0, 0.5]]),
    "nanmedian": (lambda x: facula.nanmedian(x), [[NAN, 0.5, 2.0, 0.5, NAN]], [0.5], [[0.0, 0.5, 0.0, 0.5, 0.0]]),
    "logsumexp": (lambda x: facula.logsumexp(x, 1), [[[INF, 1.0], [-INF, 1.0]]], [INF, 1.0], [[NAN, 0.0, 0.0, 1.0]]),
    "renorm": (lambda x: facula.renorm(x, 2, 0, 1.0), [[[NAN, 1.0], [3.0, 4.0]]], [NAN, 1.0, 0.6, 0.8], [[1.0, 1.0, 0.032, -0.024]]),
    "cdist 0": (lambda x, y: facula.cdist(x, y, 0.0), [[[NAN, 1.0]], [[1.0, 2.0]]], [NAN], [[0.0, 0.0], [0.0, 0.0]]),
    "cdist 1": (lambda x, y: facula.cdist(x, y, 1.0), [[[NAN, 1.0]], [[1.0, 2.0]]], [NAN], [[NAN, -1.0], [NAN, 1.0]]),
    "pdist inf": (lambda x: F.pdist(x, INF), [[[NAN, 1.0], [1.0, 2.0]]], [NAN], [[NAN, NAN, NAN, NAN]]),
    "huber_loss": (
        lambda x: F.huber_loss(x, facula.zeros_like(x), reduction="none"),
        [SPECIAL],
        [NAN, INF, INF, 0.0],
        [[NAN, 1.0, -1.0, -0.0]],
    ),
    "smooth_l1_loss": (
        lambda x: F.smooth_l1_loss(x, facula.zeros_like(x), reduction="none"),
        [SPECIAL],
        [NAN, INF, INF, 0.0],
        [[NAN, 1.0, -1.0, -0.0]],
    ),
    "l1_loss": (lambda x: F.l1_loss(x, facula.zeros_like(x), reduction="none"), [SPECIAL], [NAN, INF, INF, 0.0], [[0.0, 1.0, -1.0, 0.0]]),
    "binary_cross_entropy": (
        lambda x, y: F.binary_cross_entropy(x, y, reduction="none"),
        [[0.0, 1.0, 0.5], [0.0, 0.0, 0.5]],
        [0.0, 100.0, 0.693147],
        [[0.0, 1000000000000.0, 0.0], [INF, -INF, -0.0]],
    ),
    "multi_margin_loss": (
        lambda x: F.multi_margin_loss(x, facula.tensor([0, 1, 2]), reduction="none"),
        [SCORES],
        [0.0, INF, 0.0],
        [[0.0, 0.0, 0.0, 0.333333, -0.666667, 0.333333, 0.0, 0.0, 0.0]],
    ),
    "multilabel_margin_loss": (
        lambda x: F.multilabel_margin_loss(x, facula.tensor(LABELS), reduction="none"),
        [SCORES],
        [0.0, INF, 0.0],
        [[0.0, 0.0, 0.0, 0.333333, -0.333333, 0.0, 0.0, 0.0, 0.0]],
    ),
    "hinge_embedding_loss": (
        lambda x: F.hinge_embedding_loss(x, facula.tensor([1.0, -1.0]), reduction="none"),
        [[NAN, NAN]],
        [NAN, NAN],
        [[1.0, 0.0]],
    ),
}

TOGETHER = (
    "max",
    "nanmedian",
    "pdist inf",
    "cdist 0",
    "cdist 1",
    "multi_margin_loss",
    "multilabel_margin_loss",
    "hinge_embedding_loss",
)  # not repeated


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("copies", [1, 9])
def test_recorded(name: str, copies: int) -> None:
    """Alone, and in tensors that fill vectors."""
    call, inputs, values, gradients = CASES[name]
    if name in TOGETHER:
        copies = 1
    tensors = [facula.tensor(x * copies, requires_grad=True) for x in inputs]
    out = call(*tensors)
    same(out, values)
    for got, want in zip(facula.autograd.grad(out, tensors, facula.ones_like(out)), gradients):
        same(got, want, signs=False)


def same(got: facula.Tensor, want: list[float], signs: bool = True) -> None:
    """The recorded numbers once or several times over."""
    flat = got.detach().reshape(-1).tolist()
    assert len(flat) % len(want) == 0
    for i, a in enumerate(flat):
        b = want[i % len(want)]
        assert (math.isnan(a) and math.isnan(b)) or math.isclose(a, b, rel_tol=1e-4, abs_tol=1e-12), (flat, want)
        assert not signs or math.isnan(b) or math.copysign(1, a) == math.copysign(1, b), (flat, want)


@pytest.mark.parametrize("name", ["silu", "gelu", "mish", "hardswish"])
def test_a_gradient_is_one_slope_times_what_arrives(name: str) -> None:
    """An infinity that arrives is not multiplied by terms of both signs, and a zero keeps its sign."""
    x = facula.tensor([0.5, -0.5, -1.1, 0.5], requires_grad=True)
    (slope,) = facula.autograd.grad(getattr(F, name)(x).sum(), x)
    (got,) = facula.autograd.grad(getattr(F, name)(x), x, facula.tensor([INF, -INF, INF, -0.0]))
    signs = slope.sign().tolist()
    assert got.tolist() == [INF * signs[0], -INF * signs[1], INF * signs[2], 0.0] and math.copysign(1, got[3].item()) == -1


def test_singular_values_of_what_is_not_finite_are_refused() -> None:
    x = facula.ones(2, 3, 3)
    x[1, 1, 1] = INF
    with pytest.raises(facula.linalg.LinAlgError, match=r"\(Batch element 1\): The algorithm failed to converge because the input"):
        facula.linalg.matrix_norm(x, 2)
    with pytest.raises(facula.linalg.LinAlgError, match=r"linalg\.svd: The algorithm failed to converge"):
        facula.linalg.norm(facula.full((2, 2), NAN), "nuc")


def test_the_gradient_of_qr_of_dependent_columns_is_not_finite() -> None:
    x = facula.tensor([[1.0, 0.0, 2.0], [2.0, 0.0, 1.0], [3.0, 0.0, 5.0], [1.0, 0.0, 1.0]], requires_grad=True)
    q, r = facula.linalg.qr(x)
    (got,) = facula.autograd.grad(r.sum() + q.sum(), x)
    assert got[:, 0].isnan().all() and got[:, 1].tolist() == [INF, INF, -INF, INF] and got[:, 2].isfinite().all()
