"""What follows from the blocks of facula/ops/random.py, and the generator's attributes."""

from __future__ import annotations

import pytest

import facula
from facula.testing import derived

test_declared = derived("facula.ops.random")


def test_a_generator_has_what_pytorchs_has() -> None:
    generator = facula.Generator()
    assert hasattr(facula.Generator, "device") and generator.device == facula.device("cpu")
    with pytest.raises(AttributeError):
        generator.note = 1
    for ask in (generator.get_offset, lambda: generator.set_offset(3)):
        with pytest.raises(RuntimeError, match="CPU Generator does not use offset"):
            ask()
