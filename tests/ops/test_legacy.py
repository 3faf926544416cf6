"""Old names, Python's protocol, memory between processes."""

from __future__ import annotations

import os

import pytest

import facula


def test_classes_by_type() -> None:
    assert facula.LongTensor([1, 2]).dtype is facula.int64 and isinstance(facula.ones(1), facula.FloatTensor)
    assert not isinstance(facula.ones(1), facula.DoubleTensor)


def test_forked_processes_share() -> None:
    x = facula.zeros(3).share_memory_()
    assert x.is_shared() and not facula.zeros(3).is_shared()
    child = os.fork()
    if not child:
        import ctypes

        ctypes.c_float.from_address(x.data_ptr()).value = 5.0
        os._exit(0)
    os.waitpid(child, 0)
    assert x.tolist() == [5, 0, 0]


def test_diagonal() -> None:
    assert facula.zeros(5, 2).fill_diagonal_(1, wrap=True).sum(1).tolist() == [1, 1, 0, 1, 1]
    with pytest.raises(RuntimeError, match="all dimensions of input must be of equal length"):
        facula.zeros(2, 3, 2).fill_diagonal_(1)


def test_no_other_device() -> None:
    with pytest.raises(AssertionError, match="Torch not compiled with CUDA enabled"):
        facula.ones(1).cuda()


def test_reversed() -> None:
    assert [int(x) for x in reversed(facula.arange(3))] == [2, 1, 0]


def test_nothing_is_distributed() -> None:
    assert facula.is_distributed(facula.ones(1)) is False
