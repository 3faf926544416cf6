"""Resizing and sampling on a grid: derived checks, and results known beforehand."""

from __future__ import annotations

import math

import facula
from facula.testing import derived

test_declared = derived("facula.ops.resampling")

F = facula.nn.functional


def test_nearest_repeats() -> None:
    x = facula.arange(4.0).view(1, 1, 4)
    assert F.interpolate(x, scale_factor=2).flatten().tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert F.interpolate(x, size=3, mode="nearest-exact").flatten().tolist() == [0, 2, 3]


def test_linear_functions_stay_linear() -> None:
    x = facula.arange(5.0).view(1, 1, 5, 1) + 3 * facula.arange(4.0)
    y = F.interpolate(x, size=(9, 7), mode="bilinear", align_corners=True)
    assert facula.allclose(y[0, 0], facula.linspace(0, 4, 9).view(9, 1) + 3 * facula.linspace(0, 3, 7), atol=1e-5)


def test_smooth_filter_keeps_the_mean_of_a_constant() -> None:
    x = facula.full((1, 2, 16, 16), 2.5)
    for mode in ("bilinear", "bicubic"):
        assert facula.allclose(F.interpolate(x, size=(5, 7), mode=mode, antialias=True), facula.full((1, 2, 5, 7), 2.5), atol=1e-5)


def test_the_identity_grid_returns_the_image() -> None:
    x = facula.randn(2, 3, 5, 4)
    theta = facula.tensor([[1.0, 0, 0], [0, 1, 0]]).expand(2, 2, 3)
    for align in (True, False):
        grid = F.affine_grid(theta, (2, 3, 5, 4), align)
        for mode in ("bilinear", "nearest", "bicubic"):
            assert facula.allclose(F.grid_sample(x, grid, mode, "border", align), x, atol=1e-5), (mode, align)


def test_a_grid_reads_nothing_outside_the_image() -> None:
    """Neighbours outside count as 0 even where the image holds no numbers; their share of the gradient goes nowhere."""
    x = facula.full((1, 1, 2, 2), float("inf"))
    x[0, 0, 1, 1] = 4.0
    x.requires_grad_()
    corner = facula.tensor([[[[1.0, 1.0]]]])  # half a pixel past the last one, along both dims
    y = F.grid_sample(x, corner, align_corners=False)
    assert y.item() == 1.0
    y.sum().backward()
    assert x.grad is not None and x.grad.flatten().tolist() == [0.0, 0.0, 0.0, 0.25]


def test_the_nearest_place_does_not_move() -> None:
    """The grid's gradient is zeros; a coordinate that is no number concerns its own result alone."""
    x = facula.arange(4.0).view(1, 1, 2, 2)
    grid = facula.tensor([[[[0.5, 0.5], [math.inf, 0.0]]]], requires_grad=True)
    y = F.grid_sample(x, grid, mode="nearest", align_corners=False)
    assert y.tolist() == [[[[3.0, 0.0]]]]
    y.sum().backward()
    assert grid.grad is not None and grid.grad.tolist() == [[[[0.0, 0.0], [0.0, 0.0]]]]


def test_a_sampled_image_is_one_kernel_over_its_channels() -> None:
    grid = facula.rand(1, 8, 8, 2)
    text = str(facula.explain(F.grid_sample, facula.ones(1, 64, 9, 9), grid, align_corners=False))
    assert text.count("kernel.sampling.emit_sample") == 1
