"""Where a tensor lives, how its memory is laid out, and the formats that PyTorch names."""

from __future__ import annotations

import re
from typing import Any

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
    """A device type and, where there are several, an index: device("cpu"), device("cuda:1"), device("cuda", 1)."""

    __slots__ = ("__weakref__", "index", "type")
    _known: dict[tuple[str, int | None], device] = {}

    type: str
    index: int | None

    def __new__(cls, type: Any = "cpu", index: int | None = None) -> device:
        if isinstance(type, device):
            return type
        if isinstance(type, bool) or not isinstance(type, (str, int)):
            raise TypeError(f"device(): argument 'type' (position 1) must be str, not {type.__class__.__name__}")
        if isinstance(type, int):
            type, index = "cuda", type
        match = re.fullmatch(r"([a-z]+)(?::(\d+))?", type)
        if not match:
            raise RuntimeError(f"Invalid device string: '{type}'")
        if match[2] is not None:
            if index is not None:
                raise RuntimeError(f"type (string) must not include an index because index was passed explicitly: {type}")
            index = int(match[2])
        if match[1] not in TYPES:
            raise RuntimeError(
                f"Expected one of cpu, cuda, ipu, xpu, mkldnn, opengl, opencl, ideep, hip, ve, fpga, maia, xla, lazy, vulkan, mps, meta, hpu, mtia, "
                f"privateuseone device type at start of device string: {type}"
            )
        key = match[1], index
        if key not in cls._known:
            self = cls._known[key] = object.__new__(cls)
            self.type, self.index = key
        return cls._known[key]

    def __repr__(self) -> str:
        return f"device(type='{self.type}'" + (f", index={self.index})" if self.index is not None else ")")

    def __str__(self) -> str:
        return self.type if self.index is None else f"{self.type}:{self.index}"

    def __reduce__(self) -> tuple[Any, ...]:
        return device, (self.type, self.index)

    def __enter__(self) -> device:
        return self

    def __exit__(self, *exc: object) -> None:
        return None


CPU = device("cpu")
META = device("meta")


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
