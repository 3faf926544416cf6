"""Process-wide choices that users make through PyTorch's functions, and questions about objects."""

from __future__ import annotations

from typing import Any

from ..base.dtypes import bfloat16, dtype, float16, float32, float64
from ..base.errors import refuse, warn
from ..base.narrow import is_a
from ..base.settings import SETTINGS
from ..runtime import pool
from .door import forget
from .objects import Tensor


def get_default_dtype() -> dtype:
    """The type of tensors made from Python floats."""
    return SETTINGS.default_dtype


def set_default_dtype(d: dtype) -> None:
    """Make tensors from Python floats of this floating type."""
    if not is_a(d, dtype):
        raise refuse(TypeError, "invalid dtype object: only floating-point types are supported as the default type", received=f"{d!r:.60}")
    if d not in (float16, bfloat16, float32, float64):
        raise refuse(
            TypeError,
            "only floating-point types are supported as the default type",
            received=repr(d),
            expected="float16, bfloat16, float32 or float64",
        )
    if d is not SETTINGS.default_dtype:
        SETTINGS.default_dtype = d
        forget()  # it decided plans that do not name it


def get_num_threads() -> int:
    """Threads that one kernel uses."""
    return pool.get_num_threads()


def set_num_threads(n: int) -> None:
    """How many threads a kernel uses from now on. Results do not depend on it."""
    if isinstance(n, bool) or not is_a(n, int):
        raise refuse(RuntimeError, f"set_num_threads expects an int, but got {type(n).__name__}", received=f"{n!r:.60}", expected="int")
    if n < 1:
        raise refuse(RuntimeError, "set_num_threads expects a positive integer", received=str(n))
    pool.set_num_threads(n)


def get_num_interop_threads() -> int:
    """Operators run one after another."""
    return 1


def set_num_interop_threads(n: int) -> None:
    """Accepted and without effect: operators run one after another."""
    if isinstance(n, bool) or not is_a(n, int):
        raise refuse(
            RuntimeError, f"set_num_interop_threads expects an int, but got {type(n).__name__}", received=f"{n!r:.60}", expected="int"
        )
    if n < 1:
        raise refuse(RuntimeError, "set_num_interop_threads expects a positive integer", received=str(n))


def use_deterministic_algorithms(mode: bool, *, warn_only: bool = False) -> None:
    """Every algorithm here is deterministic; the setting is kept for those who ask."""
    for where, value in (("'mode' (position 1)", mode), ("'warn_only'", warn_only)):
        if not is_a(value, bool):
            sentence = f"_set_deterministic_algorithms(): argument {where} must be bool, not {type(value).__name__}"
            raise refuse(TypeError, sentence, received=f"{value!r:.60}", expected="True or False")
    SETTINGS.deterministic, SETTINGS.deterministic_warn_only = mode, warn_only


def are_deterministic_algorithms_enabled() -> bool:
    return SETTINGS.deterministic


def is_deterministic_algorithms_warn_only_enabled() -> bool:
    return SETTINGS.deterministic_warn_only


def set_deterministic_debug_mode(debug_mode: int | str) -> None:
    """0 "default", 1 "warn", 2 "error"."""
    names = {"default": 0, "warn": 1, "error": 2}
    if not (is_a(debug_mode, int) or is_a(debug_mode, str)):
        raise refuse(TypeError, f"debug_mode must be str or int, but got {type(debug_mode)}", received=f"{debug_mode!r:.60}")
    level = names.get(debug_mode, -1) if isinstance(debug_mode, str) else debug_mode
    if level not in (0, 1, 2):
        known = "one of `default`, `warn`, `error`" if isinstance(debug_mode, str) else "0, 1, or 2"
        raise refuse(RuntimeError, f"invalid value of debug_mode, expected {known}, but got {debug_mode}", received=repr(debug_mode))
    use_deterministic_algorithms(level > 0, warn_only=level == 1)


def get_deterministic_debug_mode() -> int:
    return 0 if not SETTINGS.deterministic else 1 if SETTINGS.deterministic_warn_only else 2


def get_float32_matmul_precision() -> str:
    """ "highest", "high" or "medium"; products are computed in float32 whichever it is."""
    return SETTINGS.matmul_precision


def set_float32_matmul_precision(precision: str) -> None:
    if not is_a(precision, str):
        sentence = f"set_float32_matmul_precision expects a str, but got {type(precision).__name__}"
        raise refuse(RuntimeError, sentence, received=f"{precision!r:.60}", expected="'highest', 'high' or 'medium'")
    if precision not in ("highest", "high", "medium"):
        warn(f"{precision} is not one of 'highest', 'high', or 'medium'; the current setting stays")
        return
    SETTINGS.matmul_precision = precision


def set_flush_denormal(mode: bool) -> bool:
    """Denormal numbers are always kept: False says that the setting is not supported."""
    if not is_a(mode, bool):
        raise refuse(
            RuntimeError, f"flush_denormal expects a bool, but got {type(mode).__name__}", received=f"{mode!r:.60}", expected="bool"
        )
    return False


def is_tensor(obj: Any) -> bool:
    """Whether this is a tensor."""
    return isinstance(obj, Tensor)


def typename(obj: Any) -> str:
    """The name of a tensor's type as PyTorch spells it (torch.FloatTensor), or of any other object's class."""
    if isinstance(obj, Tensor):
        return obj.type()
    kind = obj if isinstance(obj, type) else type(obj)
    module = getattr(kind, "__module__", "")
    return kind.__qualname__ if module in ("builtins", "__builtin__", "") else f"{module}.{kind.__qualname__}"


NAMES = (
    "are_deterministic_algorithms_enabled", "get_default_dtype", "get_deterministic_debug_mode", "get_float32_matmul_precision",
    "get_num_interop_threads", "get_num_threads", "is_deterministic_algorithms_warn_only_enabled", "is_tensor",
    "set_default_dtype", "set_deterministic_debug_mode", "set_float32_matmul_precision", "set_flush_denormal", "set_num_interop_threads",
    "set_num_threads", "typename", "use_deterministic_algorithms",
)  # fmt: skip
