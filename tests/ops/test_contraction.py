"""Products of matrices: derived checks, then what only a person knows."""

from __future__ import annotations

import facula
from facula.testing import derived

test_declared = derived("facula.ops.contraction")


def test_linear_names_both_operands() -> None:
    layer = facula.nn.Linear(3, 4)
    try:
        layer(facula.ones(64, 5))
    except RuntimeError as error:
        assert str(error) == "mat1 and mat2 shapes cannot be multiplied (64x5 and 3x4)"
        assert "input (64, 5)" in error.received  # type: ignore[attr-defined]
    else:
        raise AssertionError("accepted 5 features for 3")


def test_gradients_of_products_over_nothing() -> None:
    a, b = facula.ones(5, 5, 0, requires_grad=True), facula.ones(0, 5, requires_grad=True)
    (a @ b).sum().backward()
    assert a.grad.shape == (5, 5, 0) and b.grad.shape == (0, 5)
