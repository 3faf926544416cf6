"""Complex numbers: derived checks, then what only a person knows."""

from __future__ import annotations

import facula
from facula.testing import derived

test_declared = derived("facula.ops.complex")


def test_parts_are_views() -> None:
    z = facula.complex(facula.tensor([1.0, 2.0]), facula.tensor([3.0, 4.0]))
    z.real.mul_(10)
    z.imag = 0.5
    assert z.tolist() == [10 + 0.5j, 20 + 0.5j] and facula.view_as_real(z).shape == (2, 2)


def test_gradient_is_the_conjugate_derivative() -> None:
    z = facula.tensor([1 + 2j], requires_grad=True)
    (z * z.conj()).real.sum().backward()
    assert z.grad.tolist() == [2 + 4j]


def test_gradients_of_what_is_put_together_from_parts() -> None:
    a, b = (facula.rand(3, dtype=facula.float64, requires_grad=True) for _ in range(2))
    for make in (facula.complex, facula.polar, lambda x, y: facula.view_as_complex(facula.stack([x, y], -1))):
        assert facula.autograd.gradcheck(lambda x, y, make=make: facula.view_as_real(make(x, y)), (a, b))


def test_a_real_tensor_is_its_own_real_part_and_conjugate() -> None:
    x = facula.ones(2)
    assert facula.real(x) is x and x.conj() is x and facula.angle(-x).tolist() == [facula.tensor(facula.pi).item()] * 2
