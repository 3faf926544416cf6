"""The order of dims of results. Strides recorded from PyTorch 2.13."""

from __future__ import annotations

import pytest

import facula as torch

CASES = [
    (lambda: torch.ones(4).expand(3, 4).sin(), (4, 1)),
    (lambda: torch.ones(4).expand(3, 4).clone(), (4, 1)),
    (lambda: torch.empty_like(torch.ones(4).expand(3, 4)), (4, 1)),
    (lambda: torch.ones(2, 1, 4).expand(2, 3, 4) + torch.ones(3, 1), (12, 4, 1)),
    (lambda: torch.ones(4, 3).t() + torch.ones(3, 4), (1, 3)),
    (lambda: torch.ones(3, 4) + torch.ones(4, 3).t(), (4, 1)),
    (lambda: torch.ones(4) + torch.ones(4, 3).t(), (1, 3)),
    (lambda: torch.empty_strided((10, 1, 5), (1, 10, 10)).add(torch.ones(1, 10, 5)), (1, 10, 100)),
    (lambda: torch.ones(3, 1, 1) + torch.ones(2, 3, 4, 5).to(memory_format=torch.channels_last), (60, 1, 15, 3)),
    (lambda: torch.ones(3, 4)[::2].t().sin(), (1, 4)),
]


@pytest.mark.parametrize(("make", "strides"), CASES)
def test_order_of_dims(make: object, strides: tuple[int, ...]) -> None:
    assert make().stride() == strides  # type: ignore[operator]


def test_results_of_expanded_tensors_are_flat() -> None:
    assert torch.ones(4).expand(3, 4).sin().view(-1).shape == (12,)
