"""Imports never point upward, and no cycle exists: function-level imports count, TYPE_CHECKING blocks do not."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "facula"
FLOORS = [
    ["base", "spec"],
    ["runtime"],
    ["kernel"],
    ["core"],
    ["ops"],
    ["autograd", "func", "graph", "testing"],
    [
        "nn",
        "optim",
        "amp",
        "linalg",
        "fft",
        "special",
        "overrides",
        "distributions",
        "utils",
        "summary",
        "data",
        "random",
        "backends",
        "compiler",
        "jit",
        "types",
        "accelerator",
        "cpu",
        "cuda",
        "mps",
        "mtia",
        "xpu",
        "version",
    ],
    ["io", "export", "onnx", "quantization", "distributed", "serve", "vision", "text", "serialization", "train"],
    ["cli", "front", "__init__", "__main__", "as_torch"],
]
HEIGHT = {room: height for height, floor in enumerate(FLOORS) for room in floor}
FILES = sorted(PACKAGE.rglob("*.py"))


def module_of(path: Path) -> tuple[str, ...]:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return parts[:-1] if parts[-1] == "__init__" else parts


MODULES = {module_of(path) for path in FILES}


@cache
def targets(path: Path) -> list[tuple[int, tuple[str, ...]]]:
    return list(imported(path))


def imported(path: Path) -> Iterator[tuple[int, tuple[str, ...]]]:
    """(line, imported module of this package); `from .package import name` imports the package too."""
    tree = ast.parse(path.read_text())
    free = {
        id(n)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for b in node.body
        for n in ast.walk(b)
    }
    here = module_of(path) if path.name == "__init__.py" else module_of(path)[:-1]
    for node in ast.walk(tree):
        if id(node) in free:
            continue
        if isinstance(node, ast.Import):
            names = [tuple(alias.name.split(".")) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = here[: len(here) - node.level + 1] if node.level else ()
            start = (*base, *(node.module.split(".") if node.module else ()))
            names = [*((*start, alias.name) for alias in node.names), *([start] if len(start) > 1 else [])]
        else:
            continue
        for name in names:
            while name and name not in MODULES:
                name = name[:-1]
            if name and name[0] == "facula":
                yield node.lineno, name


def room(module: tuple[str, ...]) -> str:
    return module[1] if len(module) > 1 else "__init__"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_point_down(path: Path) -> None:
    mine = room(module_of(path))
    assert mine in HEIGHT, f"{mine} has no floor in this test"
    for line, target in targets(path):
        other = room(target)
        if target == ("facula",):
            assert HEIGHT[mine] == HEIGHT["__init__"], f"{path}:{line} imports the front door"
        assert HEIGHT[other] <= HEIGHT[mine], f"{path}:{line} imports {'.'.join(target)}, a floor above; pass it in, or move the name down"


def test_no_cycles() -> None:
    """Tarjan's strongly connected components over modules."""
    edges = {module_of(p): {t for _, t in targets(p) if t != module_of(p)} for p in FILES}
    index: dict[tuple[str, ...], int] = {}
    low: dict[tuple[str, ...], int] = {}
    stack: list[tuple[str, ...]] = []
    cycles: list[list[str]] = []

    def visit(v: tuple[str, ...]) -> None:
        index[v] = low[v] = len(index)
        stack.append(v)
        for w in edges.get(v, ()):
            if w == ("facula",):
                continue  # the front door: only the top floor may name it, and the floors are tested above
            if w not in index:
                visit(w)
                low[v] = min(low[v], low[w])
            elif w in stack:
                low[v] = min(low[v], index[w])
        if low[v] == index[v]:
            group = []
            while True:
                group.append(stack.pop())
                if group[-1] == v:
                    break
            if len(group) > 1:
                cycles.append(sorted(".".join(m) for m in group))

    for module in edges:
        if module not in index:
            visit(module)
    assert not cycles, cycles
