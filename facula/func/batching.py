"""`vmap`: a function of one example as a function of a batch.

Python runs once per example and the results are stacked, so that every operator, branch and in-place write means what it means for one
example; history goes through `select` and `stack`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from ..core.tensor import Tensor
from ..ops.random import get_rng_state, set_rng_state
from ..spec.registry import ops
from .tree import flatten, spread

RANDOM = (
    "vmap: called random operation while in randomness error mode. Please either use the 'same' or 'different' randomness flags on vmap or perform the "
    "randomness operation out of vmap"
)


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
        state = get_rng_state()
        rows = []
        for k in range(size):
            if randomness == "same":
                set_rng_state(state)
            given = build([x if d is None else x.select(d, k) for x, d in zip(leaves, dims)])
            # tensors given by keyword are batched along dim 0
            named = build_kwargs([x.select(0, k) if isinstance(x, Tensor) else x for x in flat_kwargs])
            rows.append(func(*given, **named))
            if randomness == "error" and k == 0 and not ops.equal(state, get_rng_state()):
                set_rng_state(state)
                raise RuntimeError(RANDOM)
        return _stacked(rows, out_dims, func)

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
    size = sizes.pop()
    if not size:
        raise RuntimeError(f"vmap({name}): the batch has no examples, so the results' shapes are not known")
    return leaves, build, dims, size


def _stacked(rows: list[Any], out_dims: Any, func: Any) -> Any:
    """The results of all examples as one tree of batches."""
    name = getattr(func, "__name__", repr(func))
    first, build = flatten(rows[0])
    table = [flatten(row)[0] for row in rows]
    try:
        dims = spread(out_dims, rows[0])
    except ValueError:
        raise ValueError(f"vmap({name}, ..., out_dims={out_dims}): out_dims is not compatible with the structure of `outputs`.") from None
    outs = []
    for k, (x, dim) in enumerate(zip(first, dims)):
        if not isinstance(x, Tensor):
            raise ValueError(
                f"vmap({name}, ...): `{name}` must only return Tensors, got type {type(x)}. Did you mean to set out_dims= to None for output?"
            )
        outs.append(x if dim is None else ops.stack([row[k] for row in table], dim))
    return build(outs)
