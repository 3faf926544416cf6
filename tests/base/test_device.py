"""torch.device: what it accepts, equals, prints, refuses. Sentences recorded from PyTorch 2.13."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest

from facula.base.device import device


def test_forms() -> None:
    assert device("cuda:1") is device("cuda", 1) is device(type="cuda", index=1) is device(device("cuda:1")) is device(device="cuda:1")
    assert (device("cuda:1").type, device("cuda:1").index, device("cpu").index) == ("cuda", 1, None)


def test_equality_and_text() -> None:
    assert device("cpu") == device("cpu") != device("cpu:0") and device("cpu") != "cpu"
    assert len({device("meta"), device("meta"), device("meta:0")}) == 2
    assert (repr(device("cuda:1")), str(device("cuda:1"))) == ("device(type='cuda', index=1)", "cuda:1")
    assert (repr(device("cpu")), str(device("cpu"))) == ("device(type='cpu')", "cpu")


def test_copies_are_the_same_object() -> None:
    for d in (device("cpu"), device("cuda:1")):
        assert pickle.loads(pickle.dumps(d)) is d and copy.deepcopy(d) is d and copy.copy(d) is d


def test_nothing_changes_one() -> None:
    with pytest.raises(AttributeError, match=r"attribute 'type' of 'torch.device' objects is not writable"):
        device("cpu").type = "cuda"


REFUSED: list[tuple[tuple[Any, ...], type[Exception], str]] = [
    (("",), RuntimeError, "Device string must not be empty"),
    (("cuda:",), RuntimeError, "Invalid device string: 'cuda:'"),
    (("cuda:01",), RuntimeError, "Invalid device string: 'cuda:01'"),
    (("cuda:-1",), RuntimeError, "Invalid device string: 'cuda:-1'"),
    ((":1",), RuntimeError, "Invalid device string: ':1'"),
    (("foo:1",), RuntimeError, "Expected one of cpu, cuda, ipu, .* device type at start of device string: foo$"),
    (("CPU",), RuntimeError, "Expected one of .* at start of device string: CPU$"),
    (("cpu", -1), RuntimeError, "Device index must not be negative"),
    (("cuda:1", 1), RuntimeError, "type \\(string\\) must not include an index because index was passed explicitly: cuda:1"),
    ((1,), RuntimeError, "Cannot access accelerator device when none is available."),
    ((), TypeError, "device\\(\\) received an invalid combination of arguments - got \\(\\), but expected one of:"),
    ((None,), TypeError, "got \\(NoneType\\)"),
    ((1.5,), TypeError, "got \\(float\\)"),
    ((device("cuda:1"), 1), TypeError, "argument 'type' \\(position 1\\) must be str, not torch.device"),
]


@pytest.mark.parametrize("args, kind, sentence", REFUSED)
def test_refusals(args: tuple[Any, ...], kind: type[Exception], sentence: str) -> None:
    with pytest.raises(kind, match=sentence):
        device(*args)
