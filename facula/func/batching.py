"""`vmap`: a function of one example as a function of a batch.

The mapped dim of each input is hidden from the function (core/batching.py), which runs once; results show it again.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from ..base.errors import refuse
from ..core.batching import ACTIVE, Level, enter, leave
from ..core.modes import MODE, sync
from ..core.tensor import Tensor
from ..spec.registry import ops
from .tree import flatten, spread


def _inside() -> None:
    MODE.vmap = bool(ACTIVE.levels)
    sync()


def vmap(
    func: Callable[..., Any], in_dims: Any = 0, out_dims: Any = 0, randomness: str = "error", *, chunk_size: int | None = None
) -> Callable[..., Any]:
    """`func` over dim `in_dims` (an int, None, or a tree of them) of its inputs; results are stacked at `out_dims`.

    `randomness`: "error" refuses draws, "different" draws per example, "same" gives every example the same numbers.
    """
    if randomness not in ("error", "different", "same"):
        raise RuntimeError(f"Only allowed values for randomness are 'error', 'different', or 'same'. Got {randomness}")
    if chunk_size is not None and chunk_size <= 0:
        raise ValueError(f"vmap: chunk_size should be None or greater than 0. (got {chunk_size})")

    @functools.wraps(func)
    def run(*args: Any, **kwargs: Any) -> Any:
        leaves, build, dims, size = _batched(func, in_dims, args)
        flat_kwargs, build_kwargs = flatten(kwargs)
        parts = []
        for start in range(0, max(size, 1), chunk_size or max(size, 1)):
            n = min(chunk_size or size, size - start)

            def part(x: Any, dim: int, start: int = start, n: int = n) -> Any:
                return x if n == size else x.narrow(dim, start, n)

            level = Level(n, randomness)
            ACTIVE.levels.append(level)
            _inside()
            try:
                given = [x if d is None else enter(part(x, d % x.dim()), level.number, d % x.dim()) for x, d in zip(leaves, dims)]
                # tensors given by keyword are batched along dim 0
                named = [enter(part(x, 0), level.number, 0) if isinstance(x, Tensor) else x for x in flat_kwargs]
                got = func(*build(given), **build_kwargs(named))
            finally:
                ACTIVE.levels.pop()
                _inside()
            parts.append(_shown(got, out_dims, func, level))
        return parts[0][1](parts[0][0]) if len(parts) == 1 else _joined(parts)

    return run


def _batched(func: Any, in_dims: Any, args: tuple[Any, ...]) -> tuple[list[Any], Callable[[list[Any]], Any], list[Any], int]:
    """Leaves of the arguments, their dims (None: the same for every example) and the batch size."""
    name = getattr(func, "__name__", repr(func))
    if not isinstance(in_dims, (int, tuple)):
        raise ValueError(
            f"vmap({name}, in_dims={in_dims}, ...)(<inputs>): expected `in_dims` to be int or a (potentially nested) tuple matching the structure of inputs, "
            f"got: {type(in_dims)}."
        )
    if not args:
        raise ValueError(
            f"vmap({name})(<inputs>): got no inputs. Maybe you forgot to add inputs, or you are trying to vmap over a function with no inputs. The latter is unsupported."
        )
    leaves, build = flatten(args)
    try:
        dims = spread(in_dims, args) if isinstance(in_dims, tuple) else [in_dims if isinstance(x, Tensor) else None for x in leaves]
    except (ValueError, KeyError):
        raise ValueError(
            f"vmap({name}, in_dims={in_dims}, ...)(<inputs>): in_dims is not compatible with the structure of `inputs`. in_dims has structure {in_dims} but "
            f"inputs has {len(args)} arguments."
        ) from None
    sizes = set()
    for x, dim in zip(leaves, dims):
        if dim is None:
            continue
        if not isinstance(dim, int):
            raise ValueError(
                f"vmap({name}, in_dims={in_dims}, ...)(<inputs>): Got in_dim={dim} for an input but in_dim must be either an integer dimension or None."
            )
        if not isinstance(x, Tensor):
            raise ValueError(
                f"vmap({name}, in_dims={in_dims}, ...)(<inputs>): Got in_dim={dim} for an input but the input is of type {type(x)}. We cannot vmap over "
                "non-Tensor arguments, please use None as the respective in_dim"
            )
        if not -x.dim() <= dim < x.dim():
            raise ValueError(
                f"vmap({name}, in_dims={in_dims}, ...)(<inputs>): Got in_dim={dim} for some input, but that input is a Tensor of dimensionality {x.dim()} so "
                f"expected in_dim to satisfy -{x.dim()} <= in_dim < {x.dim()}."
            )
        sizes.add(x.shape[dim])
    if not sizes:
        raise ValueError(f"vmap({name}, in_dims={in_dims}, ...)(<inputs>): at least one of the inputs must be batched")
    if len(sizes) > 1:
        found = [x.shape[dim] for x, dim in zip(leaves, dims) if dim is not None]
        raise ValueError(
            f"vmap: Expected all tensors to have the same size in the mapped dimension, got sizes {found} for the mapped dimension"
        )
    return leaves, build, dims, sizes.pop()


def _shown(got: Any, out_dims: Any, func: Any, level: Level) -> tuple[list[Any], Callable[[list[Any]], Any], list[Any]]:
    """The results' leaves with the batch as dim `out_dims`, what makes the tree again, and the dims."""
    name = getattr(func, "__name__", repr(func))
    leaves, build = flatten(got)
    try:
        dims = spread(out_dims, got)
        if any(d is not None and not isinstance(d, int) for d in dims):
            raise refuse(
                ValueError,
                f"vmap({name}, ..., out_dims={out_dims}): `out_dims` must be an int, None or a python collection of ints representing where in "
                "the outputs the vmapped dimension should appear.",
                received=f"out_dims={out_dims!r:.60}",
            )
    except ValueError as error:
        if hasattr(error, "received"):
            raise
        raise ValueError(f"vmap({name}, ..., out_dims={out_dims}): out_dims is not compatible with the structure of `outputs`.") from None
    outs = []
    for x, dim in zip(leaves, dims):
        if dim is None and not (isinstance(x, Tensor) and any(k == level.number for k, _, _ in x._layout.batch)):
            outs.append(x)
            continue
        if not isinstance(x, Tensor):
            raise ValueError(
                f"vmap({name}, ...)(<inputs>): `{name}` must only return Tensors, got type {type(x)}. Did you mean to set out_dims= to None for output?"
            )
        if dim is None:
            raise ValueError(f"vmap({name}, ...)(<inputs>): `{name}` can not return a BatchedTensor when out_dim is None")
        if not -x.dim() - 1 <= dim <= x.dim():
            raise IndexError(f"Dimension out of range (expected to be in range of [{-x.dim() - 1}, {x.dim()}], but got {dim})")
        outs.append(leave(x, level.number, dim % (x.dim() + 1), level.size))
    return outs, build, dims


def _joined(parts: list[Any]) -> Any:
    """The results of all chunks as one tree of batches."""
    first, build, dims = parts[0]
    return build([x if d is None else ops.cat([leaves[k] for leaves, _, _ in parts], d) for k, (x, d) in enumerate(zip(first, dims))])
