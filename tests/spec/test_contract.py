"""What every operator keeps, whoever declared it."""

from __future__ import annotations

import inspect

import pytest

import facula
from facula.spec.block import Pointwise
from facula.spec.registry import OPS, Op

assert facula.Tensor  # opens the front door: the operators are declared


@pytest.mark.parametrize("op", OPS.values(), ids=lambda op: op.full_name)
def test_every_op_keeps_the_contract(op: Op) -> None:
    first = inspect.cleandoc(op.block.__doc__).split("\n")[0]
    assert first[-1] in ".:" or "\n\n" not in op.block.__doc__, f"{op!r}: the docstring's first line is no sentence: {first!r}"
    for path in op.block.paths.split():
        if path == "torch":
            assert callable(getattr(facula, op.block.public or op.name))
        if path == "Tensor":
            assert callable(getattr(facula.Tensor, op.block.public or op.name))
    assert not op.block.paths or op.block.all_samples(), f"{op!r} is public and has no sample"


def test_an_incomplete_block_is_refused_by_name() -> None:
    with pytest.raises(TypeError, match=r"op block Half in .* lacks: schema, a docstring, samples"):

        class Half(Pointwise):
            @staticmethod
            def scalar(x: object) -> object:
                return x
