"""facula: PyTorch's public API, in Python all the way down.

Nothing is loaded until a name is used: `import facula` reads this file alone. The first name loads the operators (about 0.3 s); rooms such as
`facula.nn` load when they are named.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any

__version__ = "2.13.0"  # of the API
LATER = {  # functions of rooms that load when they are first used
    **{"save": "io", "load": "io", "vmap": "func"},
    **dict.fromkeys(
        ("lstm", "gru", "rnn_tanh", "rnn_relu", "lstm_cell", "gru_cell", "rnn_tanh_cell", "rnn_relu_cell"), "nn.modules.rnn_functions"
    ),
}


def _open() -> None:
    """Fill this module with what `front` offers."""
    front = importlib.import_module(".front", __name__)
    globals().update(front.NAMES)


def __getattr__(name: str) -> Any:
    if (room := sys.modules.get(f"{__name__}.{name}")) is not None:  # it is being imported right now
        return room
    if name in LATER:
        return getattr(importlib.import_module(f".{LATER[name]}", __name__), name)
    if name.startswith("__") or name == "_open":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if "Tensor" not in globals():
        _open()
        if name in globals():
            return globals()[name]
    try:
        return importlib.import_module(f".{name}", __name__)
    except ModuleNotFoundError as error:
        if error.name != f"{__name__}.{name}":
            raise
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    if "Tensor" not in globals():
        _open()
    return sorted({*globals(), *LATER})
