"""x[...] and x[...] = v."""

from __future__ import annotations

from typing import Any

from ..base import dtypes as d
from ..base.device import CPU, META
from ..base.errors import refuse
from ..core import chains, objects
from ..core.expression import wants
from ..core.modes import MODE
from ..core.overrides import dispatch_override, overridden
from ..core.tensor import Tensor
from ..spec.registry import ops
from .locating import places


def basic(x: Tensor, items: tuple[Any, ...]) -> tuple[Tensor, list[tuple[int, Any]]]:
    """The view that ints, slices, None and Ellipsis make, and the (dim, index) pairs that are left to gather by."""
    used = sum(1 for i in items if i is not None and i is not Ellipsis and not isinstance(i, bool) and not _mask(i)) + sum(
        i.ndim for i in items if _mask(i)
    )
    if sum(1 for i in items if i is Ellipsis) > 1:
        raise refuse(IndexError, "an index can only have a single ellipsis ('...')")
    if used > x.ndim:
        raise refuse(
            IndexError, f"too many indices for tensor of dimension {x.ndim}", received=f"{used} indices", expected=f"at most {x.ndim}"
        )
    dim = 0
    left: list[tuple[int, Any]] = []
    for item in items:
        if item is Ellipsis:
            dim += x.ndim - dim - _after(items)
        elif item is None:
            x = x.unsqueeze(dim)
            dim += 1
        elif isinstance(item, bool):
            x = x.unsqueeze(dim)
            left.append((dim, ops.tensor([item], device=CPU)))
            dim += 1
        elif isinstance(item, slice):
            x = _slice(x, dim, item)
            dim += 1
        elif isinstance(item, Tensor):
            if not item.ndim and _mask(item):  # like True or False: a new dim that is kept or emptied
                x = x.unsqueeze(dim)
                left.append((dim, item.reshape(1)))
                dim += 1
            elif not item.ndim and item.dtype.is_integral:
                x = _select(x, dim, int(item))
            else:
                left.append((dim, item))
                dim += item.ndim if item.dtype in (d.bool_, d.uint8) else 1
        else:
            x = _select(x, dim, item.__index__())
    return x, left


def _mask(i: Any) -> bool:
    return isinstance(i, Tensor) and i.dtype in (d.bool_, d.uint8)


def _after(items: tuple[Any, ...]) -> int:
    """Dims that the items behind the ellipsis take."""
    at = next(k for k, i in enumerate(items) if i is Ellipsis)
    return sum(i.ndim if _mask(i) else 0 if i is None or isinstance(i, bool) else 1 for i in items[at + 1 :])


def _select(x: Tensor, dim: int, index: int) -> Tensor:
    n = x.shape[dim]
    if not -n <= index < n:
        raise refuse(
            IndexError,
            f"index {index} is out of bounds for dimension {dim} with size {n}",
            received=f"index {index}",
            expected=f"{-n} to {n - 1}",
        )
    return x.select(dim, index)


def _slice(x: Tensor, dim: int, s: slice) -> Tensor:
    if s.start is None and s.stop is None and s.step is None:
        return x
    start, stop, step = (None if v is None else v.__index__() for v in (s.start, s.stop, s.step))
    if step is not None and step <= 0:
        raise refuse(ValueError, "step must be greater than zero")
    return ops.slice(x, dim, start, stop, 1 if step is None else step)


def tidy(index: Any) -> tuple[Any, ...]:
    """An index as a tuple whose sequences are tensors."""
    items = index if isinstance(index, tuple) else (index,)
    return tuple(_item(i) for i in items)


def _item(i: Any) -> Any:
    if i is None or i is Ellipsis or isinstance(i, (int, slice, Tensor)):
        return i
    if isinstance(i, (list, tuple)) or type(i).__module__ == "numpy" and getattr(i, "ndim", 0):
        return ops.as_tensor(i, device=CPU) if len(i) else ops.empty(0, dtype=d.int64, device=CPU)
    if hasattr(i, "__index__"):
        return i.__index__()
    raise refuse(
        TypeError if not isinstance(i, (float, str)) else IndexError,
        "only integers, slices (`:`), ellipsis (`...`), None and long or byte Variables are valid indices (got " + type(i).__name__ + ")",
    )


def get(x: Tensor, index: Any) -> Tensor:
    """x[index]."""
    if type(index) is int:
        if not x._layout.ndim:
            raise refuse(
                IndexError,
                "invalid index of a 0-dim tensor. Use `tensor.item()` in Python or `tensor.item<T>()` in C++ to convert a 0-dim tensor to a number",
            )
        return _select(x, 0, index)
    if type(index) is Tensor and index.dtype is d.bool_ and (got := _where(x, index)) is not None:
        return got
    items = tidy(index)
    if not x.ndim and any(isinstance(i, int) and not isinstance(i, bool) for i in items):
        raise refuse(
            IndexError,
            "invalid index of a 0-dim tensor. Use `tensor.item()` in Python or `tensor.item<T>()` in C++ to convert a 0-dim tensor to a number",
        )
    view, left = basic(x, items)
    if left:
        return ops.index(view, spread(view.ndim, left))
    return view.view_as(view) if view is x else view


def _where(x: Tensor, mask: Tensor) -> Tensor | None:
    """x[mask] of a mask of the leading dims, the usual case, straight to the kernels; None for others."""
    lay, held = x._layout, mask._layout
    if not held.ndim or lay.shape[: held.ndim] != held.shape or lay.batch or held.batch or lay.device is META or held.device is META:
        return None
    if held.ndim == lay.ndim:
        return ops.masked_selected(x, mask)
    return ops.index_get(x, places(mask).unbind(1), tuple(range(held.ndim)), 0)


def spread(ndim: int, left: list[tuple[int, Any]]) -> list[Any]:
    """One entry per dim: the index tensor or None."""
    row: list[Any] = []
    for dim, t in left:
        row += [None] * (dim - len(row))
        row.append(t)
    return row


def put(x: Tensor, index: Any, value: Any) -> None:
    """x[index] = value."""
    view, left = basic(x, tidy(index)) if type(index) is not int else (get(x, index), [])
    if not isinstance(value, Tensor):
        value = (
            ops.tensor(value, dtype=x.dtype, device=CPU)
            if not isinstance(value, (int, float, bool, complex))
            else ops.scalar_tensor(value, dtype=x.dtype, device=CPU)
        )
    if left:
        where = _one_mask(view, left, value)
        if where is not None:
            view.masked_fill_(where, value)
        else:
            ops.index_put_(view, spread(view.ndim, left), value)
        return
    while value.ndim > view.ndim and value.shape[0] == 1:  # leading dims of one element drop away
        value = value.squeeze(0)
    view.copy_(value)


def _one_mask(x: Tensor, left: list[tuple[int, Any]], value: Tensor) -> Tensor | None:
    """The mask that is the only index, as it broadcasts to x, when one number goes where it holds and nothing is recorded."""
    dim, mask = left[0]
    fits = mask.dtype is d.bool_ and mask.ndim and mask.shape == x.shape[dim : dim + mask.ndim]
    if len(left) > 1 or value.ndim or value.dtype is not x.dtype or not fits or (MODE.grad and (wants(x) or wants(value))):
        return None
    return mask.reshape(tuple(mask.shape) + (1,) * (x.ndim - dim - mask.ndim))


def _get(x: Tensor, index: Any) -> Any:
    """x[index], from Python's operator."""
    if not MODE.overrides_off:
        found = overridden([x, *(index if isinstance(index, tuple) else (index,))], MODE.functions)
        if found is not None:
            return dispatch_override(found, Tensor.__getitem__, (x, index), {})
    return get(x, index)


def _put(x: Tensor, *given: Any) -> None:
    """x[index] = value, from Python's operator."""
    if len(given) != 2:
        raise TypeError("Tensor does not support deleting items")
    index, value = given
    if not MODE.overrides_off:
        found = overridden([x, value, *(index if isinstance(index, tuple) else (index,))], MODE.functions)
        if found is not None:
            return dispatch_override(found, Tensor.__setitem__, (x, index, value), {})
    return put(x, index, value)


objects.set_slot("subscript", chains.entry_of(_get))
objects.set_slot("set_item", chains.entry_of(_put))
