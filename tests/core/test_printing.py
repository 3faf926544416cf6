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


def test_parts_of_complex_numbers_are_formatted_on_their_own() -> None:
    assert repr(facula.tensor([1 + 2j, 3.5 - 1e5j])) == "tensor([1.0000+2.0000e+00j, 3.5000-1.0000e+05j])"
    assert repr(facula.tensor([1e-9 + 1j])) == "tensor([1.0000e-09+1.j])"


def test_subclasses_and_parameters_are_shown_as_what_they_are() -> None:
    class Mine(facula.Tensor):
        pass

    x = facula.ones(2).as_subclass(Mine)
    assert repr(x) == str(x) == "Mine([1., 1.])" and type(x.detach()) is type(x.data) is Mine
    assert str(facula.nn.Parameter(facula.ones(1))) == "Parameter containing:\ntensor([1.], requires_grad=True)"
