"""Calling a module with other tensors than its own; clipping; vectors of parameters; weight and spectral norms; fusion."""

from __future__ import annotations

import pytest

import facula
from facula import nn
from facula.nn import utils
from facula.nn.utils.stateless import functional_call


def close(a, b, tolerance: float = 1e-5) -> None:
    assert a.shape == b.shape
    assert (a - b).abs().max().item() <= tolerance


def test_functional_call_leaves_the_module_alone() -> None:
    net = nn.Linear(2, 1)
    before = net.weight.tolist()
    given = {"weight": facula.tensor([[1.0, 2.0]], requires_grad=True), "bias": facula.zeros(1)}
    out = functional_call(net, given, (facula.ones(1, 2),))
    out.sum().backward()
    assert out.tolist() == [[3]] and given["weight"].grad.tolist() == [[1, 1]]
    assert net.weight.tolist() == before and net.weight.grad is None
    with pytest.raises(RuntimeError, match=r"Missing key\(s\): 'bias'"):
        functional_call(net, {"weight": given["weight"]}, (facula.ones(1, 2),), strict=True)


def test_tied_weights_are_replaced_together() -> None:
    net = nn.Sequential(nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False))
    net[1].weight = net[0].weight
    assert functional_call(net, {"0.weight": facula.full((1, 1), 3.0)}, (facula.ones(1, 1),)).item() == 9


def test_clipping() -> None:
    p = nn.Parameter(facula.zeros(2))
    p.grad = facula.tensor([3.0, 4.0])
    assert utils.clip_grad_norm_([p], 1.0).item() == 5
    close(p.grad, facula.tensor([0.6, 0.8]))
    utils.clip_grad_value_(p, 0.7)
    close(p.grad, facula.tensor([0.6, 0.7]))
    p.grad.fill_(float("inf"))
    with pytest.raises(RuntimeError, match="is non-finite, so it cannot be clipped"):
        utils.clip_grad_norm_(p, 1.0, error_if_nonfinite=True)


def test_parameters_as_a_vector() -> None:
    net = nn.Linear(2, 1)
    vector = utils.parameters_to_vector(net.parameters())
    assert vector.shape == (3,)
    utils.vector_to_parameters(facula.arange(3.0), net.parameters())
    assert net.weight.tolist() == [[0, 1]] and net.bias.tolist() == [2]


def test_weight_norm_keeps_the_function() -> None:
    net, x = nn.Linear(3, 2), facula.randn(4, 3)
    before = net(x)
    utils.weight_norm(net)
    assert sorted(n for n, _ in net.named_parameters()) == ["bias", "weight_g", "weight_v"]
    close(net(x), before)
    utils.remove_weight_norm(net)
    close(net(x), before)


def test_spectral_norm_bounds_the_largest_singular_value() -> None:
    net = utils.spectral_norm(nn.Linear(4, 4, bias=False), n_power_iterations=30)
    net(facula.ones(1, 4))
    x = facula.randn(50, 4)
    assert (net.eval()(x).norm(dim=1) / x.norm(dim=1)).max().item() <= 1.001


def test_fused_normalisation_computes_the_same() -> None:
    conv, bn = nn.Conv2d(2, 3, 2).eval(), nn.BatchNorm2d(3).eval()
    bn.running_mean.fill_(0.5)
    bn.running_var.fill_(2.0)
    x = facula.randn(1, 2, 4, 4)
    close(utils.fuse_conv_bn_eval(conv, bn)(x), bn(conv(x)))
