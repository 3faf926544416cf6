"""What follows from the blocks of facula/ops/arranging.py."""

from __future__ import annotations

import pytest

import facula
from facula.testing import derived

test_declared = derived("facula.ops.arranging")


@pytest.mark.parametrize(
    "repeated",
    [
        lambda x: x.repeat(1, 1),
        lambda x: x.repeat(4, 1, 3),
        lambda x: x.tile(2),
        lambda x: x.repeat_interleave(1),
        lambda x: x.repeat_interleave(3, 1),
    ],
)
def test_repeated_elements_have_memory_of_their_own(repeated) -> None:
    x = facula.ones(1, 1)
    y = repeated(x)
    y.reshape(-1)[0] = 5.0  # refused if the elements shared memory
    assert y.sum().item() == 4.0 + y.numel() and x.item() == 1.0


def test_borders_beyond_memory_are_refused_at_once() -> None:
    for mode in ("replicate", "constant"):
        with pytest.raises(RuntimeError):
            facula.nn.functional.pad(facula.ones(1, 1, 4), (2**60, 0), mode=mode)
