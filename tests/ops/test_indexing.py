"""What follows from the blocks of facula/ops/indexing.py."""

from __future__ import annotations

import facula as torch
from facula.testing import derived

test_declared = derived("facula.ops.indexing")


def test_a_mask_without_dims_keeps_or_empties_a_new_dim():
    yes, no = torch.tensor(True), torch.tensor(False)
    x = torch.ones(2, 3)
    assert x[yes].shape == (1, 2, 3) and x[:, no].shape == (2, 0, 3) and x[yes, 1].shape == (1, 3) and x[..., yes].shape == (2, 3, 1)
    y = torch.tensor(3.0)
    assert y[y > 2].tolist() == [3.0] and y[y < 2].shape == (0,)
    y[y < 0] = 7.0
    assert y.item() == 3
    y[y > 0] = 8.0
    assert y.item() == 8
