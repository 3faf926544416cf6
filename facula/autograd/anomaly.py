"""Anomaly mode: backward names the forward line of what failed, and NaN gradients are errors."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

from ..base.errors import refuse, warn
from ..core.modes import MODE, sync

PACKAGE = str(Path(__file__).parents[1]) + os.sep


class _Checks(threading.local):
    """What anomaly mode looks at in this thread besides errors."""

    nan = True


CHECKS = _Checks()


def remember(node: Any) -> None:
    """Keep the traceback of the call that makes `node`, down to the last line that is not ours."""
    import traceback

    stack = traceback.extract_stack()
    while stack and stack[-1].filename.startswith(PACKAGE):
        stack.pop()
    node.metadata["traceback_"] = stack.format()


def set_anomaly_enabled(mode: bool, check_nan: bool = True) -> None:
    """Anomaly mode on or off; `check_nan=False` leaves NaN gradients alone and only names the lines of errors."""
    for name, value in (("enabled", mode), ("check_nan", check_nan)):
        if not isinstance(value, bool):
            raise refuse(TypeError, f"set_anomaly_enabled(): argument '{name}' (position {1 + (name == 'check_nan')}) must be bool, not "
                         f"{type(value).__name__}", received=f"{value!r:.60}", expected="True or False")  # fmt: skip
    MODE.anomaly, CHECKS.nan = mode, check_nan
    sync()


def is_anomaly_enabled() -> bool:
    return MODE.anomaly


def is_anomaly_check_nan_enabled() -> bool:
    return CHECKS.nan


class detect_anomaly:
    """Inside the block every call remembers its traceback; an error in backward, or a NaN gradient, shows it."""

    def __init__(self, check_nan: bool = True) -> None:
        self.check_nan = check_nan
        self.before = is_anomaly_enabled(), is_anomaly_check_nan_enabled()
        warn(
            "Anomaly Detection has been enabled. This mode will increase the runtime and should only be enabled for debugging.",
            UserWarning,
        )

    def __enter__(self) -> None:
        self.before = is_anomaly_enabled(), is_anomaly_check_nan_enabled()
        set_anomaly_enabled(True, self.check_nan)

    def __exit__(self, *exc: object) -> None:
        set_anomaly_enabled(*self.before)


class set_detect_anomaly:
    """Anomaly mode on or off: at once, and until the end of the block when used with `with`."""

    def __init__(self, mode: bool, check_nan: bool = True) -> None:
        self.before = is_anomaly_enabled(), is_anomaly_check_nan_enabled()
        set_anomaly_enabled(mode, check_nan)

    def __enter__(self) -> None:
        return None

    def __exit__(self, *exc: object) -> None:
        set_anomaly_enabled(*self.before)


def set_multithreading_enabled(mode: bool) -> Any:
    """Backward runs in the calling thread; kept for PyTorch's programs."""
    from contextlib import nullcontext

    return nullcontext()
