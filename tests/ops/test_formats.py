"""Which memory format results of convolution and pooling have: as in PyTorch 2.13, where it was looked up."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import facula
from facula import Tensor
from facula.testing import assert_close

F = facula.nn.functional
LAST = {4: facula.channels_last, 5: facula.channels_last_3d}


def lain(x: Tensor, last: bool) -> Tensor:
    """The values in memory of their own, in either format."""
    format = LAST[x.ndim] if last else facula.contiguous_format
    return x.detach().clone(memory_format=facula.contiguous_format).contiguous(memory_format=format).requires_grad_(x.is_floating_point())


def form(x: Tensor) -> str:
    if x.is_contiguous():
        return "C"
    return "L" if x.is_contiguous(memory_format=LAST[x.ndim]) else str(x.stride())


def agree(run: Callable[..., Tensor], *operands: Tensor, last: tuple[bool, ...]) -> str:
    """Formats of the result and of the gradients; values are those of contiguous operands, whatever the format of the result's gradient."""
    plain, formed = [lain(x, False) for x in operands], [lain(x, wanted) for x, wanted in zip(operands, last)]
    y, want = run(*formed), run(*plain)
    assert_close(y, want, rtol=1e-4, atol=1e-5)
    grad = facula.randn(y.shape, dtype=y.dtype)
    expected = facula.autograd.grad(want, plain, grad)
    for format in (False, True):
        got = facula.autograd.grad(y, formed, lain(grad, format).detach(), retain_graph=True)
        for x, e in zip(got, expected):
            assert_close(x, e, rtol=1e-4, atol=1e-4)
    return form(y) + " " + "".join(form(x) for x in got)


BOTH = [(True, False), (False, True), (True, True), (False, False)]


@pytest.mark.parametrize("n", (2, 3))
@pytest.mark.parametrize("last", BOTH, ids=str)
def test_convolution_is_channels_last_when_an_operand_is(n: int, last: tuple[bool, bool]) -> None:
    conv, transpose = getattr(F, f"conv{n}d"), getattr(F, f"conv_transpose{n}d")
    x, w = facula.randn(2, 4, *(7,) * n), facula.randn(6, 4, *(3,) * n)
    for run, weight in (
        (lambda x, w: conv(x, w, padding=1), w),
        (lambda x, w: conv(x, w, stride=2, dilation=2), w),
        (lambda x, w: conv(x, w, groups=2), w[:, :2]),
        (lambda x, w: transpose(x, w, stride=2), w[:4]),
    ):
        assert agree(run, x, weight, last=last) == ("L LL" if any(last) else "C CC")


@pytest.mark.parametrize("dtype", ("float32", "bfloat16"))
@pytest.mark.parametrize("last", BOTH, ids=str)
def test_one_tap_has_no_format_of_its_own(last: tuple[bool, bool], dtype: str) -> None:
    kind = getattr(facula, dtype)
    x, w, b = (facula.randint(-3, 4, s).to(kind) for s in ((2, 5, 4, 6), (7, 5, 1, 1), (7,)))
    assert agree(F.conv2d, x, w, last=last) == ("L LC" if last[0] else "C CC")
    y = F.conv2d(lain(x, last[0]), lain(w, last[1]), b)
    assert_close(y, F.conv2d(x, w) + b.view(1, -1, 1, 1))


def test_formats_that_shapes_leave_open() -> None:
    """One channel, one pixel: strides of what could be either."""
    cl = {"memory_format": facula.channels_last}
    x, w = facula.randn(2, 3, 6, 6), facula.randn(1, 3, 3, 3)
    assert F.conv2d(x.contiguous(**cl), w).stride() == (16, 1, 4, 1)
    assert F.conv2d(x, w).stride() == (16, 16, 4, 1)
    assert F.conv2d(x[:, :1].clone().contiguous(**cl), w[:, :1]).stride() == (16, 16, 4, 1)
    assert F.conv2d(facula.randn(2, 3, 3, 3).contiguous(**cl), facula.randn(5, 3, 3, 3)).stride() == (5, 1, 5, 5)
    assert F.conv2d(facula.randn(2, 3, 1, 1).contiguous(**cl), facula.randn(5, 3, 1, 1)).stride() == (5, 1, 1, 1)
    assert F.adaptive_avg_pool2d(x.contiguous(**cl), 1).stride() == (3, 1, 3, 3)
    assert F.adaptive_avg_pool3d(facula.randn(2, 3, 4, 4, 4).contiguous(memory_format=facula.channels_last_3d), 1).stride() == (
        3,
        1,
        3,
        3,
        3,
    )
    channels = facula.randn(2, 6, 6, 4).permute(0, 3, 1, 2)[:, :3]
    assert F.conv2d(channels, w).stride() == (16, 1, 4, 1) and F.max_pool2d(channels, 2).stride() == (27, 1, 9, 3)
    assert F.conv2d(x[0].contiguous(), w).stride() == F.conv2d(facula.randn(6, 6, 3).permute(2, 0, 1), w).stride() == (16, 4, 1)
    assert F.conv2d(facula.empty(0, 3, 6, 6, **cl), w).is_contiguous()


def test_types_decide_for_volumes() -> None:
    x, w = facula.randn(1, 2, 4, 4, 4), facula.randn(3, 2, 2, 2, 2)
    forms = {d: form(F.conv3d(lain(x, True).to(d), w.to(d))) for d in (facula.float32, facula.bfloat16, facula.float64)}
    assert list(forms.values()) == ["L", "L", "C"]
    whole = facula.randint(0, 9, (2, 3, 6, 6)).contiguous(memory_format=facula.channels_last)
    y = F.conv2d(whole, facula.randint(0, 9, (5, 3, 3, 3)))
    assert form(y) == "L" and form(F.max_pool2d(whole, 2)) == "L" and form(F.avg_pool2d(whole, 2)) == "L"


POOLS: dict[str, tuple[str, str]] = {  # of 2 and of 3 dims
    "max_pool": ("L L", "L L"),
    "avg_pool": ("L L", "C C"),
    "adaptive_avg_pool": ("L L", "C C"),
    "adaptive_max_pool": ("L L", "C C"),
}


@pytest.mark.parametrize("n", (2, 3))
@pytest.mark.parametrize("name", POOLS)
def test_pooling(name: str, n: int) -> None:
    pool: Any = getattr(F, f"{name}{n}d")
    x = facula.randperm(2 * 5 * 6**n).float().view(2, 5, *(6,) * n)
    assert agree(lambda x: pool(x, 2), x, last=(True,)) == POOLS[name][n - 2]
    assert agree(lambda x: pool(x, 2), x, last=(False,)) == "C C"
    if "avg" not in name:
        got, want = pool(lain(x, True), 2, return_indices=True), pool(x, 2, return_indices=True)
        assert [form(t) for t in got] == [POOLS[name][n - 2][0]] * 2
        assert facula.equal(got[1], want[1])


def test_overlapping_windows_and_large_ones() -> None:
    x = facula.randn(2, 5, 9, 8)
    for run in (
        lambda x: F.max_pool2d(x, 3, 2, 1),
        lambda x: F.max_pool2d(x, 17, 1, 8),
        lambda x: F.avg_pool2d(x, 3, 1, 1, count_include_pad=False),
        lambda x: F.max_pool2d(x, 2, return_indices=True)[0],
    ):
        assert agree(run, x, last=(True,)) == "L L"


def test_means_of_whole_planes() -> None:
    assert agree(lambda x: F.adaptive_avg_pool2d(x, 1), facula.randn(2, 5, 4, 4), last=(True,)) == "C C"  # a pixel is both
    assert agree(lambda x: F.adaptive_max_pool2d(x, 1), facula.randn(2, 5, 4, 4), last=(True,)) == "C L"


def test_unpooling() -> None:
    x = lain(facula.randn(2, 3, 6, 6), True)
    y, places = F.max_pool2d(x.detach(), 2, return_indices=True)
    assert agree(lambda y: F.max_unpool2d(y, places, 2), y, last=(True,)) == "L C"


@pytest.mark.parametrize("n", (2, 3))
def test_borders(n: int) -> None:
    x = facula.randn(2, 3, *(4,) * n)
    for pads in ((1, 2, 0, 1), (-1, 1, 2, -2, *(0, 0) * (n - 2), 0, 1)):
        assert agree(lambda x: F.pad(x, pads, value=0.5), x, last=(True,)) == "L L"  # noqa: B023
    for mode, forms in (("reflect", "L L"), ("replicate", "L L"), ("circular", "C C")):
        assert agree(lambda x: F.pad(x, (1, 2) * n, mode=mode), x, last=(True,)) == forms  # noqa: B023
    assert form(getattr(F, f"conv{n}d")(lain(x, True), facula.randn(5, 3, *(2,) * n), padding="same")) == "L"


def test_a_network_stays_channels_last() -> None:
    nn = facula.nn
    facula.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 12, 1), nn.ReLU(), nn.AvgPool2d(2)
    )
    x = facula.randn(2, 3, 16, 16)
    want = net(x)
    want.square().sum().backward()
    grads = [p.grad.clone() for p in net.parameters()]
    net.zero_grad()
    net = net.to(memory_format=facula.channels_last)
    y = x.contiguous(memory_format=facula.channels_last)
    for layer in net:
        y = layer(y)
        assert form(y) == "L"
    y.square().sum().backward()
    assert_close(y, want, rtol=1e-4, atol=1e-5)
    for p, g in zip(net.parameters(), grads):
        assert_close(p.grad, g, rtol=1e-3, atol=1e-4)
        assert p.grad.stride() == p.stride()


def test_examples_of_vmap_in_either_format() -> None:
    x, w = facula.randn(3, 2, 4, 6, 6), facula.randn(3, 5, 4, 3, 3)
    last = x.flatten(0, 1).contiguous(memory_format=facula.channels_last).unflatten(0, (3, 2))
    for other in (w, w[0]):
        run = facula.func.vmap(F.conv2d, in_dims=(0, 0 if other.ndim == 5 else None))
        np.testing.assert_allclose(run(last, other).numpy(), run(x, other).numpy(), rtol=1e-4, atol=1e-4)
    pool = facula.func.vmap(lambda x: F.max_pool2d(x, 2))
    assert facula.equal(pool(last), pool(x))
