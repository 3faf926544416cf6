"""Products are simplified without changing what they compute."""

from __future__ import annotations

import numpy as np
import pytest

from facula.base.dtypes import complex64, float32
from facula.base.target import TARGETS, X86_64_V4
from facula.kernel.gemm.kinds import kind_of
from facula.kernel.gemm.problem import Problem, merge, oriented, panel_height, problem, row_cost
from facula.kernel.launch import Array

KIND = kind_of(float32, X86_64_V4)


def rows(*shape: int) -> Array:
    return Array(float32, shape, tuple(int(np.prod(shape[i + 1 :])) for i in range(len(shape))))


def test_a_linear_layer_folds_its_batch_into_rows() -> None:
    weight = Array(float32, (4, 8, 32, 24), (0, 0, 1, 32))
    p = problem(rows(4, 8, 16, 24), rows(4, 8, 16, 32), weight, rows(24))
    assert (p.M, p.N, p.K, p.batch, p.un, p.um) == (4 * 8 * 16, 24, 32, (), 1, 0)


def test_a_bias_that_varies_over_the_batch_keeps_it() -> None:
    p = problem(rows(4, 16, 24), rows(4, 16, 32), Array(float32, (4, 32, 24), (0, 24, 1)), rows(4, 1, 24))
    assert (p.M, p.batch) == (16, ((4, 512, 0, 384, 24),))


def test_one_row_each_becomes_many_rows() -> None:
    p = problem(rows(5, 1, 7), rows(5, 1, 3), Array(float32, (5, 3, 7), (0, 7, 1)), None)
    assert (p.M, p.am, p.cm, p.batch) == (5, 3, 7, ())


def test_neighbouring_batch_dimensions_merge() -> None:
    assert merge([(2, 12, 0, 30, 0), (1, 5, 5, 5, 5), (3, 4, 0, 10, 0)]) == ((6, 4, 0, 10, 0),)
    assert len(merge([(2, 12, 1, 30, 0), (3, 4, 0, 10, 0)])) == 2


def test_few_columns_turn_into_few_rows() -> None:
    assert oriented(Problem(4096, 4, 4096, 4096, 1, 4, 1, 4, 1), KIND).turned
    assert not oriented(Problem(512, 512, 512, 512, 1, 512, 1, 512, 1), KIND).turned
    assert oriented(Problem(512, 512, 512, 512, 1, 512, 1, 1, 512), KIND).turned  # c's columns are contiguous


@pytest.mark.parametrize("target", TARGETS.values(), ids=lambda t: t.name)
@pytest.mark.parametrize("d", (float32, complex64))
def test_panels_waste_little(target: object, d: object) -> None:
    kind = kind_of(d, target)  # type: ignore[arg-type]
    for M in range(1, 200):
        height = panel_height(kind, M)
        assert height in kind.heights
        assert row_cost(kind, M, height) <= min(row_cost(kind, M, h) for h in kind.heights)
