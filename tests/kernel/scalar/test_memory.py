"""Half precision between memory and arithmetic: whichever kernel writes a bfloat16, NaN is one pattern of bits."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import facula
import facula.nn.functional as F
from facula import Tensor

NANS = (0x7FC1, -0x40, -1, 0x7F81, -0x7F)  # quiet and signalling, either sign, with and without payload

WRITERS: dict[str, Callable[[Tensor], Tensor]] = {
    "conversion": lambda x: x.float().bfloat16(),
    "pointwise": lambda x: x + 1,
    "strided": lambda x: x.t() * 2,
    "reduction": lambda x: x.sum(1),
    "scan": lambda x: x.cumsum(1),
    "softmax": lambda x: F.softmax(x, 1),
    "layer norm": lambda x: F.layer_norm(x, x.shape[1:]),
    "mean pooling": lambda x: F.avg_pool2d(x[None, None], 2),
    "max pooling": lambda x: F.max_pool2d(x[None, None], 2),
    "product": lambda x: x @ facula.ones(x.shape[1], 24, dtype=facula.bfloat16),
    "product with a vector": lambda x: x @ facula.ones(x.shape[1], dtype=facula.bfloat16),
    "convolution": lambda x: F.conv2d(x[None, None], facula.ones(3, 1, 2, 2, dtype=facula.bfloat16)),
    "attention": lambda x: F.scaled_dot_product_attention(*[x[None, None]] * 3),
    "resizing": lambda x: F.interpolate(x[None, None], scale_factor=2, mode="bilinear"),
}


@pytest.mark.parametrize("how", WRITERS)
def test_a_bfloat16_nan_has_one_pattern(how: str) -> None:
    """PyTorch's conversion from float32 writes 0x7FC0 for every NaN."""
    bits = facula.tensor([NANS[i % 5] for i in range(18 * 20)], dtype=facula.int16)
    written = WRITERS[how](bits.view(facula.bfloat16).view(18, 20))
    assert written.dtype is facula.bfloat16
    assert set(written.contiguous().view(facula.int16).flatten().tolist()) == {0x7FC0}
