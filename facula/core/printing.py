"""How tensors look: PyTorch's form, digit for digit, and its print options."""

from __future__ import annotations

import math
import textwrap
from dataclasses import dataclass
from typing import Any

from ..base import dtypes as d
from ..base.errors import refuse
from ..base.settings import SETTINGS
from .batching import expose, numbers
from .interchange import as_array
from .tensor import Tensor


@dataclass
class Options:
    """Digits, how many elements are shown before the middle is left out, items kept at each edge, columns, scientific form (None: as fits)."""

    precision: int = 4
    threshold: float = 1000
    edgeitems: int = 3
    linewidth: int = 80
    sci_mode: bool | None = None


OPTIONS = Options()
PROFILES: dict[str, tuple[int, float, int, int]] = {
    "default": (4, 1000, 3, 80),
    "short": (2, 1000, 2, 80),
    "full": (4, math.inf, 3, 80),
}


def set_printoptions(
    precision: int | None = None, threshold: float | None = None, edgeitems: int | None = None, linewidth: int | None = None, profile: str | None = None,
    sci_mode: bool | None = None,
) -> None:  # fmt: skip
    """Change how tensors are printed. `profile`: default, short or full."""
    if profile is not None:
        if profile not in PROFILES:
            raise refuse(ValueError, f"set_printoptions(): unknown profile {profile!r:.60}", expected=", ".join(map(repr, PROFILES)))
        OPTIONS.precision, OPTIONS.threshold, OPTIONS.edgeitems, OPTIONS.linewidth = PROFILES[profile]
    for name, value in (("precision", precision), ("threshold", threshold), ("edgeitems", edgeitems), ("linewidth", linewidth)):
        if value is not None:
            setattr(OPTIONS, name, value)
    OPTIONS.sci_mode = sci_mode


class Formatter:
    """Width and form that fit all shown values of a real tensor."""

    def __init__(self, values: list[Any], floating: bool) -> None:
        self.floating, self.whole, self.width = floating, True, 1
        self.scientific: bool = False
        if not floating:
            self.width = max((len(str(v)) for v in values), default=1)
            return
        finite = [v for v in values if math.isfinite(v) and v != 0]
        if not finite:
            return
        sizes: list[Any] = [abs(v) for v in finite]
        largest, smallest = max(sizes), min(sizes)
        self.whole = all(v == math.ceil(v) for v in finite)
        if self.whole:
            self.scientific = largest / smallest > 1000.0 or largest > 1.0e8
        else:
            self.scientific = largest / smallest > 1000.0 or largest > 1.0e8 or smallest < 1.0e-4
        if OPTIONS.sci_mode is not None:
            self.scientific = OPTIONS.sci_mode
        self.fit(finite)

    def fit(self, values: list[Any]) -> None:
        self.width = max((len(self._text(v)) for v in values), default=1)

    def _text(self, v: Any) -> str:
        if not self.floating:
            return str(v)
        if self.scientific:
            return f"{v:.{OPTIONS.precision}e}"
        if self.whole:
            return f"{v:.0f}." if math.isfinite(v) else f"{v:.0f}"
        return f"{v:.{OPTIONS.precision}f}"

    def __call__(self, v: Any) -> str:
        return self._text(v).rjust(self.width)


class ComplexFormatter:
    """Two real formatters."""

    def __init__(self, values: list[complex]) -> None:
        self.real, self.imag = Formatter([v.real for v in values], True), Formatter([v.imag for v in values], True)
        self.width = self.real.width + self.imag.width + 1

    def __call__(self, v: complex) -> str:
        re, im = self.real(v.real), self.imag(v.imag).lstrip() + "j"
        return re + ("+" + im if im[0] not in "+-" else im)


def _edges(t: Any) -> Any:
    """The first and last few places of every long dim. A view is copied, so nothing that is not shown takes memory or time."""
    e = OPTIONS.edgeitems
    sizes: list[int] = []
    strides: list[int] = []
    for n, stride in zip(t.shape, t.stride()):
        long = n > 2 * e
        sizes += [2, e] if long else [n]
        strides += [(n - e) * stride, stride] if long else [stride]
    return t.as_strided(sizes, strides, t.storage_offset()).reshape([min(n, 2 * e) for n in t.shape])


def _nested(items: list[Any], shape: tuple[int, ...], indent: int, form: Any, summarise: bool) -> str:
    """Brackets around the values, which lie row by row; `shape` is the tensor's own, of which the edges are there when summarised."""
    if not shape:
        return form(items[0])
    e = OPTIONS.edgeitems
    cut = summarise and shape[0] > 2 * e
    rows = 2 * e if cut else shape[0]
    if len(shape) == 1:
        parts: list[str] = [form(v) for v in items]
        per_line, between = max(1, (OPTIONS.linewidth - indent) // (form.width + 2)), "\n"
    else:
        step = len(items) // max(rows, 1)
        parts = [_nested(items[i * step : (i + 1) * step], shape[1:], indent + 1, form, summarise) for i in range(rows)]
        per_line, between = 1, "\n" * (len(shape) - 1)
    if cut:
        parts.insert(e, "..." if len(shape) > 1 else " ...")
    lines = [", ".join(parts[i : i + per_line]) for i in range(0, len(parts), per_line)]
    return "[" + ("," + between + " " * (indent + 1)).join(lines) + "]"


def values_text(t: Any, indent: int) -> str:
    """The brackets and numbers."""
    x, shape = t.detach(), tuple(t.shape)
    summarise = x.numel() > OPTIONS.threshold
    if summarise:
        x = _edges(x.resolve_conj())
    if x.dtype in (d.bfloat16, d.float16):
        x = x.to(d.float32)
    if x.dtype is d.complex32:
        x = x.to(d.complex64)
    items = as_array(x.reshape(-1)).tolist()  # flat: NumPy has at most 64 dims
    form: Any = ComplexFormatter(items) if x.dtype.is_complex else Formatter(items, x.dtype.is_floating_point)
    return _nested(items, shape, indent, form, summarise)


def text(t: Any) -> str:
    """repr of a tensor."""
    if t._layout.batch:
        number = numbers(t._layout)[-1]
        return f"BatchedTensor(lvl={number}, bdim=0, value=\n" + textwrap.indent(text(expose(t, number)), " " * 4) + "\n)"
    name = "tensor" if type(t) is Tensor or type(t).__module__.startswith(("facula.nn", "torch.nn")) else type(t).__name__
    prefix = f"{name}("
    indent = len(prefix)
    suffixes: list[str] = []
    lay = t._layout
    if lay.device.type != "cpu":
        suffixes.append(f"device='{lay.device}'")
    plain = lay.dtype in (SETTINGS.default_dtype, d.int64, d.bool_) or (
        lay.dtype.is_complex and lay.dtype is SETTINGS.default_dtype.to_complex()
    )
    if lay.device.type == "meta":
        suffixes.append(f"size={tuple(lay.shape)}")
        if lay.dtype is not SETTINGS.default_dtype:
            suffixes.append(f"dtype={lay.dtype}")
        body = "..."
    elif not lay.numel:
        if lay.ndim != 1:
            suffixes.append(f"size={tuple(lay.shape)}")
        if lay.dtype is not SETTINGS.default_dtype:
            suffixes.append(f"dtype={lay.dtype}")
        body = "[]"
    else:
        if not plain:
            suffixes.append(f"dtype={lay.dtype}")
        body = values_text(t, indent)
    made = t.grad_fn
    if made is not None:
        suffixes.append(f"grad_fn=<{made.name()}>")
    elif t.requires_grad:
        suffixes.append("requires_grad=True")
    return _joined(prefix + body, suffixes, indent)


def _joined(out: str, suffixes: list[str], indent: int) -> str:
    last = len(out) - out.rfind("\n") + 1
    for suffix in suffixes:
        if last + len(suffix) + 2 > OPTIONS.linewidth:
            out += ",\n" + " " * indent + suffix
            last = indent + len(suffix)
        else:
            out += ", " + suffix
            last += len(suffix) + 2
    return out + ")"


def __repr__(self: Any, *, tensor_contents: Any = None) -> str:
    return text(self)


def __format__(self: Any, spec: str) -> str:
    return (
        self.item().__format__(spec)
        if not self._layout.ndim and self._layout.device.type == "cpu" and type(self) is Tensor
        else object.__format__(self, spec)
    )


Tensor.__repr__ = __repr__
Tensor.__format__ = __format__
