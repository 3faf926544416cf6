"""Tensors as Python lists, arrays, capsules and pickles, and on memory of others."""

from __future__ import annotations

import gc
import math
import pickle
import signal
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import facula
from facula.core import interchange


@pytest.mark.parametrize("shape", [(), (0,), (5,), (21,), (3, 7), (7, 3), (2, 3, 20), (2, 30, 0), (1, 9, 2)])
def test_lists_made_in_steps_are_the_same(shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    x = facula.arange(math.prod(shape)).reshape(shape)
    turned = x.movedim(0, -1) if x.ndim else x
    want = x.tolist(), turned.tolist()
    monkeypatch.setattr(interchange, "LISTED", 8)
    assert (x.tolist(), turned.tolist()) == want


def test_signals_are_seen_while_a_list_is_made() -> None:
    x, seen = facula.arange(6_000_000), []
    before = signal.signal(signal.SIGALRM, lambda *_: seen.append(0))
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
        x.tolist()
        during = len(seen)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert during > 2


def test_dlpack_copies_and_moves_where_asked() -> None:
    x = facula.rand(3)
    assert facula.from_dlpack(x).data_ptr() == facula.from_dlpack(x, device="cpu").data_ptr() == x.data_ptr()
    own = facula.from_dlpack(x, copy=True)
    assert own.data_ptr() != x.data_ptr() and facula.equal(own, x)
    assert facula.from_dlpack(x, device="meta").is_meta
    with pytest.raises(ValueError, match="cannot move DLPack tensor from device cpu to meta without copying"):
        facula.from_dlpack(x, device="meta", copy=False)
    with pytest.raises(AssertionError, match="not supported when ext_tensor is already a DLPack capsule"):
        facula.from_dlpack(x.__dlpack__(), copy=True)
    with facula.device("meta"):
        assert facula.equal(facula.from_dlpack(x.__dlpack__()), x)


@pytest.fixture
def mapped(tmp_path: Path) -> np.ndarray:
    np.save(tmp_path / "a.npy", np.arange(12.0))
    return np.load(tmp_path / "a.npy", mmap_mode="r")


WRITES = {
    "add_": lambda x: x.add_(1),
    "view": lambda x: x.view(3, 4).t()[1].zero_(),
    "item": lambda x: x.__setitem__(0, 1),
    "out": lambda x: facula.add(facula.ones(12, dtype=facula.float64), 1, out=x),
    "copy": lambda x: x.copy_(facula.ones(12)),
    "draw": lambda x: x.normal_(),
    "data": lambda x: x.data.fill_(1),
    "detach": lambda x: x.detach().fill_(1),
    "scatter": lambda x: x.index_add_(0, facula.tensor([1]), x[:1].clone()),
    "storage": lambda x: x.untyped_storage().fill_(1),
    "set_": lambda x: facula.zeros(1, dtype=facula.float64).set_(x).exp_(),
    "compiled": lambda x: facula.compile(lambda y: y.mul_(2))(x),
    "statistics": lambda x: facula.nn.functional.batch_norm(facula.ones(2, 12, dtype=facula.float64), x, x.clone(), training=True),
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_memory_that_cannot_be_written_is_read_and_not_written(write: Any, mapped: np.ndarray) -> None:
    x = facula.from_numpy(mapped)
    for _ in range(3):  # a call that is known may take another road
        facula.ones(12, dtype=facula.float64).add_(1)
        with pytest.raises(RuntimeError, match=r"\(\): the tensor lies in memory that cannot be written"):
            write(x)
    assert x.data_ptr() == mapped.ctypes.data and x.sum().item() == 66 and not x[1:].numpy().flags.writeable


def test_optimizers_do_not_write_there_either(mapped: np.ndarray) -> None:
    p = facula.nn.Parameter(facula.from_numpy(mapped))
    p.grad = facula.ones_like(p)
    for optimizer in (facula.optim.SGD([p], 0.1), facula.optim.Adam([p], 0.1)):
        with pytest.raises(RuntimeError, match="memory that cannot be written"):
            optimizer.step()


def test_arrays_that_are_only_marked_are_written_as_in_pytorch() -> None:
    a = np.arange(3.0)
    a.flags.writeable = False
    assert facula.from_numpy(a).add_(1).tolist() == a.tolist() == [1, 2, 3]


def test_what_no_tensor_is_made_of() -> None:
    """Types and sentences recorded from PyTorch 2.13."""
    cases: list[tuple[Any, type[Exception], str]] = [
        (["a"], ValueError, "too many dimensions 'str'"),
        ("a", TypeError, r"new\(\): invalid data type 'str'"),
        ([2**63], ValueError, "Overflow when unpacking long long"),
        (np.array([1, "a"], dtype=object), TypeError, "can't convert np.ndarray of type numpy.object_"),
        (np.array(["a"]), TypeError, "can't convert np.ndarray of type numpy.str_"),
    ]
    for data, kind, sentence in cases:
        with pytest.raises(kind, match=sentence):
            facula.tensor(data)
    with pytest.raises(ValueError, match="byte order different from the native byte order"):
        facula.from_numpy(np.arange(3).astype(">i4"))
    assert facula.Tensor().shape == (0,)


def test_a_capsule_is_used_once() -> None:
    capsule = facula.arange(3).__dlpack__()
    assert facula.from_dlpack(capsule).tolist() == [0, 1, 2]
    with pytest.raises(RuntimeError, match="received an invalid capsule"):
        facula.from_dlpack(capsule)


@pytest.mark.parametrize("protocol", range(6))
def test_what_has_a_history_is_pickled_without_it(protocol: int) -> None:
    x = pickle.loads(pickle.dumps(facula.ones(2, requires_grad=True) * 2, protocol))
    assert x.is_leaf and x.requires_grad and x.tolist() == [2, 2]


def test_arrays_and_tensors_share_memory_on_every_call() -> None:
    """Later arrays of a form take a shorter way."""
    for _ in range(3):
        a = np.arange(12, dtype=np.float32).reshape(3, 4)
        for view in (a, a[1:], a[:, 1:3], a.T, a[::2], a[0]):
            x = facula.from_numpy(view)
            assert x.tolist() == view.tolist() and x.data_ptr() == view.ctypes.data and x.dtype is facula.float32
            own, shared = facula.tensor(view), facula.as_tensor(view)
            b = x.numpy()
            assert b.strides == view.strides and b.ctypes.data == view.ctypes.data and b.dtype == np.float32 and b.flags.writeable
            view.flat[0] = 99.0
            assert x.reshape(-1)[0].item() == shared.reshape(-1)[0].item() == b.flat[0] == 99.0 and own.reshape(-1)[0].item() != 99.0
            view.flat[0] = 0.5
        assert (
            facula.tensor(a, dtype=facula.float64).dtype is facula.float64
            and facula.as_tensor(a, dtype=facula.int32).tolist() == a.astype(int).tolist()
        )
        assert facula.tensor(a, requires_grad=True).requires_grad


def test_an_array_keeps_its_tensor_and_a_tensor_its_array() -> None:
    for _ in range(3):
        array, tensor = facula.arange(1000.0).numpy(), facula.from_numpy(np.arange(1000.0))
        gc.collect()
        facula.zeros(1000), np.zeros(1000)
        assert array.sum() == 499500 == tensor.sum().item()


def test_a_lease_needs_no_module_when_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """As when the interpreter goes down."""
    array = np.arange(3.0)
    before = sys.getrefcount(array)
    x = facula.from_dlpack(array)
    monkeypatch.setattr(interchange, "ctypes", None)
    del x
    monkeypatch.undo()
    assert sys.getrefcount(array) == before
