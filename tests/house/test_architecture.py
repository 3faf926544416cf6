"""ARCHITECTURE.md says where things are; here it is held to it."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "ARCHITECTURE.md").read_text()


def places(text: str) -> set[str]:
    return set(re.findall(r"`((?:facula|docs|tests|benchmarks)/[^`]*)`", text))


def table(heading: str) -> str:
    return TEXT.split(f"## {heading}\n")[1].split("\n## ")[0]


def test_every_place_exists() -> None:
    for place in places(TEXT):
        assert list(ROOT.glob(place)), f"ARCHITECTURE.md names {place}, which does not exist"


def test_names_of_files_within_rooms() -> None:
    """`core/plan.py` and the like."""
    for place in re.findall(r"`((?:base|spec|runtime|kernel|core|ops|autograd|graph|nn|io)/[\w/]*(?:\.py)?)`", TEXT):
        assert (ROOT / "facula" / place).exists(), place


def test_every_file_has_a_row() -> None:
    covered = {path for place in places(table("Where does it live")) for path in ROOT.glob(place)}
    packages = {path.parent for path in covered if path.name != "__init__.py"}
    for path in sorted((ROOT / "facula").rglob("*.py")):
        if path.name == "__init__.py" and path.parent in packages:
            continue
        assert path in covered, f"{path.relative_to(ROOT)} has no row in ARCHITECTURE.md"


def test_every_room_has_a_floor() -> None:
    floors = table("Floors")
    for room in sorted((ROOT / "facula").iterdir()):
        if room.is_dir() and room.name != "__pycache__" and any(room.glob("*.py")):
            assert f"`{room.name}`" in floors, f"{room.name} has no floor"
