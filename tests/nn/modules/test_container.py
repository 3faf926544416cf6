"""Containers: lists and dicts of modules and of parameters."""

from __future__ import annotations

from collections import OrderedDict

import pytest

import facula
from facula import nn


def kinds(modules) -> list[str]:
    return [type(m).__name__ for m in modules]


def test_sequential_is_a_list_that_runs() -> None:
    net = nn.Sequential(nn.Linear(1, 2), nn.ReLU(), nn.Linear(2, 3))
    assert net(facula.ones(4, 1)).shape == (4, 3)
    assert kinds(net[:2]) == ["Linear", "ReLU"] and net[-1] is net[2]
    net.insert(1, nn.Tanh()).append(nn.ELU()).extend([nn.GELU()])
    assert kinds(net) == ["Linear", "Tanh", "ReLU", "Linear", "ELU", "GELU"]
    del net[0]
    assert list(net._modules) == ["0", "1", "2", "3", "4"] and isinstance(net.pop(0), nn.Tanh)
    assert kinds(net + nn.Sequential(nn.Tanh()))[-1] == "Tanh" and len(net * 2) == 2 * len(net)
    with pytest.raises(IndexError, match="index 9 is out of range"):
        net[9]
    with pytest.raises(ValueError, match="Non-positive multiplication factor 0"):
        net * 0


def test_sequential_with_names() -> None:
    net = nn.Sequential(OrderedDict(first=nn.Linear(1, 1), second=nn.ReLU()))
    net[0] = nn.GELU()
    assert repr(net) == "Sequential(\n  (first): GELU(approximate='none')\n  (second): ReLU()\n)"


def test_module_list() -> None:
    layers = nn.ModuleList([nn.Linear(1, 1), nn.ReLU(), nn.ReLU()])
    assert repr(layers) == "ModuleList(\n  (0): Linear(in_features=1, out_features=1, bias=True)\n  (1-2): 2 x ReLU()\n)"
    layers.insert(0, nn.Tanh())
    layers += [nn.ELU()]
    assert kinds(layers) == ["Tanh", "Linear", "ReLU", "ReLU", "ELU"] and kinds(layers[1:3]) == ["Linear", "ReLU"]
    assert isinstance(layers.pop(-1), nn.ELU) and len(layers) == 4
    with pytest.raises(TypeError, match=r"ModuleList\.extend should be called with an iterable, but got int"):
        layers.extend(3)
    with pytest.raises(TypeError, match="int is not a Module subclass"):
        layers.append(3)


def test_module_dict() -> None:
    table = nn.ModuleDict([("a", nn.ReLU())])
    table.update({"z": nn.ELU(), "b": nn.Tanh()})
    assert list(table) == ["a", "z", "b"] and "z" in table and isinstance(table.pop("a"), nn.ReLU)
    assert repr(table) == "ModuleDict(\n  (z): ELU(alpha=1.0)\n  (b): Tanh()\n)"
    with pytest.raises(KeyError):
        table["a"]
    with pytest.raises(ValueError, match="has length 3; 2 is required"):
        table.update([(1, 2, 3)])


def test_parameter_list_and_dict() -> None:
    values = nn.ParameterList([facula.ones(2), 3])
    values.append(nn.Parameter(facula.ones(1)))
    assert isinstance(values[0], nn.Parameter) and values[1] == 3 and list(values.state_dict()) == ["0", "2"]
    assert "(1): Object of type: int" in repr(values)
    with pytest.raises(RuntimeError, match="ParameterList should not be called"):
        values()
    table = nn.ParameterDict({"b": facula.ones(2), "a": 3})
    assert list(table) == ["a", "b"] and list(table.state_dict()) == ["b"]
    assert table.setdefault("c", 5) == 5 and table.pop("c") == 5 and table.get("zz", 7) == 7
    assert sorted((table | nn.ParameterDict({"x": facula.ones(1)})).keys()) == ["a", "b", "x"]
    with pytest.raises(TypeError, match="cannot be used as a key"):
        table[3]
