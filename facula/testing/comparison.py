"""`assert_close`: PyTorch's comparison with per-dtype tolerances."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

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
        _compare(actual, expected, rtol, atol, equal_nan, check_dtype, check_stride, "")
    except AssertionError as error:
        text = str(error)
        raise AssertionError(msg(text) if callable(msg) else msg or text) from None


def _compare(a: Any, b: Any, rtol: Any, atol: Any, equal_nan: bool, check_dtype: bool, check_stride: bool, where: str) -> None:
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        if set(a) != set(b):
            raise AssertionError(f"The keys of the mappings do not match{where}: {sorted(set(a) ^ set(b))}")
        for key in a:
            _compare(a[key], b[key], rtol, atol, equal_nan, check_dtype, check_stride, f"{where} (item {key!r})")
        return
    if isinstance(a, Sequence) and isinstance(b, Sequence) and not isinstance(a, str):
        if len(a) != len(b):
            raise AssertionError(f"The length of the sequences mismatch{where}: {len(a)} != {len(b)}")
        for i, (x, y) in enumerate(zip(a, b)):
            _compare(x, y, rtol, atol, equal_nan, check_dtype, check_stride, f"{where} (item [{i}])")
        return
    x, y = (t if isinstance(t, Tensor) else ops.as_tensor(t) for t in (a, b))
    _tensors(x, y, rtol, atol, equal_nan, check_dtype and isinstance(a, Tensor) and isinstance(b, Tensor), check_stride, where)


def _tensors(x: Tensor, y: Tensor, rtol: Any, atol: Any, equal_nan: bool, check_dtype: bool, check_stride: bool, where: str) -> None:
    import numpy as np

    if tuple(x.shape) != tuple(y.shape):
        raise AssertionError(f"The values for attribute 'shape' do not match{where}: {x.shape} != {y.shape}.")
    if check_dtype and x.dtype is not y.dtype:
        raise AssertionError(f"The values for attribute 'dtype' do not match{where}: {x.dtype} != {y.dtype}.")
    if check_stride and x.stride() != y.stride():
        raise AssertionError(f"The values for attribute 'stride()' do not match{where}: {x.stride()} != {y.stride()}.")
    default = max((TOLERANCES.get(t.dtype.name, (0.0, 0.0)) for t in (x, y)), key=lambda p: p[0])
    r, e = default[0] if rtol is None else rtol, default[1] if atol is None else atol
    u, v = (_numpy(t) for t in (x, y))
    good = np.isclose(u, v, r, e, equal_nan=equal_nan)
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
