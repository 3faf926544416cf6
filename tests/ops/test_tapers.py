"""Window functions: derived checks, then PyTorch's numbers."""

from __future__ import annotations

import pytest

import facula
from facula.testing import derived

test_declared = derived("facula.ops.tapers")

RECORDED = {
    "hann_window": ([0.0, 0.25, 0.75, 1.0, 0.75, 0.25, 0.0], [0.0, 0.3454915, 0.9045085, 0.9045085, 0.3454915]),
    "hamming_window": ([0.08, 0.31, 0.77, 1.0, 0.77, 0.31, 0.08], [0.08, 0.3978522, 0.9121478, 0.9121478, 0.3978522]),
    "blackman_window": ([0.0, 0.13, 0.63, 1.0, 0.63, 0.13, 0.0], [0.0, 0.2007701, 0.8492299, 0.8492299, 0.2007701]),
    "bartlett_window": ([0.0, 1 / 3, 2 / 3, 1.0, 2 / 3, 1 / 3, 0.0], [0.0, 0.4, 0.8, 0.8, 0.4]),
    "kaiser_window": (
        [
            5.2773441320097665e-05,
            0.054759364131249516,
            0.5188447216723606,
            1.0,
            0.5188447216723606,
            0.054759364131249516,
            5.2773441320097665e-05,
        ],
        [5.2773441e-05, 0.1017200, 0.7929407, 0.7929407, 0.1017200],
    ),
}


@pytest.mark.parametrize("name", RECORDED)
def test_windows_are_pytorchs(name: str) -> None:
    symmetric, periodic = RECORDED[name]
    function = getattr(facula, name)
    assert facula.allclose(function(7, False, dtype=facula.float64), facula.tensor(symmetric, dtype=facula.float64), rtol=1e-12, atol=1e-12)
    assert facula.allclose(function(5), facula.tensor(periodic), rtol=1e-5, atol=1e-6)
    assert function(0).shape == (0,) and function(1).tolist() == [1.0] and function(3, requires_grad=True).requires_grad
    assert function(4, device="meta").is_meta and function(window_length=4, periodic=True).shape == (4,)
    with pytest.raises(RuntimeError, match=f"{name} expects floating point dtypes, got: "):
        function(4, dtype=facula.int64)
    with pytest.raises(TypeError, match=r"must be int, not float"):
        function(2.5)


def test_parameters_of_windows() -> None:
    assert facula.allclose(facula.hamming_window(6, True, 0.5, 0.4), facula.tensor([0.1, 0.3, 0.7, 0.9, 0.7, 0.3]))
    assert facula.allclose(
        facula.hamming_window(6, periodic=False, alpha=0.5), facula.tensor([0.04, 0.3579, 0.8721, 0.8721, 0.3579, 0.04]), atol=1e-4
    )
    assert facula.allclose(facula.kaiser_window(6, False, 5.0), facula.tensor([0.0367, 0.4149, 0.9138, 0.9138, 0.4149, 0.0367]), atol=1e-4)
    assert facula.hann_window(4, dtype=facula.bfloat16).tolist() == [0.0, 0.5, 1.0, 0.49609375]
