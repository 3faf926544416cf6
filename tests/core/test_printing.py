"""The text of tensors: only what is shown is read."""

from __future__ import annotations

import facula
from facula.core.printing import OPTIONS


def test_an_expanded_tensor_larger_than_memory_is_shown() -> None:
    for kind in (facula.float32, facula.bfloat16):
        text = repr(facula.ones(1, dtype=kind).expand(2**20, 2**20))
        assert text.startswith("tensor([[1., 1., 1.,  ..., 1., 1., 1.],\n") and "        ...,\n" in text


def test_dims_beyond_numpy() -> None:
    text = repr(facula.ones((1,) * 80))
    assert text.startswith("tensor(" + "[" * 80 + "1.")


def test_edges_of_a_summary() -> None:
    want = """tensor([[[   0,    1,    2,  ...,  997,  998,  999],
         [1000, 1001, 1002,  ..., 1997, 1998, 1999]],

        [[2000, 2001, 2002,  ..., 2997, 2998, 2999],
         [3000, 3001, 3002,  ..., 3997, 3998, 3999]]])"""
    assert repr(facula.arange(4000).view(2, 2, 1000)) == want


def test_no_edges_at_all(monkeypatch) -> None:
    monkeypatch.setattr(OPTIONS, "edgeitems", 0)
    assert repr(facula.ones(2000)) == "tensor([ ...])"
