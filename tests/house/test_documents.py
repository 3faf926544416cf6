"""Every example in the documents runs and prints what it says; every link leads somewhere."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda p: p.name)
def test_examples(path: Path) -> None:
    text = re.sub(r"^```.*$", "", path.read_text(), flags=re.M)  # a fence would be read as output
    test = doctest.DocTestParser().get_doctest(text, {"__name__": "__main__"}, path.name, str(path), 0)
    report: list[str] = []
    doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test, out=report.append)
    assert not report, "".join(report)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda p: p.name)
def test_links(path: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", path.read_text()):
        assert (path.parent / target).exists(), f"{path.name} links to {target}"


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda p: p.name)
def test_predict_loads_what_train_writes(path: Path) -> None:
    """The README's second command must find what its first one left."""
    from facula.cli.training import Settings

    for checkpoint in re.findall(r"facula predict (\S+)", path.read_text()):
        assert checkpoint == f"{Settings.out}/checkpoint.pt", f"{path.name} loads {checkpoint}"
