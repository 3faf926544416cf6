"""Anomaly mode: backward names the forward line of what failed, and NaN gradients are errors."""

from __future__ import annotations

from typing import Any

from ..core.modes import MODE, sync


class detect_anomaly:
    """Inside the block every call remembers its traceback; an error in backward, or a NaN gradient, shows it."""

    def __init__(self, check_nan: bool = True) -> None:
        self.before = MODE.anomaly

    def __enter__(self) -> None:
        self.before, MODE.anomaly = MODE.anomaly, True
        sync()

    def __exit__(self, *exc: object) -> None:
        MODE.anomaly = self.before
        sync()


class set_detect_anomaly:
    """Anomaly mode on or off: at once, and until the end of the block when used with `with`."""

    def __init__(self, mode: bool, check_nan: bool = True) -> None:
        self.before = MODE.anomaly
        MODE.anomaly = bool(mode)
        sync()

    def __enter__(self) -> None:
        return None

    def __exit__(self, *exc: object) -> None:
        MODE.anomaly = self.before
        sync()


def is_anomaly_enabled() -> bool:
    return MODE.anomaly


def is_anomaly_check_nan_enabled() -> bool:
    return MODE.anomaly


def set_multithreading_enabled(mode: bool) -> Any:
    """Backward runs in the calling thread; kept for PyTorch's programs."""
    from contextlib import nullcontext

    return nullcontext()
