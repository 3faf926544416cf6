"""Where a tensor lives, how its memory is laid out, and the formats that PyTorch names."""

from __future__ import annotations

import builtins
import re
from typing import Any

from .errors import NotCompiledError, refuse

TYPES = (
    "cpu",
    "cuda",
    "mps",
    "meta",
    "xpu",
    "mkldnn",
    "ipu",
    "hpu",
    "xla",
    "vulkan",
    "mtia",
    "privateuseone",
    "maia",
    "fpga",
    "ort",
    "ideep",
    "hip",
    "ve",
    "lazy",
    "opengl",
    "opencl",
)


class device:
    """A device type and, where there are several, an index: device("cpu"), device("cuda:1"), device("cuda", 1).

    One object per device. With `with`, tensors made inside without a device of their own are made there (`core/placing.py`)."""

    __slots__ = ("__weakref__", "index", "type")
    _known: dict[tuple[str, int | None], device] = {}

    type: str
    index: int | None

    def __new__(cls, *args: Any, **kwargs: Any) -> device:
        if len(args) == 1 and not kwargs and type(args[0]) is str and (found := cls._known.get((args[0], None))) is not None:
            return found
        kind, index = _spelled(args, kwargs)
        if isinstance(kind, device):
            return kind
        match = re.fullmatch(r"([a-zA-Z_]+)(?::(0|[1-9]\d*))?", kind)
        if not kind:
            raise refuse(RuntimeError, "Device string must not be empty", received="''", expected="such as 'cpu' or 'meta'")
        if not match:
            raise refuse(RuntimeError, f"Invalid device string: '{kind}'", expected="a type, or a type and an index: 'cpu', 'cuda:1'")
        if match[1] not in TYPES:
            raise refuse(
                RuntimeError,
                "Expected one of cpu, cuda, ipu, xpu, mkldnn, opengl, opencl, ideep, hip, ve, fpga, maia, xla, lazy, vulkan, mps, meta, hpu, mtia, "
                f"privateuseone device type at start of device string: {match[1]}",
            )
        if match[2] is not None:
            if index is not None:
                raise refuse(RuntimeError, f"type (string) must not include an index because index was passed explicitly: {kind}")
            index = int(match[2])
        if index is not None and index < 0:
            raise refuse(RuntimeError, "Device index must not be negative", received=f"index={index}")
        key = match[1], index
        if key not in cls._known:
            self = cls._known[key] = object.__new__(cls)
            for name, value in zip(("type", "index"), key):
                object.__setattr__(self, name, value)
        return cls._known[key]

    def __repr__(self) -> str:
        return f"device(type='{self.type}'" + (f", index={self.index})" if self.index is not None else ")")

    def __str__(self) -> str:
        return self.type if self.index is None else f"{self.type}:{self.index}"

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"attribute '{name}' of 'torch.device' objects is not writable")

    def __reduce__(self) -> tuple[Any, ...]:
        return device, (self.type,) if self.index is None else (self.type, self.index)


def _spelled(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, int | None]:
    """(type or device, index) of a call of `device`: ("cuda", 1), (type="cuda", index=1), (device="cuda:1"), ("cuda:1"), (1)."""
    names = ("device",) if "device" in kwargs else ("type", "index")
    given = {**dict(zip(names, args)), **kwargs}
    kind, index = given.get(names[0]), given.get("index")
    if len(args) > len(names) or set(given) - set(names) or isinstance(kind, bool) or not isinstance(kind, (str, int, device)):
        shown = ", ".join(builtins.type(a).__name__ for a in (*args, *kwargs.values()))
        raise refuse(
            TypeError,
            f"device() received an invalid combination of arguments - got ({shown}), but expected one of:\n * (torch.device device)\n"
            " * (str type, int index = -1)\n",
        )
    if isinstance(kind, int):
        raise refuse(RuntimeError, "Cannot access accelerator device when none is available.", received=f"device {kind}", hint="'cpu'")
    if index is not None and (isinstance(index, bool) or not isinstance(index, int)):
        sentence = f"device(): argument 'index' (position 2) must be int, not {builtins.type(index).__name__}"
        raise refuse(TypeError, sentence, received=f"index={index!r:.60}", expected="int")
    if index is not None and isinstance(kind, device):
        raise TypeError("device(): argument 'type' (position 1) must be str, not torch.device")
    return kind, index


CPU = device("cpu")
META = device("meta")


def absent(where: device, copying: bool = False) -> Exception:
    """The error for a device that this build has not, as PyTorch's CPU build spells it when a tensor is made there or copied there."""
    facts = {"received": f"device {where}", "expected": "cpu, or meta for shapes without values"}
    if where.type in ("cuda", "xpu", "mtia"):
        hint = f"torch.{where.type}.is_available() tells"
        return refuse(NotCompiledError, f"Torch not compiled with {where.type.upper()} enabled", **facts, hint=hint)
    if copying:
        return refuse(RuntimeError, f"PyTorch is not linked with support for {where.type} devices", **facts)
    backend = where.type.title() if where.type in ("vulkan", "lazy") else where.type.upper()
    return refuse(NotImplementedError, f"Could not run 'aten::empty.memory_format' with arguments from the '{backend}' backend.", **facts)


class _Named:
    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"torch.{self.name}"

    def __reduce__(self) -> str:
        return self.name

    def __copy__(self) -> Any:
        return self

    def __deepcopy__(self, memo: Any) -> Any:
        return self


class memory_format(_Named):
    """The order of dims in memory."""

    __slots__ = ()


class layout(_Named):
    """Dense (strided) or sparse."""

    __slots__ = ()


contiguous_format = memory_format("contiguous_format")
channels_last = memory_format("channels_last")
channels_last_3d = memory_format("channels_last_3d")
preserve_format = memory_format("preserve_format")
strided = layout("strided")
sparse_coo = layout("sparse_coo")
sparse_csr = layout("sparse_csr")
