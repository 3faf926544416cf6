"""Losses against their formulas in Python numbers; reductions and refusals."""

from __future__ import annotations

import math

import pytest

import facula
import facula.nn.functional as F

X = [0.5, -1.0, 2.0, 0.0]
Y = [1.0, -1.0, 0.5, 2.0]


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def smooth(x: float, y: float, beta: float) -> float:
    d = abs(x - y)
    return 0.5 * d * d / beta if d < beta else d - 0.5 * beta


SIGNS = [1.0, -1.0, 1.0, -1.0]
FORMULAS = {
    "mse_loss": (F.mse_loss, X, Y, lambda x, y: (x - y) ** 2),
    "l1_loss": (F.l1_loss, X, Y, lambda x, y: abs(x - y)),
    "smooth_l1_loss": (lambda x, y, **k: F.smooth_l1_loss(x, y, beta=0.7, **k), X, Y, lambda x, y: smooth(x, y, 0.7)),
    "huber_loss": (lambda x, y, **k: F.huber_loss(x, y, delta=0.7, **k), X, Y, lambda x, y: 0.7 * smooth(x, y, 0.7)),
    "binary_cross_entropy_with_logits": (F.binary_cross_entropy_with_logits, X, [1.0, 0.0, 0.3, 1.0],
                                         lambda x, y: -y * math.log(sigmoid(x)) - (1 - y) * math.log(1 - sigmoid(x))),
    "binary_cross_entropy": (F.binary_cross_entropy, [0.2, 0.9, 0.5, 0.7], [1.0, 0.0, 0.3, 1.0],
                             lambda p, y: -y * math.log(p) - (1 - y) * math.log(1 - p)),
    "soft_margin_loss": (F.soft_margin_loss, X, SIGNS, lambda x, y: math.log(1 + math.exp(-y * x))),
    "hinge_embedding_loss": (F.hinge_embedding_loss, X, SIGNS, lambda x, y: x if y == 1 else max(0, 1 - x)),
    "poisson_nll_loss": (F.poisson_nll_loss, X, [1.0, 3.0, 0.0, 2.0], lambda x, y: math.exp(x) - y * x),
    "kl_div": (F.kl_div, X, [0.1, 0.2, 0.0, 0.7], lambda x, y: y * (math.log(y) - x) if y else 0.0),
}  # fmt: skip


@pytest.mark.parametrize("name", FORMULAS)
@pytest.mark.filterwarnings("ignore:reduction")
def test_elementwise_losses(name: str) -> None:
    loss, xs, ys, formula = FORMULAS[name]
    expected = [formula(x, y) for x, y in zip(xs, ys, strict=True)]
    x, y = facula.tensor(xs, requires_grad=True), facula.tensor(ys)
    assert loss(x, y, reduction="none").tolist() == pytest.approx(expected, rel=1e-5)
    assert loss(x, y, reduction="sum").item() == pytest.approx(sum(expected), rel=1e-5)
    mean = loss(x, y)
    assert mean.item() == pytest.approx(sum(expected) / 4, rel=1e-5)
    mean.backward()
    step = 1e-5
    for i, (a, b) in enumerate(zip(xs, ys, strict=True)):
        slope = (formula(a + step, b) - formula(a - step, b)) / (2 * step) / 4
        assert x.grad[i].item() == pytest.approx(slope, rel=1e-3, abs=1e-4)


def log_softmax(row: list[float]) -> list[float]:
    total = math.log(sum(math.exp(v) for v in row))
    return [v - total for v in row]


ROWS, LABELS, WEIGHTS = [[1.0, 2.0, -1.0], [0.5, 0.0, 3.0], [0.1, 0.2, 0.3]], [1, 0, 2], [0.5, 1.0, 2.0]


def test_cross_entropy() -> None:
    x, y = facula.tensor(ROWS), facula.tensor(LABELS)
    each = [-log_softmax(r)[t] for r, t in zip(ROWS, LABELS, strict=True)]
    assert F.cross_entropy(x, y, reduction="none").tolist() == pytest.approx(each, rel=1e-5)
    w = [WEIGHTS[t] for t in LABELS]
    by_weight = sum(a * b for a, b in zip(w, each, strict=True)) / sum(w)
    assert F.cross_entropy(x, y, weight=facula.tensor(WEIGHTS)).item() == pytest.approx(by_weight, rel=1e-5)
    assert F.cross_entropy(x, y, ignore_index=0).item() == pytest.approx((each[0] + each[2]) / 2, rel=1e-5)
    smoothed = [0.9 * e - 0.1 * sum(log_softmax(r)) / 3 for e, r in zip(each, ROWS, strict=True)]
    assert F.cross_entropy(x, y, label_smoothing=0.1).item() == pytest.approx(sum(smoothed) / 3, rel=1e-5)
    one_hot = facula.tensor([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    assert F.cross_entropy(x, one_hot).item() == pytest.approx(sum(each) / 3, rel=1e-5)
    assert F.nll_loss(x.log_softmax(1), y).item() == pytest.approx(sum(each) / 3, rel=1e-5)


def test_linear_cross_entropy_is_both() -> None:
    x, w, y = facula.randn(4, 3), facula.randn(5, 3), facula.tensor([0, 4, 2, 1])
    assert F.linear_cross_entropy(x, w, y).item() == pytest.approx(F.cross_entropy(x @ w.t(), y).item(), rel=1e-5)


def test_margins_between_classes() -> None:
    x, y = facula.tensor(ROWS), facula.tensor(LABELS)
    each = [sum(max(0, 1 - r[t] + v) for j, v in enumerate(r) if j != t) / 3 for r, t in zip(ROWS, LABELS, strict=True)]
    assert F.multi_margin_loss(x, y, reduction="none").tolist() == pytest.approx(each, rel=1e-5)
    labels = [[1, 2, -1], [0, -1, 2], [-1, 0, 1]]  # a row ends at its first -1
    sets = [{1, 2}, {0}, set()]
    each = [sum(max(0, 1 - r[t] + v) for t in s for j, v in enumerate(r) if j not in s) / 3 for r, s in zip(ROWS, sets, strict=True)]
    assert F.multilabel_margin_loss(x, facula.tensor(labels), reduction="none").tolist() == pytest.approx(each, rel=1e-5)


def test_pairs_and_triplets() -> None:
    a, b, y = facula.tensor([[3.0, 4.0], [1.0, 0.0]]), facula.tensor([[4.0, 3.0], [0.0, 1.0]]), facula.tensor([1, -1])
    assert F.cosine_embedding_loss(a, b, y, reduction="none").tolist() == pytest.approx([1 - 24 / 25, 0], abs=1e-6)
    assert F.margin_ranking_loss(facula.tensor([1.0]), facula.tensor([3.0]), facula.tensor([1.0]), margin=0.5).item() == 2.5
    near = math.sqrt(2)
    got = F.triplet_margin_loss(a, b, facula.zeros(2, 2), reduction="none").tolist()
    assert got == pytest.approx([max(0, near - 5 + 1), near - 1 + 1], rel=1e-4)
    assert F.triplet_margin_with_distance_loss(a, b, facula.zeros(2, 2)).item() == pytest.approx(sum(got) / 2, rel=1e-4)


def test_gaussian_nll() -> None:
    got = F.gaussian_nll_loss(facula.tensor(X), facula.tensor(Y), facula.tensor([1.0, 2.0, 0.5, 1.0]), full=True, reduction="sum").item()
    parts = [0.5 * (math.log(v) + (x - y) ** 2 / v + math.log(2 * math.pi)) for x, y, v in zip(X, Y, (1.0, 2.0, 0.5, 1.0), strict=True)]
    assert got == pytest.approx(sum(parts), rel=1e-5)


ONE = facula.ones(2, 3)


@pytest.mark.parametrize(
    ("call", "kind", "sentence"),
    [
        (lambda: F.mse_loss(ONE, ONE, reduction="abc"), ValueError, "abc is not a valid value for reduction"),
        (
            lambda: F.binary_cross_entropy_with_logits(ONE, facula.ones(3)),
            ValueError,
            r"Target size \(torch.Size\(\[3\]\)\) must be the same as input size \(torch.Size\(\[2, 3\]\)\)",
        ),
        (lambda: F.kl_div("x", ONE, reduction="sum"), TypeError, r"kl_div\(\): argument 'input' \(position 1\) must be Tensor, not str"),
        (lambda: F.triplet_margin_loss(ONE, ONE, ONE, margin=-1), ValueError, "margin must be greater than 0, got -1"),
        (lambda: F.multi_margin_loss(ONE, facula.ones(2)), RuntimeError, "expected scalar type Long but found Float"),
        (lambda: F.gaussian_nll_loss(ONE, ONE, -ONE), ValueError, "var has negative entry/entries"),
        (
            lambda: F.linear_cross_entropy(ONE, facula.ones(4, 2), facula.tensor([0, 1])),
            RuntimeError,
            "expected equal input and linear_weight last dim",
        ),
    ],
)
def test_refusals(call, kind: type, sentence: str) -> None:
    with pytest.raises(kind, match=sentence):
        call()


def test_sizes_that_differ_are_warned_of() -> None:
    with pytest.warns(UserWarning, match="Using a target size"):
        F.mse_loss(facula.ones(2, 3), facula.ones(3))
