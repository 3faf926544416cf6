"""The programs of `programs.py` print what PyTorch 2.13 prints for them."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest

import facula

from . import programs

HERE = Path(__file__).parent


def expected() -> dict[str, str]:
    """Program -> what PyTorch printed."""
    parts = (HERE / "expected.txt").read_text().split("== ")[1:]
    return {part.split("\n", 1)[0]: "== " + part.rstrip("\n") for part in parts}


EXPECTED = expected()


@pytest.mark.parametrize("program", programs.PROGRAMS, ids=lambda p: p.__name__)
def test_program_means_what_pytorch_means(program: object) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert programs.render(facula, program) == EXPECTED[program.__name__]
