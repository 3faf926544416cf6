"""Arguments as a caller wrote them -> values in schema order, or PyTorch's TypeError."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..base.device import CPU, device, layout, memory_format, strided
from ..base.dtypes import dtype
from ..base.errors import refuse
from ..base.narrow import is_sequence
from .schema import REQUIRED, Param, Schema

# names that NumPy's users write, accepted beside the schema's
ALIASES = {
    "axis": "dim",
    "keepdims": "keepdim",
    "x": "input",
    "a": "input",
    "x1": "input",
    "x2": "other",
    "self": "input",
    "axes": "dims",
    "dims": "dim",
}
Accept = Callable[[Any], bool]


def ordinary_memory(title: str, layout: Any = None, pin_memory: Any = False) -> None:
    """Refuse what a factory function was asked of memory, and there is not."""
    if layout is not None and layout is not strided:
        raise refuse(NotImplementedError, f"{title}(): there are no tensors of layout {layout}", expected="layout=torch.strided")
    if pin_memory:
        raise refuse(
            RuntimeError,
            "pin_memory=True requires a CUDA or other accelerator backend; no pinned memory allocator is available on this system.",
        )


class Binder:
    """Binds calls to schemas; `tensor` is the Tensor class, handed in by the floor that owns it."""

    def __init__(self) -> None:
        self.tensor: type = type(None)
        self.item: Callable[[Any], Any] = lambda t: t  # value of a 0-dim tensor
        self.generator: type = type(None)

    # -- one schema
    def bind(self, schema: Schema, args: Sequence[Any], kwargs: dict[str, Any], title: str, method: bool = False) -> list[Any]:
        """Values for every parameter. `title` is the public name in messages; for a method args[0] is the tensor itself."""
        params = schema.params
        given: list[Any] = [REQUIRED] * len(params)
        args = self._gather(schema, args)
        if len(args) > schema.positional:
            raise TypeError(
                f"{title}() takes {_count(schema.positional - method)} but {len(args) - method} {'was' if len(args) - method == 1 else 'were'} given"
            )
        for i, value in enumerate(args):
            given[i] = self.convert(params[i], value, title, i + 1 - method)
        for name, value in kwargs.items():
            i = self.place(schema, name)
            if i is None:
                raise TypeError(f"{title}() got an unexpected keyword argument '{name}'")
            if given[i] is not REQUIRED:
                raise TypeError(f"{title}() got multiple values for argument '{name}'")
            given[i] = self.convert(params[i], value, title, 0)
        missing = [p.name for p, v in zip(params, given) if v is REQUIRED and p.default is REQUIRED]
        if missing:
            raise TypeError(f"{title}() missing {len(missing)} required positional arguments: " + ", ".join(f'"{m}"' for m in missing))
        return [p.default if v is REQUIRED else v for p, v in zip(params, given)]

    def _gather(self, schema: Schema, args: Sequence[Any]) -> Sequence[Any]:
        """x.view(2, 3): ints in the place of the first free-length list are that list."""
        for i, p in enumerate(schema.params[: len(args)]):
            if p.is_list and p.type == "int" and not p.keyword_only and not p.size:
                if self._is_int(args[i]) and all(self._is_int(a) for a in args[i:]):
                    return [*args[:i], tuple(args[i:])]
                return args
        return args

    def place(self, schema: Schema, name: str) -> int | None:
        """The parameter of this name."""
        index = schema.index
        if name in index:
            return index[name]
        return index.get(ALIASES.get(name, ""))

    # -- one value
    def convert(self, p: Param, value: Any, title: str, position: int) -> Any:
        if value is None and (p.optional or p.default is None):
            return None
        if p.is_list:
            if is_sequence(value):
                return tuple(self._element(p, v, title, position, i) for i, v in enumerate(value))
            if p.size:
                return (self._one(p, value, title, position),) * p.size
            raise self._wrong(p, value, title, position)
        return self._one(p, value, title, position)

    def _element(self, p: Param, value: Any, title: str, position: int, i: int) -> Any:
        if value is None and p.type == "Tensor":
            return None
        if not self.fits(p.type, value):
            where = f" (position {position})" if position > 0 else ""
            want = {"Tensor": "Tensors", "int": "ints", "float": "floats"}.get(p.type, p.type)
            if p.type == "Tensor":
                raise TypeError(f"expected Tensor as element {i} in argument {max(position - 1, 0)}, but got {_type_name(value)}")
            raise TypeError(
                f"{title}(): argument '{p.name}'{where} must be tuple of {want}, but found element of type {_type_name(value)} at pos {i}"
            )
        return self._value(p.type, value)

    def _one(self, p: Param, value: Any, title: str, position: int) -> Any:
        if not self.fits(p.type, value):
            raise self._wrong(p, value, title, position)
        if p.name in ("layout", "pin_memory"):
            ordinary_memory(title, **{p.name: value})
        return self._value(p.type, value)

    def _is_int(self, v: Any) -> bool:
        if type(v) is int:
            return True
        if isinstance(v, (bool, float, str)) or v is None:
            return False
        if isinstance(v, self.tensor):
            return v.dim() == 0 and not v.dtype.is_floating_point and not v.dtype.is_complex and v.dtype.name != "bool"
        return hasattr(v, "__index__")

    def _is_number(self, v: Any) -> bool:
        if isinstance(v, (bool, int, float, complex)):
            return True
        if isinstance(v, self.tensor):
            return v.dim() == 0 and not v.requires_grad
        return type(v).__module__ == "numpy" and getattr(v, "ndim", 1) == 0

    def fits(self, kind: str, v: Any) -> bool:
        """Whether a value is of a kind that schemas name."""
        if kind == "Tensor":
            return isinstance(v, self.tensor)
        if kind == "Tensor|Scalar":
            return isinstance(v, self.tensor) or self._is_number(v)
        if kind == "int":
            return self._is_int(v)
        if kind == "bool":
            return isinstance(v, bool) or type(v).__name__ in ("bool_", "bool")
        if kind == "float":
            return (self._is_number(v) and not isinstance(v, (bool, complex))) or isinstance(v, bool)
        if kind in ("Scalar", "complex"):
            return self._is_number(v)
        if kind == "str":
            return isinstance(v, str)
        if kind == "ScalarType":
            return isinstance(v, dtype) or v in (float, int, bool, complex)
        if kind == "Device":
            return isinstance(v, (device, str, int)) and not isinstance(v, bool)
        if kind == "Layout":
            return isinstance(v, layout)
        if kind == "MemoryFormat":
            return isinstance(v, memory_format)
        if kind == "Generator":
            return isinstance(v, self.generator)
        return True

    def _value(self, kind: str, v: Any) -> Any:
        if kind == "int":
            return v if type(v) is int else v.__index__()
        if kind == "bool":
            return bool(v)
        if kind in ("Scalar", "float", "Tensor|Scalar", "complex"):
            if isinstance(v, self.tensor):
                return v if kind == "Tensor|Scalar" else self.item(v)
            if type(v).__module__ == "numpy":
                v = v.item()
            return float(v) if kind == "float" else v
        if kind == "ScalarType":
            from ..base import dtypes as d
            from ..base.settings import SETTINGS

            return (
                v
                if isinstance(v, dtype)
                else {bool: d.bool_, int: d.int64, float: d.float64, complex: SETTINGS.default_dtype.to_complex()}[v]
            )
        if kind == "Device":
            return device(v)
        return v

    def _wrong(self, p: Param, value: Any, title: str, position: int) -> TypeError:
        where = f" (position {position})" if position > 0 else ""
        base = {"ScalarType": "torch.dtype", "Scalar": "Number", "Tensor|Scalar": "Tensor", "Device": "torch.device", "Layout": "torch.layout",
                "MemoryFormat": "torch.memory_format", "Generator": "torch.Generator"}.get(p.type, p.type)  # fmt: skip
        want = f"tuple of {base}s" if p.is_list else base
        sentence = f"{title}(): argument '{p.name}'{where} must be {want}, not {_type_name(value)}"
        return refuse(TypeError, sentence, received=f"{p.name}={_short(value)}", expected=want)

    # -- several schemas under one name
    def choose(
        self, schemas: Sequence[Schema], args: Sequence[Any], kwargs: dict[str, Any], title: str, method: bool = False
    ) -> tuple[int, list[Any]]:
        """The first schema that fits, and its values."""
        if len(schemas) == 1:
            return 0, self.bind(schemas[0], args, kwargs, title, method)
        for i, schema in enumerate(schemas):
            try:
                return i, self.bind(schema, args, kwargs, title, method)
            except TypeError:
                continue
        raise self.no_fit(schemas, args, kwargs, title, method)

    def no_fit(self, schemas: Sequence[Schema], args: Sequence[Any], kwargs: dict[str, Any], title: str, method: bool = False) -> TypeError:
        """What to raise when no schema takes these arguments."""
        shown = args[1:] if method else args
        got = ", ".join([_type_name(a) for a in shown] + [f"{k}={_type_name(v)}" for k, v in kwargs.items()])
        wanted = "".join(f"\n * ({', '.join(_listing(s, method))})" for s in schemas)
        return TypeError(f"{title}() received an invalid combination of arguments - got ({got}), but expected one of:{wanted}\n")


def _listing(schema: Schema, method: bool) -> list[str]:
    out: list[str] = []
    for i, p in enumerate(schema.params):
        if method and i == 0:
            continue
        if p.keyword_only and "*" not in out:
            out.append("*")
        out.append(str(p))
    return out


def _count(n: int) -> str:
    return f"{n} positional argument{'s' if n != 1 else ''}"


def _type_name(v: Any) -> str:
    if isinstance(v, dtype):
        return "torch.dtype"
    name = type(v).__name__
    if not is_sequence(v) or all(type(x) is type(v[0]) for x in v):
        return name
    shown = ", ".join([_type_name(x) for x in v[:3]] + ["..."] * (len(v) > 3))
    return f"{name} of " + (f"({shown})" if isinstance(v, tuple) else f"[{shown}]")


def _short(v: Any) -> str:
    text = repr(v)
    return text if len(text) <= 60 else text[:57] + "..."


BINDER = Binder()
DEFAULT_DEVICE = CPU
