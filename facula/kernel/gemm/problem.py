"""A product in its simplest form: batch dimensions merged or folded into rows, and transposed where that is better for the machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ...base.errors import refuse
from ..launch import Operand
from .kinds import Kind

Dim = tuple[int, int, int, int, int]  # size, strides of a, b, c and bias


@dataclass(frozen=True)
class Problem:
    """c (M, N) = a (M, K) @ b (K, N) for each index of `batch`; strides count elements; u is the bias, broadcast to c."""

    M: int
    N: int
    K: int
    am: int
    ak: int
    bk: int
    bn: int
    cm: int
    cn: int
    um: int = 0
    un: int = 0
    batch: tuple[Dim, ...] = ()
    turned: bool = False  # a and b have changed places

    @property
    def count(self) -> int:
        """Matrices."""
        n = 1
        for size, *_ in self.batch:
            n *= size
        return n

    @property
    def flops(self) -> int:
        return 2 * self.M * self.N * self.K

    def turn(self) -> Problem:
        """c^T = b^T a^T."""
        return Problem(
            self.N, self.M, self.K, self.bn, self.bk, self.ak, self.am, self.cn, self.cm, self.un, self.um,
            tuple((size, b, a, c, u) for size, a, b, c, u in self.batch), not self.turned,
        )  # fmt: skip


def problem(out: Operand, a: Operand, b: Operand, bias: Operand | None) -> Problem:
    """The operands' product, simplified. RuntimeError when shapes do not fit."""
    *lead, M, N = out.shape
    K = a.shape[-1]
    if tuple(a.shape) != (*lead, M, K) or tuple(b.shape) != (*lead, K, N):
        raise refuse(
            RuntimeError, f"mat1 and mat2 shapes cannot be multiplied ({M}x{K} and {'x'.join(map(str, b.shape[-2:]))})",
            received=f"a {tuple(a.shape)}, b {tuple(b.shape)}, out {tuple(out.shape)}", expected="(*, M, K) @ (*, K, N) -> (*, M, N)",
        )  # fmt: skip
    u = spread(bias, out.shape)
    dims = [(size, a.strides[i], b.strides[i], out.strides[i], u[i]) for i, size in enumerate(lead)]
    p = Problem(
        M, N, K, a.strides[-2], a.strides[-1], b.strides[-2], b.strides[-1], out.strides[-2], out.strides[-1], u[-2], u[-1], merge(dims),
    )  # fmt: skip
    return tidy(fold(p))


def spread(bias: Operand | None, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Strides of a bias that broadcasts to the shape."""
    if bias is None:
        return (0,) * len(shape)
    missing = len(shape) - len(bias.shape)
    if missing < 0 or any(n not in (1, m) for n, m in zip(bias.shape, shape[missing:])):
        raise refuse(
            RuntimeError, "The expanded size of the tensor must match the existing size", received=f"bias {tuple(bias.shape)}",
            expected=f"broadcastable to {tuple(shape)}",
        )  # fmt: skip
    return (0,) * missing + tuple(0 if n == 1 else s for n, s in zip(bias.shape, bias.strides))


def merge(dims: Sequence[Dim]) -> tuple[Dim, ...]:
    """Batch dimensions without those of size 1; neighbours that one stride can walk become one."""
    out: list[Dim] = []
    for dim in dims:
        size, *strides = dim
        if size == 1:
            continue
        if out and all(outer == size * inner for outer, inner in zip(out[-1][1:], strides)):
            out[-1] = (out[-1][0] * size, *dim[1:])
        else:
            out.append(dim)
    return tuple(out)


def fold(p: Problem) -> Problem:
    """Batch dimensions that b does not have become rows where strides allow (a linear layer on (B, L, K)); likewise columns."""
    if not p.batch:
        return p
    size, a, b, c, u = p.batch[-1]
    if b == 0 and (p.M == 1 or (a == p.M * p.am and c == p.M * p.cm and u == p.M * p.um)):
        strides = {"am": a, "cm": c, "um": u} if p.M == 1 else {}
        return fold(replace(p, M=size * p.M, batch=p.batch[:-1], **strides))
    if a == 0 and (p.N == 1 or (b == p.N * p.bn and c == p.N * p.cn and u == p.N * p.un)):
        strides = {"bn": b, "cn": c, "un": u} if p.N == 1 else {}
        return fold(replace(p, N=size * p.N, batch=p.batch[:-1], **strides))
    return p


def tidy(p: Problem) -> Problem:
    """The stride of a dimension of size 1 means nothing: set it so that the other dimension's contiguity shows."""
    if p.K == 1:
        p = replace(p, ak=0 if p.am == 1 else 1, bk=0 if p.bn == 1 else 1)
    if p.M == 1:
        p = replace(p, am=0 if p.ak == 1 else 1, cm=p.N)
    if p.N == 1:
        p = replace(p, bn=0 if p.bk == 1 else 1, cn=1 if p.cm != 1 or p.M == 1 else p.M)
    return p


def row_cost(kind: Kind, M: int, height: int) -> int:
    """Time of all panels of a column of tiles, in rows: fewer than five rows do not fill the pipeline, and a tile has a fixed cost."""
    full, rest = divmod(M, height)
    rest = next(h for h in (0, *kind.heights) if h >= rest)
    return full * (max(height, 5) + 1) + (max(rest, 5) + 1 if rest else 0)


def panel_height(kind: Kind, M: int) -> int:
    """The rows of a panel that waste least; the tallest of equals."""
    return min(kind.heights, key=lambda h: (row_cost(kind, M, h), -h))


def oriented(p: Problem, kind: Kind) -> Problem:
    """p or its transpose, by estimated cycles: two vector products a cycle, and scalar stores where c's columns are not contiguous."""

    def cycles(q: Problem) -> float:
        products = row_cost(kind, q.M, panel_height(kind, q.M)) * -(-q.N // kind.across) * max(q.K, 1) * kind.units / 2
        return products + (0.0 if q.cn == 1 else 1.5 * q.M * q.N)

    t = p.turn()
    return t if cycles(t) < cycles(p) else p
