"""`assert_close`: PyTorch's comparison with per-dtype tolerances."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from ..core.tensor import Tensor
from ..spec.registry import ops

TOLERANCES = {
    "float16": (1e-3, 1e-5),
    "bfloat16": (1.6e-2, 1e-5),
    "float32": (1.3e-6, 1e-5),
    "float64": (1e-7, 1e-7),
    "complex64": (1.3e-6, 1e-5),
    "complex128": (1e-7, 1e-7),
}


def assert_close(
    actual: Any, expected: Any, *, allow_subclasses: bool = True, rtol: float | None = None, atol: float | None = None, equal_nan: bool = False,
    check_device: bool = True, check_dtype: bool = True, check_layout: bool = True, check_stride: bool = False, msg: str | Callable[[str], str] | None = None,
) -> None:  # fmt: skip
    """AssertionError unless |actual - expected| <= atol + rtol |expected| everywhere; sequences and mappings item by item."""
    try:
        checks = _Checks(rtol, atol, equal_nan, allow_subclasses, check_device, check_dtype, check_layout, check_stride)
        _compare(actual, expected, checks, "")
    except AssertionError as error:
        text = str(error)
        raise AssertionError(msg(text) if callable(msg) else msg or text) from None


class _Checks(NamedTuple):
    """What `assert_close` was asked."""

    rtol: float | None
    atol: float | None
    equal_nan: bool
    subclasses: bool
    device: bool
    dtype: bool
    layout: bool
    stride: bool


def _compare(a: Any, b: Any, checks: _Checks, where: str) -> None:
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        if set(a) != set(b):
            raise AssertionError(f"The keys of the mappings do not match{where}: {sorted(set(a) ^ set(b))}")
        for key in a:
            _compare(a[key], b[key], checks, f"{where} (item {key!r})")
        return
    if isinstance(a, Sequence) and isinstance(b, Sequence) and not isinstance(a, str):
        if len(a) != len(b):
            raise AssertionError(f"The length of the sequences mismatch{where}: {len(a)} != {len(b)}")
        for i, (x, y) in enumerate(zip(a, b)):
            _compare(x, y, checks, f"{where} (item [{i}])")
        return
    if not checks.subclasses and type(a) is not type(b):
        raise TypeError(f"No comparison pair was able to handle inputs of type {type(a)} and {type(b)}.")
    x, y = (t if isinstance(t, Tensor) else ops.as_tensor(t) for t in (a, b))
    both = isinstance(a, Tensor) and isinstance(b, Tensor)
    _tensors(x, y, checks if both else checks._replace(dtype=False, device=False), where)


def _tensors(x: Tensor, y: Tensor, checks: _Checks, where: str) -> None:
    import numpy as np

    if tuple(x.shape) != tuple(y.shape):
        raise AssertionError(f"The values for attribute 'shape' do not match{where}: {x.shape} != {y.shape}.")
    if checks.device and x.device != y.device:
        raise AssertionError(f"The values for attribute 'device' do not match{where}: {x.device} != {y.device}.")
    if checks.layout and x.layout is not y.layout:
        raise AssertionError(f"The values for attribute 'layout' do not match{where}: {x.layout} != {y.layout}.")
    if checks.dtype and x.dtype is not y.dtype:
        raise AssertionError(f"The values for attribute 'dtype' do not match{where}: {x.dtype} != {y.dtype}.")
    if checks.stride and x.stride() != y.stride():
        raise AssertionError(f"The values for attribute 'stride()' do not match{where}: {x.stride()} != {y.stride()}.")
    default = max((TOLERANCES.get(t.dtype.name, (0.0, 0.0)) for t in (x, y)), key=lambda p: p[0])
    r, e = default[0] if checks.rtol is None else checks.rtol, default[1] if checks.atol is None else checks.atol
    u, v = (_numpy(t) for t in (x, y))
    good = np.isclose(u, v, r, e, equal_nan=checks.equal_nan)
    if good.all():
        return
    bad = np.argwhere(~good)
    with np.errstate(all="ignore"):
        difference = np.abs(u.astype(np.complex128 if np.iscomplexobj(u) else np.float64) - v)
    first = tuple(int(i) for i in bad[0])
    raise AssertionError(
        f"Tensor-likes are not close!{where}\n\nMismatched elements: {len(bad)} / {good.size} ({100 * len(bad) / good.size:.1f}%)\n"
        f"Greatest absolute difference: {np.nanmax(difference)} (up to {e} allowed)\nFirst mismatch at index {first}: {u[first]} != {v[first]} (relative {r} allowed)"
    )


def _numpy(t: Tensor) -> Any:
    from ..base import dtypes as d

    t = t.detach()
    return (t.to(d.float32) if t.dtype is d.bfloat16 else t).numpy()
