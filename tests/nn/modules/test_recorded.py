"""Every module against PyTorch's: its text, the names in its state dict, and its initial values from a seed."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

import facula
from facula import nn

HERE = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(HERE))
from record import arguments  # noqa: E402

RECORDED = json.loads((HERE / "recorded.json").read_text())


@pytest.mark.parametrize("call", RECORDED)
@pytest.mark.filterwarnings("ignore:Lazy modules")
def test_module_is_the_recorded_one(call: str) -> None:
    name, args, kwargs = arguments(call)
    facula.manual_seed(3)
    module = getattr(nn, name)(*args, **kwargs)
    expected = RECORDED[call]
    assert repr(module) == expected["repr"]
    if not expected["state"]:
        return
    state = module.state_dict()
    assert list(state) == list(expected["state"])
    for key, (shape, first) in expected["state"].items():
        assert list(state[key].shape) == shape, key
        assert state[key].double().flatten().tolist()[:4] == pytest.approx(first, rel=1e-5, abs=1e-6), key
