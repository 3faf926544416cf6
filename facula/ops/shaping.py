"""Views under other names, and pieces: moveaxis, ravel, tensor_split, atleast_2d, broadcast_to, and copies of every view."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..base import dtypes as d
from ..base.errors import refuse
from ..base.size import Size
from ..core import writing
from ..core.copying import fill_in
from ..core.expression import broadcast, wants
from ..core.modes import MODE
from ..core.tensor import Tensor, wrap_dim
from ..spec.block import Composite
from ..spec.promotion import scalar_type_name
from ..spec.registry import ops
from ..spec.samples import each, normal, refused, sample, values
from .examples import own


class ReshapeAs(Composite):
    """`reshape` to another tensor's shape."""

    schema = "reshape_as(Tensor input, Tensor other) -> Tensor"
    paths = "Tensor"

    @staticmethod
    def compose(input: Tensor, other: Tensor) -> Tensor:
        return input.reshape(tuple(other.shape))

    samples = [sample(normal(2, 3), normal(3, 2))]


class Ravel(Composite):
    """All elements as one dim."""

    schema = "ravel(Tensor input) -> Tensor"
    out = False

    @staticmethod
    def compose(input: Tensor) -> Tensor:
        return input.contiguous().view(-1)

    samples = [sample(normal(2, 3))]


class Moveaxis(Composite):
    """`movedim` under NumPy's name."""

    schema = "moveaxis(Tensor input, any source, any destination) -> Tensor"
    out = False

    @staticmethod
    def compose(input: Tensor, source: Any, destination: Any) -> Tensor:
        return ops.movedim(input, source, destination)

    samples = [sample(normal(2, 3, 4), 1, -1)]


class Swapaxes(Composite):
    """`transpose` under NumPy's name."""

    schema = "swapaxes(Tensor input, int axis0, int axis1) -> Tensor"
    out = False

    @staticmethod
    def compose(input: Tensor, axis0: int, axis1: int) -> Tensor:
        return input.transpose(axis0, axis1)

    samples = [sample(normal(2, 3), 0, 1)]


class Swapdims(Composite):
    """Two dims exchanged."""

    schema = "swapdims(Tensor input, int dim0, int dim1) -> Tensor"
    out = False

    @staticmethod
    def compose(input: Tensor, dim0: int, dim1: int) -> Tensor:
        return input.transpose(dim0, dim1)

    samples = [sample(normal(2, 3), 0, 1)]


# -- pieces
PIECES = 1 << 20  # tensors from one call; more of them are refused


def _cuts(name: str, input: Tensor, given: Any) -> Any:
    """A number of sections, or the places of the cuts; PyTorch's refusal of anything else."""
    if isinstance(given, Tensor) or hasattr(given, "__index__"):
        return given
    first = given[0] if isinstance(given, (tuple, list)) and given else 0
    if not isinstance(given, (tuple, list)) or not hasattr(first, "__index__"):
        sentence = f"{name}() received an invalid combination of arguments - got ({type(input).__name__}, {type(given).__name__}), but expected one of:"
        wanted = "\n * (Tensor input, int sections)\n * (Tensor input, tuple of ints indices)\n"
        raise refuse(TypeError, sentence + wanted, received=f"{given!r:.60}", expected="a number of sections or a list of places")
    for i, c in enumerate(given):
        if not hasattr(c, "__index__"):
            raise refuse(
                TypeError,
                f"{name}(): argument 'indices' failed to unpack the object at pos {i + 1} with error \"type must be tuple of ints,but got {type(c).__name__}\"",
            )
    return [c.__index__() for c in given]


class TensorSplit(Composite):
    """A number of nearly equal pieces, or cut at the listed indices."""

    schema = "tensor_split(Tensor input, any indices_or_sections, int dim=0) -> Tensor"
    out = False

    @staticmethod
    def compose(
        input: Tensor,
        indices_or_sections: Any = None,
        dim: int = 0,
        *,
        indices: Any = None,
        sections: Any = None,
        tensor_indices_or_sections: Any = None,
    ) -> tuple[Tensor, ...]:
        given = (indices_or_sections, indices, sections, tensor_indices_or_sections)
        cuts = _cuts("tensor_split", input, next((x for x in given if x is not None), None))
        if not input.ndim:
            raise refuse(RuntimeError, "tensor_split expected at least a 1-dimensional tensor, but got a tensor with 0 dims")
        k = wrap_dim(dim, input.ndim)
        n = input.shape[k]
        if isinstance(cuts, Tensor):
            if cuts.dtype is not d.int64:
                raise refuse(
                    RuntimeError,
                    f"tensor_split expected tensor_indices_or_sections to have dtype of long, but got {scalar_type_name(cuts.dtype)}",
                )
            if cuts.ndim > 1:
                raise refuse(
                    RuntimeError,
                    f"tensor_split expected tensor_indices_or_sections to be a zero-dimensional or one-dimensional tensor, but got a tensor with {cuts.ndim} dims",
                )
            cuts = cuts.tolist()
        if hasattr(cuts, "__index__"):
            m = cuts.__index__()
            if m <= 0:
                raise refuse(RuntimeError, f"number of sections must be larger than 0, got {m}")
            if m > PIECES:
                raise refuse(
                    RuntimeError,
                    f"tensor_split: too many sections, got {m}",
                    received=f"size {n} in dim {k}",
                    expected=f"at most {PIECES:,}",
                )
            small, extra = divmod(n, m)
            cuts = [small * i + min(i, extra) for i in range(1, m)]
        edges = [0, *cuts, n]
        return tuple(ops.slice(input, k, a, b, 1) for a, b in zip([0, *edges[1:-1]], [*edges[1:-1], n]))

    samples = [sample(normal(5, 2), 3), sample(normal(5, 2), (1, 3)), sample(normal(2, 5), 2, 1)]
    refusals = each(refused(normal(5, 2), 2**40, raises=RuntimeError, match="tensor_split: too many sections"))


def _pieces(name: str, least: int, axis: Callable[[Tensor], int]) -> None:
    def compose(input: Tensor, indices_or_sections: Any = None, *, indices: Any = None, sections: Any = None) -> tuple[Tensor, ...]:
        cuts = _cuts(name, input, next((x for x in (indices_or_sections, indices, sections) if x is not None), None))
        if input.ndim < least:
            raise refuse(
                RuntimeError,
                f"torch.{name} requires a tensor with at least {least} dimension, but got a tensor with {input.ndim} dimensions!",
            )
        k = axis(input)
        if hasattr(cuts, "__index__"):
            n, m = input.shape[k], cuts.__index__()
            if m <= 0 or n % m:
                raise refuse(
                    RuntimeError,
                    f"torch.{name} attempted to split along dimension {k}, but the size of the dimension {n} is not divisible by the split_size {m}!",
                )
        return ops.tensor_split(input, cuts, k)

    body = {"__doc__": f"Equal pieces along the {('horizontal', 'vertical', 'depth')['hvd'.index(name[0])]} dim, or cut at the listed indices.", "__module__": __name__,
            "schema": f"{name}(Tensor input, any indices_or_sections) -> Tensor", "out": False, "compose": staticmethod(compose), "samples": [sample(normal(2, 4, 4), 2)]}  # fmt: skip
    type(name.title(), (Composite,), body)


_pieces("hsplit", 1, lambda x: 0 if x.ndim == 1 else 1)
_pieces("vsplit", 2, lambda x: 0)
_pieces("dsplit", 3, lambda x: 2)


class UnsafeSplit(Composite):
    """`split` whose pieces are not views."""

    schema = "unsafe_split(Tensor input, any split_size, int dim=0) -> Tensor"
    out = False

    @staticmethod
    def compose(input: Tensor, split_size: Any, dim: int = 0) -> tuple[Tensor, ...]:
        return tuple(x.clone() for x in ops.split(input, split_size, dim))

    samples = [sample(normal(5, 2), 2)]


class UnsafeSplitWithSizes(Composite):
    """`split_with_sizes` whose pieces are not views."""

    schema = "unsafe_split_with_sizes(Tensor input, int[] split_sizes, int dim=0) -> Tensor"
    out = False

    @staticmethod
    def compose(input: Tensor, split_sizes: Any, dim: int = 0) -> tuple[Tensor, ...]:
        return tuple(x.clone() for x in ops.split_with_sizes(input, tuple(split_sizes), dim))

    samples = [sample(normal(5, 2), (2, 3))]


class UnsafeChunk(Composite):
    """`chunk` whose pieces are not views."""

    schema = "unsafe_chunk(Tensor input, int chunks, int dim=0) -> Tensor"
    out = False

    @staticmethod
    def compose(input: Tensor, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
        return tuple(x.clone() for x in ops.chunk(input, chunks, dim))

    samples = [sample(normal(5, 2), 2)]


# -- ranks and broadcasting
def _atleast(rank: int, widen: Callable[[Tensor], Tensor]) -> None:
    def compose(*tensors: Any) -> Any:
        given = tensors[0] if len(tensors) == 1 and not isinstance(tensors[0], Tensor) else tensors
        for i, t in enumerate(given):
            if not isinstance(t, Tensor):
                raise TypeError(
                    f"atleast_{rank}d(): argument 'tensors' (position 1) must be tuple of Tensors, but found element of type {type(t).__name__} at pos {i}"
                )
        return widen(given[0]) if given is tensors and len(given) == 1 else tuple(widen(t) for t in given)

    body = {"__doc__": f"Tensors with leading or trailing dims of extent 1 up to {rank}.", "__module__": __name__, "schema": f"atleast_{rank}d(Tensor tensors) -> Tensor",
            "paths": "torch", "out": False, "compose": staticmethod(compose), "samples": [sample(normal(3)), sample(normal())]}  # fmt: skip
    type(f"Atleast{rank}d", (Composite,), body)


def _three(t: Tensor) -> Tensor:
    return t.reshape(1, 1, 1) if not t.ndim else t.unsqueeze(0).unsqueeze(-1) if t.ndim == 1 else t.unsqueeze(-1) if t.ndim == 2 else t


_atleast(1, lambda t: t if t.ndim else t.reshape(1))
_atleast(2, lambda t: t.reshape(1, 1) if not t.ndim else t.unsqueeze(0) if t.ndim == 1 else t)
_atleast(3, _three)


class BroadcastTo(Composite):
    """`expand` as a function."""

    schema = "broadcast_to(Tensor input, int[] size) -> Tensor"
    through_binder = True
    out = False

    @staticmethod
    def compose(input: Tensor, size: Sequence[int]) -> Tensor:
        return input.expand(tuple(size))

    samples = [sample(normal(3, 1), (3, 4))]


class BroadcastTensors(Composite):
    """All tensors expanded to one shape."""

    schema = "broadcast_tensors(Tensor[] tensors) -> Tensor"
    out = False
    paths = "torch"

    @staticmethod
    def compose(*tensors: Any) -> tuple[Tensor, ...]:
        given = tensors[0] if len(tensors) == 1 and not isinstance(tensors[0], Tensor) else tensors
        for i, t in enumerate(given):
            if not isinstance(t, Tensor):
                raise TypeError(f"expected Tensor as element {i} in argument 0, but got {type(t).__name__}")
        shape = broadcast([tuple(t.shape) for t in given])
        return tuple(t.expand(shape) for t in given)

    samples = [sample(normal(3, 1), normal(4))]
    refusals = each(
        refused(
            normal(3),
            normal(4),
            raises=RuntimeError,
            match="The size of tensor a \\(3\\) must match the size of tensor b \\(4\\) at non-singleton dimension 0",
        )
    )


class BroadcastShapes(Composite):
    """The shape that all of these expand to."""

    schema = "broadcast_shapes(any shapes) -> any"
    paths = "torch"

    @staticmethod
    def compose(*shapes: Any) -> Size:
        result: list[int] = []
        for at, shape in enumerate(shapes):
            shape = (shape,) if hasattr(shape, "__index__") else tuple(shape)
            if any(n < 0 for n in shape):
                raise refuse(RuntimeError, f"Trying to create tensor with negative dimension ({min(shape)}): ({min(shape)})")
            result = [1] * (len(shape) - len(result)) + result
            for k in range(1, len(shape) + 1):
                if shape[-k] in (1, result[-k]):
                    continue
                if result[-k] != 1:
                    raise refuse(
                        RuntimeError,
                        f"Attempting to broadcast a dimension of length {shape[-k]} at {-k}! Mismatching argument at index {at} had {shape}; but expected shape should be broadcastable to {result}",
                    )
                result[-k] = shape[-k]
        return Size(result)

    samples = [sample((3, 1), (4,))]


# -- copies of views
def _copies(name: str, several: bool = False) -> None:
    def one(input: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        return getattr(ops, name)(input, *args, **kwargs).clone(memory_format=None)

    def many(input: Tensor, *args: Any, out: Any = None, **kwargs: Any) -> tuple[Tensor, ...] | None:
        parts = getattr(ops, name)(input, *args, **kwargs)
        if out is not None:
            writing.delivered(Composite, [input], lambda: parts, out, name + "_copy")
            return None  # as in PyTorch
        return tuple(v.clone() for v in parts)

    body = {"__doc__": f"`{name}` in memory of its own.", "__module__": __name__, "schema": f"{name}_copy(Tensor input, any args=None) -> Tensor", "paths": "torch",
            "compose": staticmethod(many if several else one), "samples": [sample(SOURCES.get(name, normal(2, 3)), *ARGUMENTS.get(name, ()))]}  # fmt: skip
    type(name.title().replace("_", "") + "Copy", (Composite,), body)


SOURCES: dict[str, Any] = {
    "view": normal(6),
    "view_as_real": values([1 + 2j, 3 - 1j], "complex64"),
    "view_as_complex": values([[1.0, 2.0]], "float32"),
}
ARGUMENTS: dict[str, tuple[Any, ...]] = {
    "as_strided": ((1,), (1,)), "expand": ((4, 2, 3),), "narrow": (0, 0, 1), "permute": ((1, 0),), "select": (0, 1), "slice": (0, 0, 1), "split": (1,),
    "split_with_sizes": ((1, 1),), "transpose": (0, 1), "unfold": (1, 2, 1), "unsqueeze": (0,), "view": ((3, 2),),
}  # fmt: skip
for _name in (
    "as_strided",
    "diagonal",
    "expand",
    "narrow",
    "permute",
    "select",
    "slice",
    "squeeze",
    "t",
    "transpose",
    "unfold",
    "unsqueeze",
    "view",
    "detach",
    "alias",
    "view_as_real",
    "view_as_complex",
):
    _copies(_name)
for _name in ("split", "split_with_sizes", "unbind"):
    _copies(_name, True)
ops.detach = lambda input: input.detach()
ops.alias = lambda input: input.view_as(input)


# -- a view overwritten in a copy
def _written(input: Tensor, src: Tensor, view: Callable[[Tensor], Tensor]) -> Tensor:
    """A copy of input whose view holds src."""
    out = own(input, src).clone()
    part = view(out)
    if tuple(part.shape) != tuple(src.shape):
        raise refuse(
            RuntimeError,
            f"expected src to have a size equal to the slice of self. src size = {list(src.shape)}, slice size = {list(part.shape)}",
        )
    if MODE.grad and (wants(out) or wants(src)):
        part.copy_(src)
    else:
        fill_in(part, src)
    return out


class SelectScatter(Composite):
    """A copy with `src` at one index of a dim."""

    schema = "select_scatter(Tensor input, Tensor src, int dim, int index) -> Tensor"
    out = False
    through_binder = True

    @staticmethod
    def compose(input: Tensor, src: Tensor, dim: int, index: int) -> Tensor:
        return _written(input, src, lambda x: x.select(dim, index))

    samples = [sample(normal(3, 4), normal(4), 0, 1)]


class SliceScatter(Composite):
    """A copy with `src` at start:end:step of a dim."""

    schema = "slice_scatter(Tensor input, Tensor src, int dim=0, int? start=None, int? end=None, int step=1) -> Tensor"
    through_binder = True

    @staticmethod
    def compose(input: Tensor, src: Tensor, dim: int, start: int | None, end: int | None, step: int) -> Tensor:
        if step <= 0:
            raise refuse(RuntimeError, "slice step must be positive", received=f"step {step}")
        return _written(input, src, lambda x: ops.slice(x, dim, start, end, step))

    samples = [sample(normal(5, 4), normal(2, 4), 0, 1, 5, 2)]


class DiagonalScatter(Composite):
    """A copy with `src` on a diagonal."""

    schema = "diagonal_scatter(Tensor input, Tensor src, int offset=0, int dim1=0, int dim2=1) -> Tensor"
    out = False
    through_binder = True

    @staticmethod
    def compose(input: Tensor, src: Tensor, offset: int, dim1: int, dim2: int) -> Tensor:
        return _written(input, src, lambda x: x.diagonal(offset, dim1, dim2))

    samples = [sample(normal(3, 4), normal(3))]


class AsStridedScatter(Composite):
    """A copy with `src` where a strided view lies."""

    schema = "as_strided_scatter(Tensor input, Tensor src, int[] size, int[] stride, int? storage_offset=None) -> Tensor"
    out = False
    through_binder = True

    @staticmethod
    def compose(input: Tensor, src: Tensor, size: Any, stride: Any, storage_offset: int | None) -> Tensor:
        return _written(input, src, lambda x: ops.as_strided(x, size, stride, storage_offset))

    samples = [sample(normal(6), values([1.0, 2.0]), (2,), (2,), 1)]
