"""The programs of `programs.py` print what PyTorch 2.13 prints for them."""

from __future__ import annotations

from pathlib import Path

import pytest

import facula

from . import programs

EXPECTED = {
    part.split("\n", 1)[0]: "== " + part.rstrip("\n") for part in (Path(__file__).parent / "expected.txt").read_text().split("== ")[1:]
}


@pytest.mark.parametrize("program", programs.PROGRAMS, ids=lambda p: p.__name__)
def test_program_means_what_pytorch_means(program: object) -> None:
    assert programs.render(facula, program) == EXPECTED[program.__name__]
