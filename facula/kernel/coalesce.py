"""Which loops a nest really needs: dims of size 1 dropped, sorted by stride, neighbours merged.

`x.permute(1, 0) + y.permute(1, 0)` of two contiguous matrices is one loop over elements, and so is any other dense pattern that all
operands share. Shapes and strides are in elements, outermost dim first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from .launch import Array, Operand


@dataclass(frozen=True)
class Geometry:
    """Loops, outermost first; `strides[o][d]` is the step of operand `o` along loop `d`, 0 where it is broadcast."""

    shape: tuple[int, ...]
    strides: tuple[tuple[int, ...], ...]

    @property
    def rank(self) -> int:
        return len(self.shape)

    @property
    def elements(self) -> int:
        return prod(self.shape)

    def moved(self, order: Sequence[int]) -> Geometry:
        """The same loops in another order."""
        return Geometry(tuple(self.shape[d] for d in order), tuple(tuple(s[d] for d in order) for s in self.strides))

    def split(self, at: int) -> tuple[Geometry, Geometry]:
        """Loops before `at`, and from `at` on."""
        return (
            Geometry(self.shape[:at], tuple(s[:at] for s in self.strides)),
            Geometry(self.shape[at:], tuple(s[at:] for s in self.strides)),
        )


def merge(geometry: Geometry) -> Geometry:
    """Neighbouring loops that all operands walk with one step become one loop; loops of one step go."""
    shape: list[int] = []
    strides: list[list[int]] = []  # per loop, per operand
    for d, n in enumerate(geometry.shape):
        if n == 1:
            continue
        steps = [s[d] for s in geometry.strides]
        if shape and all(outer == inner * n for outer, inner in zip(strides[-1], steps)):
            shape[-1] *= n
            strides[-1] = steps
        else:
            shape.append(n)
            strides.append(steps)
    return Geometry(tuple(shape), tuple(tuple(s[o] for s in strides) for o in range(len(geometry.strides))))


def sort(geometry: Geometry) -> Geometry:
    """Loops in the order of the first operand's steps, largest outermost; the next operands decide between equal steps."""
    order = sorted(range(geometry.rank), key=lambda d: tuple(-s[d] for s in geometry.strides))
    return geometry if order == list(range(geometry.rank)) else geometry.moved(order)


def coalesce(operands: Sequence[Operand]) -> Geometry:
    """The loops of operands of one shape, the first of which decides their order."""
    return merge(sort(Geometry(tuple(operands[0].shape), tuple(tuple(o.strides) for o in operands))))


def broadcast(operand: Operand, shape: Sequence[int]) -> Array:
    """The operand seen under a larger shape: dims that are new or of size 1 get stride 0. Raises ValueError where it does not fit."""
    lead = len(shape) - len(operand.shape)
    if lead < 0 or any(n not in (1, m) for n, m in zip(operand.shape, shape[lead:])):
        raise ValueError(f"shape {tuple(operand.shape)} does not broadcast to {tuple(shape)}")
    steps = (0 if n == 1 and m != 1 else s for n, m, s in zip(operand.shape, shape[lead:], operand.strides))
    return Array(operand.dtype, tuple(shape), (0,) * lead + tuple(steps))


def contiguous(shape: Sequence[int]) -> tuple[int, ...]:
    """Strides of a row-major array."""
    out: list[int] = []
    step = 1
    for n in reversed(shape):
        out.append(step)
        step *= max(n, 1)
    return tuple(reversed(out))
