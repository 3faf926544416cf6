"""torch.linalg's names: each is the operator of that name."""

from __future__ import annotations

import pytest

import facula


def test_names_are_operators() -> None:
    for name in facula.linalg.NAMES:
        assert getattr(facula.linalg, name) is getattr(facula.ops, "linalg_" + name)
    assert facula.linalg.norm(facula.tensor([3.0, 4.0])).item() == 5.0


def test_error() -> None:
    assert issubclass(facula.linalg.LinAlgError, RuntimeError)
    assert "LinAlgError" in dir(facula.linalg)


def test_unknown_name() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = facula.linalg.nothing
