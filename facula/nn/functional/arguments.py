"""Arguments that many functions share: reductions, sizes given once for all dims, and what must be a tensor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from ...base.errors import refuse, warn
from ...core import Tensor

if TYPE_CHECKING:
    from collections.abc import Sequence

Sizes: TypeAlias = "int | Sequence[int]"  # one for all spatial dims, or one for each
REDUCTIONS = {"none": 0, "mean": 1, "sum": 2}


def reduction_code(reduction: str) -> int:
    """0, 1 or 2 for "none", "mean" or "sum", the numbers that operators take."""
    code = REDUCTIONS.get(reduction)
    if code is not None:
        return code
    if reduction == "elementwise_mean":
        warn("reduction='elementwise_mean' is deprecated. Please use reduction='mean' instead.")
        return 1
    raise refuse(ValueError, f"{reduction} is not a valid value for reduction", received=f"reduction={reduction!r}",
                 expected="'none', 'mean' or 'sum'")  # fmt: skip


def legacy_reduction(size_average: bool | None, reduce: bool | None, reduction: str) -> str:
    """`reduction`, or what the two deprecated switches mean where one is given."""
    if size_average is None and reduce is None:
        return reduction
    size_average = True if size_average is None else size_average
    reduce = True if reduce is None else reduce
    chosen = "mean" if size_average and reduce else "sum" if reduce else "none"
    warn(f"size_average and reduce args will be deprecated, please use reduction='{chosen}' instead.")
    return chosen


def reduced(loss: Tensor, reduction: str) -> Tensor:
    """The mean or the sum of a loss per element, or the loss itself."""
    code = reduction_code(reduction)
    return loss.mean() if code == 1 else loss.sum() if code == 2 else loss


def need_tensors(function: str, **arguments: Any) -> None:
    """Refuse arguments that are not tensors; they are given in their order from position 1."""
    for position, (name, value) in enumerate(arguments.items(), 1):
        if not isinstance(value, Tensor):
            raise refuse(TypeError, f"{function}(): argument '{name}' (position {position}) must be Tensor, not {type(value).__name__}",
                         received=f"{name}={value!r}", expected="a Tensor", hint="facula.tensor(...) makes one")  # fmt: skip


def repeated(value: Any, n: int) -> tuple[int, ...]:
    """A size given once, n times; a sequence as it is."""
    return (value,) * n if isinstance(value, int) else tuple(value)


def sizes_with_default(sizes: Any, defaults: Any) -> Any:
    """Output sizes of adaptive pooling: None stands for the input's size there."""
    if isinstance(sizes, int):
        return sizes
    if len(defaults) <= len(sizes):
        raise refuse(ValueError, f"Input dimension should be at least {len(sizes) + 1}", received=f"input {tuple(defaults)}",
                     expected=f"at least {len(sizes) + 1} dimensions for output_size={tuple(sizes)}")  # fmt: skip
    return [d if s is None else s for s, d in zip(sizes, defaults[-len(sizes) :], strict=False)]
