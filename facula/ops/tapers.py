"""Window functions of spectral analysis: a number per place, 1 in the middle and small at the ends."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from ..base.dtypes import dtype as DType
from ..base.errors import refuse
from ..base.settings import SETTINGS
from ..core.tensor import Tensor
from ..spec.block import Composite
from ..spec.promotion import scalar_type_name
from ..spec.registry import ops
from ..spec.samples import each, grid, refused
from .creation import OPTIONS


def _raised(n: Tensor, last: int, alpha: float, beta: float) -> Tensor:
    return (n * (2 * math.pi / last)).cos() * -beta + alpha


def _blackman(n: Tensor, last: int) -> Tensor:
    angle = n * (math.pi / last)
    return (angle * 4).cos() * 0.08 - (angle * 2).cos() * 0.5 + 0.42


def _bartlett(n: Tensor, last: int) -> Tensor:
    rising = n * (2 / last)
    return ops.where(n <= last // 2, rising, rising * -1 + 2)


def _kaiser(n: Tensor, last: int, beta: float) -> Tensor:
    middle = last / 2
    whole = ops.i0(ops.full((), beta, dtype=n.dtype, device=n.device))
    return ops.i0(beta * (1 - ((n - middle) / middle).square()).sqrt()) / whole


def _window(name: str, formula: Callable[..., Tensor], meaning: str, **shape: float) -> type:
    """A block for formula(places, last place, *parameters); `shape` has the parameters and their defaults."""

    def compose(
        window_length: int,
        periodic: bool,
        *parameters: float,
        dtype: DType | None,
        layout: Any,
        device: Any,
        pin_memory: bool | None,
        requires_grad: bool,
    ) -> Tensor:
        kind = dtype or SETTINGS.default_dtype
        if not kind.is_floating_point:
            sentence = f"{name} expects floating point dtypes, got: TensorOptions(dtype={scalar_type_name(kind)})"
            raise refuse(RuntimeError, sentence, received=kind.name, expected="a floating type")
        if window_length < 0:
            raise refuse(RuntimeError, f"{name} requires non-negative window_length, got window_length={window_length}")
        last = window_length if periodic else window_length - 1
        if window_length < 2:
            out = ops.ones(window_length, dtype=kind, device=device)
        else:
            out = formula(ops.arange(window_length, dtype=kind, device=device), last, *parameters)
        return out.requires_grad_(requires_grad)

    named = "".join(f", float {key}={value}" for key, value in shape.items())
    body: dict[str, Any] = {
        "__doc__": f"{meaning} `periodic` leaves out the last place of the symmetric window that is one longer.",
        "__module__": __name__,
        "schema": f"{name}(int window_length, bool periodic=True{named}, {OPTIONS}) -> Tensor",
        "paths": "torch",
        "through_binder": True,
        "out": False,
        "compose": staticmethod(compose),
        "samples": grid(window_length=[0, 1, 2, 7, 8], periodic=[True, False]),
        "refusals": each(refused(-1, raises=RuntimeError, match=f"{name} requires non-negative window_length")),
    }
    return type("".join(word.title() for word in name.split("_")), (Composite,), body)


_window("hann_window", lambda n, last: _raised(n, last, 0.5, 0.5), "Hann's window, (1 - cos(2 pi n / N)) / 2.")
_window("hamming_window", _raised, "Hamming's window, alpha - beta cos(2 pi n / N).", alpha=0.54, beta=0.46)
_window("blackman_window", _blackman, "Blackman's window, 0.42 - 0.5 cos(2 pi n / N) + 0.08 cos(4 pi n / N).")
_window("bartlett_window", _bartlett, "Bartlett's window, a triangle.")
_window("kaiser_window", _kaiser, "Kaiser's window, I0(beta sqrt(1 - (2 n / N - 1)**2)) / I0(beta).", beta=12.0)
