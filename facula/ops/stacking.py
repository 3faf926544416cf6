"""Tensors side by side, on top of one another and on a diagonal; turned and mirrored."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..base.errors import refuse
from ..core.layout import Layout, layout
from ..core.result import Result
from ..core.tensor import Tensor, wrap_dim
from ..kernel.launch import Array, In, Out, Schedule, rebased
from ..kernel.pointwise import copy, fill
from ..spec.block import Composite, Fused
from ..spec.promotion import result_type
from ..spec.registry import ops
from ..spec.samples import normal, sample


def _cat(name: str) -> None:
    def compose(tensors: Sequence[Tensor], dim: int = 0, *, axis: int | None = None, out: Any = None) -> Tensor:
        k = dim if axis is None else axis
        return ops.cat(tensors, k) if out is None else ops.cat(tensors, k, out=out)

    body = {"__doc__": "`cat` under another name.", "__module__": __name__, "schema": f"{name}(Tensor[] tensors, int dim=0) -> Tensor", "paths": "torch",
            "compose": staticmethod(compose), "samples": [sample([normal(2, 3), normal(1, 3)])]}  # fmt: skip
    type(name.title(), (Composite,), body)


_cat("concat")
_cat("concatenate")


def _stack(name: str, what: str, widen: Callable[[Sequence[Tensor]], Sequence[Tensor]], dim: Callable[[Tensor], int]) -> None:
    title = "vstack" if name == "row_stack" else name

    def compose(tensors: Sequence[Tensor], *, out: Any = None) -> Tensor:
        if isinstance(tensors, Tensor):
            raise TypeError(f"{name}(): argument 'tensors' (position 1) must be tuple of Tensors, not Tensor")
        if not len(tensors):
            raise refuse(RuntimeError, f"{title} expects a non-empty TensorList")
        wide = list(widen(tensors))
        return ops.cat(wide, dim(wide[0])) if out is None else ops.cat(wide, dim(wide[0]), out=out)

    body = {"__doc__": what, "__module__": __name__, "schema": f"{name}(Tensor[] tensors) -> Tensor", "paths": "torch", "compose": staticmethod(compose),
            "samples": [sample([normal(3), normal(3)]), sample([normal(2, 3), normal(2, 3)])]}  # fmt: skip
    type(name.title().replace("_", ""), (Composite,), body)


def _columns(tensors: Sequence[Tensor]) -> list[Tensor]:
    return [t.reshape(t.numel(), 1) if t.ndim <= 1 else t for t in tensors]


_stack(
    "hstack",
    "Along the second dim; vectors along their only one.",
    lambda ts: [ops.atleast_1d(t) for t in ts],
    lambda t: 0 if t.ndim == 1 else 1,
)
_stack("vstack", "Along the first dim; vectors are rows.", lambda ts: [ops.atleast_2d(t) for t in ts], lambda t: 0)
_stack("row_stack", "Along the first dim; vectors are rows.", lambda ts: [ops.atleast_2d(t) for t in ts], lambda t: 0)
_stack("dstack", "Along the third dim.", lambda ts: [ops.atleast_3d(t) for t in ts], lambda t: 2)
_stack("column_stack", "Along the second dim; vectors are columns.", _columns, lambda t: 1)


class BlockDiag(Composite):
    """Matrices on the diagonal of one matrix, zeros elsewhere."""

    schema = "block_diag(Tensor[] tensors) -> Tensor"
    out = False
    paths = "torch"

    @staticmethod
    def compose(*tensors: Any) -> Tensor:
        given = list(tensors[0]) if len(tensors) == 1 and isinstance(tensors[0], (list, tuple)) else list(tensors)
        for i, t in enumerate(given):
            if t.ndim > 2:
                raise refuse(
                    RuntimeError, f"torch.block_diag: Input tensors must have 2 or fewer dimensions. Input {i} has {t.ndim} dimensions"
                )
        if not given:
            return ops.empty((1, 0))
        kind = result_type([t.dtype for t in given])
        return ops.diagonal_blocks([ops.atleast_2d(t).to(kind) for t in given])

    samples = [sample([normal(2, 2), normal(1, 3)])]


class DiagonalBlocks(Fused):
    """Zeros with matrices of one type on the diagonal."""

    schema = "diagonal_blocks(Tensor[] tensors) -> Tensor"
    paths = ""

    @staticmethod
    def kernel(tensors: list[Layout]) -> Result:
        out = layout((sum(t.shape[0] for t in tensors), sum(t.shape[1] for t in tensors)), tensors[0].dtype)
        schedules, row, column = [fill(out, 0)], 0, 0
        for i, t in enumerate(tensors):
            at = (row * out.strides[0] + column) * t.dtype.itemsize
            schedules.append(rebased(copy(Array(t.dtype, t.shape, out.strides), t), [Out(0, at)], [In(i)]))
            row, column = row + t.shape[0], column + t.shape[1]
        return Result((out,), Schedule(tuple(x for s in schedules for x in s.launches), notes=tuple(n for s in schedules for n in s.notes)))

    @staticmethod
    def gradient(g: Tensor, tensors: list[Layout], needs: Any) -> tuple[Any, ...]:
        parts: list[Tensor | None] = []
        row = column = 0
        for t, wanted in zip(tensors, needs[0]):
            parts.append(g.narrow(0, row, t.shape[0]).narrow(1, column, t.shape[1]) if wanted else None)
            row, column = row + t.shape[0], column + t.shape[1]
        return (parts,)


class Fliplr(Composite):
    """Columns in reverse order."""

    schema = "fliplr(Tensor input) -> Tensor"
    through_binder = True
    out = False

    @staticmethod
    def compose(input: Tensor) -> Tensor:
        if input.ndim < 2:
            raise refuse(RuntimeError, "Input must be >= 2-d.", received=f"{input.ndim} dims")
        return input.flip(1)

    samples = [sample(normal(2, 3))]


class Flipud(Composite):
    """Rows in reverse order."""

    schema = "flipud(Tensor input) -> Tensor"
    through_binder = True
    out = False

    @staticmethod
    def compose(input: Tensor) -> Tensor:
        if input.ndim < 1:
            raise refuse(RuntimeError, "Input must be >= 1-d.", received=f"{input.ndim} dims")
        return input.flip(0)

    samples = [sample(normal(2, 3))]


class Rot90(Composite):
    """Turned k times by 90 degrees in the plane of two dims, from the first towards the second."""

    schema = "rot90(Tensor input, int k=1, int[] dims=[0, 1]) -> Tensor"
    through_binder = True
    out = False

    @staticmethod
    def compose(input: Tensor, k: int = 1, dims: Sequence[int] = (0, 1)) -> Tensor:
        if len(dims) != 2:
            raise refuse(RuntimeError, f"expected total rotation dims == 2, but got dims = {len(dims)}")
        if input.ndim < 2:
            raise refuse(RuntimeError, f"expected total dims >= 2, but got total dims = {input.ndim}")
        if dims[0] == dims[1] or abs(dims[0] - dims[1]) == input.ndim:
            raise refuse(RuntimeError, f"expected rotation dims to be different, but got dim0 = {dims[0]} and dim1 = {dims[1]}")
        a, b = (wrap_dim(n, input.ndim) for n in dims)
        turns = k % 4
        if turns == 0:
            return input.clone()
        if turns == 2:
            return input.flip((a, b))
        return input.flip(b).transpose(a, b) if turns == 1 else input.flip(a).transpose(a, b)

    samples = [sample(normal(2, 3)), sample(normal(2, 3), 2), sample(normal(2, 3), 3, (1, 0))]
