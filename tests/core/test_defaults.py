"""Settings hold, are refused when they make no sense, and are put back."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import facula


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    kind, threads = facula.get_default_dtype(), facula.get_num_threads()
    yield
    facula.set_default_dtype(kind)
    facula.set_num_threads(threads)
    facula.use_deterministic_algorithms(False)


def test_default_dtype() -> None:
    assert facula.get_default_dtype() is facula.float32
    facula.set_default_dtype(facula.float64)
    assert facula.tensor(1.5).dtype is facula.zeros(2).dtype is facula.float64
    with pytest.raises(TypeError, match="only floating-point types are supported as the default type"):
        facula.set_default_dtype(facula.int32)


def test_threads() -> None:
    facula.set_num_threads(1)
    assert facula.get_num_threads() == 1
    with pytest.raises(RuntimeError, match="set_num_threads expects a positive integer"):
        facula.set_num_threads(0)


def test_determinism() -> None:
    facula.use_deterministic_algorithms(True, warn_only=True)
    assert facula.are_deterministic_algorithms_enabled() and facula.get_deterministic_debug_mode() == 1
    facula.set_deterministic_debug_mode("error")
    assert facula.get_deterministic_debug_mode() == 2


def test_questions() -> None:
    assert facula.is_tensor(facula.ones(1)) and not facula.is_tensor([1.0])
    assert facula.typename(facula.ones(1)) == "torch.FloatTensor" and facula.typename(3) == "int"
