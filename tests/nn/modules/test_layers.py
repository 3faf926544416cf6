"""Layers whose result a formula gives: normalisation, embeddings, convolution arguments, lazy shapes, dropout."""

from __future__ import annotations

import pytest

import facula
from facula import nn


def close(a, b, tolerance: float = 1e-5) -> None:
    assert a.shape == b.shape
    assert (a - b).abs().max().item() <= tolerance


def test_batch_norm_keeps_running_statistics() -> None:
    x = facula.randn(6, 3, 4)
    layer = nn.BatchNorm1d(3, momentum=0.5)
    mean, var = x.mean((0, 2)), x.var((0, 2), unbiased=False)
    close(layer(x), (x - mean[:, None]) / (var[:, None] + 1e-5).sqrt())
    close(layer.running_mean, 0.5 * mean)
    close(layer.running_var, 0.5 + 0.5 * x.var((0, 2)))
    assert layer.num_batches_tracked.item() == 1
    layer.eval()
    close(layer(x), (x - layer.running_mean[:, None]) / (layer.running_var[:, None] + 1e-5).sqrt())


def test_batch_norm_with_plain_mean_over_batches() -> None:
    layer = nn.BatchNorm1d(1, momentum=None)
    for value in (1.0, 4.0):
        layer(facula.tensor([[value], [value + 2]]))
    assert layer.running_mean.item() == pytest.approx(3.5)


@pytest.mark.parametrize(("make", "shape", "sentence"), [
    (lambda: nn.BatchNorm2d(2), (2, 2), "expected 4D input"),
    (lambda: nn.BatchNorm1d(2), (1, 2), "Expected more than 1 value per channel when training"),
    (lambda: nn.InstanceNorm1d(2), (2,), "expected 2D or 3D input"),
    (lambda: nn.GroupNorm(3, 4), (), r"num_channels \(4\) must be divisible by num_groups \(3\)"),
])  # fmt: skip
def test_norm_refusals(make, shape, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        make()(facula.ones(shape))


def test_layer_group_and_rms_norm() -> None:
    x = facula.randn(2, 4, 6)
    close(nn.LayerNorm(6)(x), (x - x.mean(-1, keepdim=True)) / (x.var(-1, unbiased=False, keepdim=True) + 1e-5).sqrt())
    g = x.reshape(2, 2, 12)
    close(
        nn.GroupNorm(2, 4)(x), ((g - g.mean(-1, keepdim=True)) / (g.var(-1, unbiased=False, keepdim=True) + 1e-5).sqrt()).reshape(2, 4, 6)
    )
    close(nn.RMSNorm(6, eps=1e-5)(x), x / (x.pow(2).mean(-1, keepdim=True) + 1e-5).sqrt())


def test_embedding_padding_and_pretrained() -> None:
    layer = nn.Embedding(4, 2, padding_idx=-1)
    assert layer.padding_idx == 3 and layer.weight[3].tolist() == [0, 0]
    layer(facula.tensor([[0, 3, 0]])).sum().backward()
    assert layer.weight.grad.tolist() == [[2, 2], [0, 0], [0, 0], [0, 0]]
    table = facula.arange(6.0).reshape(3, 2)
    frozen = nn.Embedding.from_pretrained(table)
    assert frozen(facula.tensor([2, 0])).tolist() == [[4, 5], [0, 1]] and not frozen.weight.requires_grad
    with pytest.raises(AssertionError, match="Padding_idx must be within num_embeddings"):
        nn.Embedding(3, 4, padding_idx=7)


def test_embedding_bag_modes() -> None:
    table = facula.tensor([[1.0, 2.0], [3.0, 1.0], [5.0, 0.0]])
    for mode, expected in (("sum", [[4, 3], [5, 0]]), ("mean", [[2, 1.5], [5, 0]]), ("max", [[3, 2], [5, 0]])):
        bag = nn.EmbeddingBag.from_pretrained(table, mode=mode)
        assert bag(facula.tensor([0, 1, 2]), facula.tensor([0, 2])).tolist() == expected
    with pytest.raises(ValueError, match="offsets has to be a 1D Tensor but got None"):
        bag(facula.tensor([0, 1]))


@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular"])
def test_convolution_pads_as_asked(mode: str) -> None:
    layer = nn.Conv1d(2, 3, 3, padding=1, padding_mode=mode)
    x = facula.randn(1, 2, 6)
    close(layer(x), nn.functional.conv1d(nn.functional.pad(x, (1, 1), mode), layer.weight, layer.bias))


def test_transposed_convolution_reaches_a_size() -> None:
    layer, x = nn.ConvTranspose2d(1, 1, 3, stride=2), facula.ones(1, 1, 3, 3)
    assert layer(x).shape == (1, 1, 7, 7) and layer(x, output_size=(8, 8)).shape == (1, 1, 8, 8)
    with pytest.raises(ValueError, match=r"requested an output size of \(10, 10\), but valid sizes range from \[7, 7\] to \[8, 8\]"):
        layer(x, output_size=(10, 10))


@pytest.mark.parametrize(("call", "sentence"), [
    (lambda: nn.Conv2d(3, 4, 3, groups=2), "in_channels must be divisible by groups"),
    (lambda: nn.Conv2d(3, 4, 3, stride=2, padding="same"), "padding='same' is not supported for strided convolutions"),
    (lambda: nn.Conv2d(3, 4, 3, padding="foo"), "Invalid padding string 'foo'"),
    (lambda: nn.ConvTranspose2d(1, 1, 1, padding_mode="reflect"), 'Only "zeros" padding mode is supported for ConvTranspose2d'),
    (lambda: nn.Dropout(2), "dropout probability has to be between 0 and 1, but got 2"),
])  # fmt: skip
def test_layer_refusals(call, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        call()


@pytest.mark.filterwarnings("ignore:Lazy modules")
def test_lazy_modules_become_ordinary() -> None:
    layer = nn.LazyLinear(3)
    assert layer.has_uninitialized_params()
    with pytest.raises(RuntimeError, match="Can't access the shape of an uninitialized parameter"):
        layer.weight.shape  # noqa: B018
    assert layer(facula.ones(2, 5)).shape == (2, 3)
    assert type(layer) is nn.Linear and layer.weight.shape == (3, 5) and layer.in_features == 5
    assert nn.LazyConv2d(3, 2, bias=False)(facula.ones(1, 4, 3, 3)).shape == (1, 3, 2, 2)
    loaded = nn.LazyLinear(2)
    loaded.load_state_dict({"weight": facula.ones(2, 4), "bias": facula.ones(2)})
    assert loaded(facula.ones(1, 4)).tolist() == [[5, 5]]


def test_dropout_scales_what_it_keeps() -> None:
    facula.manual_seed(0)
    y = nn.Dropout(0.25)(facula.ones(10_000))
    assert sorted(set(y.tolist())) == [0.0, pytest.approx(4 / 3)]
    assert 0.7 < (y > 0).float().mean().item() < 0.8
    channels = nn.Dropout2d(0.5)(facula.ones(8, 16, 2, 2)).flatten(2)
    assert (channels == channels[..., :1]).all()
    assert nn.Dropout(0.5).eval()(y) is not None
