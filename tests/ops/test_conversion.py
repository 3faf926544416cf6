"""What follows from the blocks of facula/ops/conversion.py."""

from __future__ import annotations

import pytest

import facula
from facula.testing import derived

test_declared = derived("facula.ops.conversion")


def test_contiguous_may_preserve_what_is_contiguous() -> None:
    x = facula.ones(2, 3)
    assert x.contiguous(memory_format=facula.preserve_format) is x
    with pytest.raises(RuntimeError, match="preserve memory format is unsupported"):
        x.t().contiguous(memory_format=facula.preserve_format)
