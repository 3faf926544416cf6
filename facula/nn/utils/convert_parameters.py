"""All parameters as one vector, and back."""

from __future__ import annotations

from collections.abc import Iterable

from ... import ops
from ...base.errors import refuse
from ...core import Tensor


def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """One vector of all elements, in order."""
    return ops.cat([p.reshape(-1) for p in parameters])


def vector_to_parameters(vec: Tensor, parameters: Iterable[Tensor]) -> None:
    """Let parameters be slices of `vec`, in order; memory is shared with it."""
    if not isinstance(vec, Tensor):
        raise refuse(TypeError, f"expected torch.Tensor, but got: {type(vec).__name__}", received=repr(vec), expected="a Tensor")
    start = 0
    for p in parameters:
        p.data = vec[start : start + p.numel()].view_as(p).data
        start += p.numel()
