"""From a list of samples to a batch: tensors are stacked, numbers become tensors, containers keep their form."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Mapping, MutableMapping, MutableSequence, Sequence
from typing import Any

from ... import ops
from ...base.dtypes import float64
from ...base.errors import refuse
from ...core import Tensor

default_collate_err_msg_format = "default_collate: batch must contain tensors, numpy arrays, numbers, dicts or lists; found {}"
_TEXT_OR_OBJECT = re.compile("[SaUO]")  # NumPy's codes of what has no tensor form
Collater = Callable[..., Any]


def _is_numpy(value: Any) -> bool:
    return type(value).__module__ == "numpy"  # by name: NumPy is not imported for those who do not use it


def _rebuild(container: Any, values: list[Any]) -> Any:
    """A container like `container` with other values; a list where its type cannot be made so."""
    try:
        if isinstance(container, MutableSequence):
            clone = copy.copy(container)
            for index, value in enumerate(values):
                clone[index] = value
            return clone
        return type(container)(values)  # type: ignore[call-arg]
    except TypeError:
        return values


def _rebuild_mapping(mapping: Mapping[Any, Any], values: dict[Any, Any]) -> Any:
    try:
        if isinstance(mapping, MutableMapping):
            clone = copy.copy(mapping)
            clone.update(values)
            return clone
        return type(mapping)(values)  # type: ignore[call-arg]
    except TypeError:
        return values


def default_convert(data: Any) -> Any:
    """NumPy arrays and numbers inside `data` as tensors, containers in the same form, all else untouched."""
    if isinstance(data, (Tensor, str, bytes)):
        return data
    if _is_numpy(data):
        return data if _TEXT_OR_OBJECT.search(data.dtype.str) else ops.as_tensor(data)
    if isinstance(data, Mapping):
        return _rebuild_mapping(data, {key: default_convert(data[key]) for key in data})
    if isinstance(data, tuple) and hasattr(data, "_fields"):
        return type(data)(*(default_convert(d) for d in data))
    if isinstance(data, tuple):
        return [default_convert(d) for d in data]
    if isinstance(data, Sequence):
        return _rebuild(data, [default_convert(d) for d in data])
    return data


def collate(batch: Sequence[Any], *, collate_fn_map: dict[Any, Collater] | None = None) -> Any:
    """One batch from samples of equal structure. `collate_fn_map` says what to do with the leaves, by type."""
    first = batch[0]
    table = collate_fn_map or {}
    found = table.get(type(first))
    if found is None and _is_numpy(first) and collate_fn_map is not None:  # before isinstance: np.float64 is a float
        return _collate_numpy(batch, collate_fn_map)
    found = found or next((f for kind, f in table.items() if isinstance(first, kind)), None)
    if found is not None:
        return found(batch, collate_fn_map=collate_fn_map)
    if isinstance(first, Mapping):
        return _rebuild_mapping(first, {key: collate([d[key] for d in batch], collate_fn_map=collate_fn_map) for key in first})
    if isinstance(first, tuple) and hasattr(first, "_fields"):
        return type(first)(*(collate(column, collate_fn_map=collate_fn_map) for column in zip(*batch)))
    if isinstance(first, Sequence):
        sizes = [len(sample) for sample in batch]
        if any(size != sizes[0] for size in sizes):
            raise refuse(
                RuntimeError,
                "each element in list of batch should be of equal size",
                received=f"sizes {sizes[:16]}",
                expected=f"{sizes[0]} in every sample",
                hint="collate_fn=... that pads, or samples of equal length",
            )
        columns = [collate(column, collate_fn_map=collate_fn_map) for column in zip(*batch)]
        return columns if isinstance(first, tuple) else _rebuild(first, columns)
    raise refuse(
        TypeError,
        default_collate_err_msg_format.format(type(first)),
        received=type(first).__name__,
        hint="convert the samples in the dataset, or collate_fn=...",
    )


def _collate_numpy(batch: Sequence[Any], collate_fn_map: dict[Any, Collater]) -> Any:
    first = batch[0]
    if not hasattr(first, "dtype") or _TEXT_OR_OBJECT.search(first.dtype.str):
        raise refuse(TypeError, default_collate_err_msg_format.format(getattr(first, "dtype", type(first))), hint="collate_fn=...")
    if type(first).__name__ != "ndarray":  # NumPy's scalars keep their dtype
        import numpy as np

        return ops.as_tensor(np.asarray(batch))
    return collate([ops.as_tensor(array) for array in batch], collate_fn_map=collate_fn_map)


def collate_tensor_fn(batch: Sequence[Tensor], *, collate_fn_map: dict[Any, Collater] | None = None) -> Tensor:
    """Samples of one shape, stacked: (batch, *shape)."""
    first = batch[0]
    if getattr(first, "is_sparse", False):
        raise refuse(
            RuntimeError,
            "Batches of sparse tensors are not currently supported by the default collate_fn; please provide a custom collate_fn to "
            "handle them appropriately.",
        )
    return ops.stack(list(batch), 0)


def collate_float_fn(batch: Sequence[float], *, collate_fn_map: dict[Any, Collater] | None = None) -> Tensor:
    return ops.tensor(list(batch), dtype=float64)


def collate_int_fn(batch: Sequence[int], *, collate_fn_map: dict[Any, Collater] | None = None) -> Tensor:
    return ops.tensor(list(batch))


def collate_str_fn(batch: Sequence[Any], *, collate_fn_map: dict[Any, Collater] | None = None) -> Sequence[Any]:
    return batch


default_collate_fn_map: dict[Any, Collater] = {
    Tensor: collate_tensor_fn,
    float: collate_float_fn,
    int: collate_int_fn,
    str: collate_str_fn,
    bytes: collate_str_fn,
}


def default_collate(batch: Sequence[Any]) -> Any:
    """Stack samples: tensors, arrays and numbers become tensors with a batch dim in front; str and bytes stay lists."""
    return collate(batch, collate_fn_map=default_collate_fn_map)


__all__ = ["collate", "default_collate", "default_collate_err_msg_format", "default_collate_fn_map", "default_convert"]
