"""New tensors by other roads."""

from __future__ import annotations

import itertools

import pytest

import facula
from facula.testing import derived

test_declared = derived("facula.ops.making")


def test_linspace_ends_exactly() -> None:
    x = facula.linspace(0, 1, 7)
    assert x[0].item() == 0 and x[-1].item() == 1
    assert facula.linspace(-5, 5, 4, dtype=facula.int64).tolist() == [-5, -1, 1, 5]
    assert facula.linspace(3, 4, 1).tolist() == [3]


def test_like_another() -> None:
    x = facula.ones(2, dtype=facula.float64)
    assert x.new_zeros(3).dtype is facula.float64 and x.new_full((2,), 3, dtype=facula.int32).tolist() == [3, 3]


def test_buffers_are_shared() -> None:
    memory = bytearray(8)
    facula.frombuffer(memory, dtype=facula.int32)[1] = 7
    assert memory[4] == 7
    with pytest.raises(ValueError, match="must be a multiple of element size"):
        facula.frombuffer(bytearray(7), dtype=facula.int32)
    with pytest.raises(ValueError, match="must not be greater than actual buffer length"):
        facula.frombuffer(bytearray(8), dtype=facula.int32, count=3)


def test_numbers_without_a_place_are_refused() -> None:
    with pytest.raises(RuntimeError, match="value cannot be converted to type uint8 without overflow"):
        facula.tensor([300], dtype=facula.uint8)
    with pytest.raises(RuntimeError, match="value cannot be converted to type uint8_t without overflow"):
        facula.full((2,), 300, dtype=facula.uint8)


def test_grids() -> None:
    a, b = facula.meshgrid(facula.arange(2), facula.arange(3), indexing="xy")
    assert a.tolist() == [[0, 1]] * 3 and b.tolist() == [[0, 0], [1, 1], [2, 2]]
    assert facula.combinations(facula.arange(3)).tolist() == [[0, 1], [0, 2], [1, 2]]
    assert facula.tril_indices(2, 2).tolist() == [[0, 1, 1], [0, 0, 1]]


@pytest.mark.parametrize("with_replacement", [False, True])
@pytest.mark.parametrize("r", [1, 2, 3, 5])
@pytest.mark.parametrize("n", [0, 1, 2, 5])
def test_combinations_are_in_order(n: int, r: int, with_replacement: bool) -> None:
    choose = itertools.combinations_with_replacement if with_replacement else itertools.combinations
    want = [list(row) for row in choose(range(n), r)]
    got = facula.combinations(facula.arange(n), r, with_replacement)
    assert got.tolist() == want and got.shape == (len(want), r)


def test_indices_of_triangles_are_those_of_a_mask() -> None:
    for rows, columns in ((1, 1), (5, 3), (3, 40), (70, 33), (0, 3), (4, 0)):
        row, column = facula.arange(rows).unsqueeze(1), facula.arange(columns)
        for diagonal in (0, 1, -2, 20, -20, 2**40, -(2**40)):
            for kind in (facula.int32, facula.int64):
                below = facula.tril_indices(rows, columns, diagonal, dtype=kind)
                above = facula.triu_indices(rows, columns, diagonal + 1, dtype=kind)
                mask = column - row <= diagonal
                assert below.dtype is kind and below.is_contiguous()
                assert below.long().equal(mask.nonzero().t()) and above.long().equal((~mask).nonzero().t())
