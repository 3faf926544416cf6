"""Norms of matrices and QR: derived checks, and identities."""

from __future__ import annotations

import facula
from facula.testing import derived

test_declared = derived("facula.ops.norms")


def test_qr_gives_the_matrix_back() -> None:
    x = facula.randn(5, 3, dtype=facula.float64, requires_grad=True)
    q, r = facula.qr(x)
    assert facula.allclose(q @ r, x) and facula.allclose(q.t() @ q, facula.eye(3, dtype=facula.float64))
    assert facula.autograd.gradcheck(lambda t: facula.qr(t)[1].abs(), (x,))


def test_norms_of_a_diagonal() -> None:
    x = facula.diag(facula.tensor([3.0, -4.0]))
    assert [facula.norm(x, p).item() for p in ("fro", "nuc", 1, 2)] == [5.0, 7.0, 7.0, 5.0]


def test_renorm_leaves_short_rows() -> None:
    x = facula.tensor([[3.0, 4.0], [0.3, 0.4]])
    assert facula.allclose(facula.renorm(x, 2, 0, 1.0), facula.tensor([[0.6, 0.8], [0.3, 0.4]]), atol=1e-5)
