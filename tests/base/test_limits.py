"""finfo and iinfo against NumPy and the standard's figures."""

from __future__ import annotations

import numpy as np
import pytest

from facula.base import dtypes as d
from facula.base.limits import finfo, iinfo


@pytest.mark.parametrize("kind", [d.float16, d.float32, d.float64])
def test_floats_as_numpy_knows_them(kind: d.dtype) -> None:
    ours, theirs = finfo(kind), np.finfo(kind.name)
    assert (ours.bits, ours.eps, ours.max, ours.min, ours.tiny) == (theirs.bits, theirs.eps, theirs.max, theirs.min, theirs.tiny)


def test_bfloat16() -> None:
    """Eight bits of exponent, seven of mantissa."""
    assert finfo(d.bfloat16).eps == 2**-7 and finfo(d.bfloat16).max == float.fromhex("0x1.fep127")
    assert finfo(d.complex64) == finfo(d.float32)


@pytest.mark.parametrize("kind", [d.uint8, d.int8, d.int16, d.int32, d.int64])
def test_integers(kind: d.dtype) -> None:
    ours, theirs = iinfo(kind), np.iinfo(kind.name)
    assert (ours.bits, ours.min, ours.max) == (theirs.bits, theirs.min, theirs.max)


def test_the_wrong_question() -> None:
    with pytest.raises(TypeError, match=r"Use torch.iinfo to handle 'torch.int32'"):
        finfo(d.int32)
    with pytest.raises(TypeError, match=r"Use torch.finfo to handle"):
        iinfo(d.float32)
