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


def test_flips_keep_the_order_of_strides() -> None:
    x = facula.randn(10, 12, 3).permute(2, 0, 1)
    assert x.flip(0).stride() == x.flip(1, 2).stride() == (1, 36, 3)
    assert facula.rot90(x).stride() == (36, 1, 3)
    assert x[:, ::2].flip(0).stride() == (1, 36, 3)[:1] + (36, 3)


@pytest.mark.parametrize("kind", ["float32", "bool", "bfloat16", "int64", "complex64"])
def test_triangles(kind: str) -> None:
    """Of wide, tall, turned and expanded matrices, and at diagonals far outside."""
    for shape in ((1, 1), (3, 5), (2, 40, 17), (70, 90), (0, 3), (2, 2, 1, 9)):
        plain = (facula.randn(shape) * 3).to(getattr(facula, kind))
        for x in (plain, plain.mT.contiguous().mT, plain[..., :1].expand(shape)):
            for diagonal in (0, 1, -2, 8, -8, 2**40, -(2**40)):
                row, column = facula.arange(shape[-2]).unsqueeze(1), facula.arange(shape[-1])
                below = (column - row <= diagonal).to(x.dtype)
                assert x.tril(diagonal).equal(x * below)
                assert x.triu(diagonal + 1).equal(x * (1 - below.to(facula.int32)).to(x.dtype))
