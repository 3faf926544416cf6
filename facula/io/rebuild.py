"""The names that a checkpoint may contain, and what each one makes. Every argument is checked before it is used."""

from __future__ import annotations

from collections import Counter, OrderedDict, defaultdict
from collections.abc import Callable, Iterable
from typing import Any

from .. import ops
from ..base import dtypes
from ..base.device import device
from ..base.errors import refuse
from ..core import Size, Tensor, objects
from ..core.layout import layout
from ..nn import Parameter
from .emit import TYPED
from .interpret import Constant, Interpreter, Maker, UntrustedError, malformed, plain_key

KEYS: tuple[type, ...] = (Size, device, type(dtypes.float32))
DTYPE_NAMES = (
    *("bool", "uint8", "int8", "int16", "int32", "int64", "uint16", "uint32", "uint64"),
    *("float16", "bfloat16", "float32", "float64", "complex32", "complex64", "complex128"),
)
MOST_DIMS = 64


class Storage:
    """Bytes of the file as a tensor of uint8, and the dtype under which they were saved."""

    def __init__(self, base: Tensor, dtype: Any) -> None:
        self.base, self.dtype = base, dtype


def dtype_of(name: str) -> Any:
    """The dtype of this name, None where the library has none."""
    found = getattr(dtypes, "bool_" if name == "bool" else name, None)
    return found if isinstance(found, type(dtypes.float32)) else None


def _ints(value: Any, what: str) -> tuple[int, ...]:
    if not isinstance(value, tuple) or len(value) > MOST_DIMS or any(type(n) is not int or not 0 <= n < 2**62 for n in value):
        raise malformed(f"{what} that is no tuple of counts", repr(value)[:80])
    return tuple(value)


def rebuild_tensor(storage: Any, offset: Any, size: Any, stride: Any, requires_grad: Any, hooks: Any, metadata: Any = None) -> Tensor:
    """A tensor on a storage of the file, as PyTorch's `_rebuild_tensor_v2` describes it."""
    if not isinstance(storage, Storage):
        raise malformed("a tensor without a storage", type(storage).__name__)
    return _tensor_on(storage.base, storage.dtype, offset, size, stride, requires_grad, metadata)


def rebuild_tensor_of(
    storage: Any, offset: Any, size: Any, stride: Any, requires_grad: Any, hooks: Any, dtype: Any, metadata: Any = None
) -> Tensor:
    """The same with a dtype of its own, `_rebuild_tensor_v3`."""
    if not isinstance(storage, Storage) or not isinstance(dtype, type(dtypes.float32)):
        raise malformed("a tensor without a storage or dtype", type(storage).__name__)
    return _tensor_on(storage.base, dtype, offset, size, stride, requires_grad, metadata)


def rebuild_meta_tensor(dtype: Any, size: Any, stride: Any, requires_grad: Any) -> Tensor:
    """A tensor on the meta device, which has no storage."""
    if not isinstance(dtype, type(dtypes.float32)):
        raise malformed("a tensor without a dtype", type(dtype).__name__)
    size, stride = _geometry(dtype, size, stride, requires_grad)
    return ops.empty_strided(size, stride, dtype=dtype, device="meta", requires_grad=requires_grad)


def _geometry(dtype: Any, size: Any, stride: Any, requires_grad: Any) -> tuple[tuple[int, ...], tuple[int, ...]]:
    size, stride = _ints(size, "a size"), _ints(stride, "a stride")
    if len(size) != len(stride):
        raise malformed("a tensor whose size and stride differ in length", f"{size} and {stride}")
    if type(requires_grad) is not bool or (requires_grad and not (dtype.is_floating_point or dtype.is_complex)):
        raise malformed("requires_grad for a tensor of integers", f"{dtype}")
    return size, stride


def _tensor_on(base: Tensor, dtype: Any, offset: Any, size: Any, stride: Any, requires_grad: Any, metadata: Any) -> Tensor:
    size, stride = _geometry(dtype, size, stride, requires_grad)
    (offset,) = _ints((offset,), "an offset")
    length = base.numel() // dtype.itemsize
    last = offset + sum((n - 1) * s for n, s in zip(size, stride)) if all(size) else offset - 1
    if last >= length or offset > length:
        raise malformed("a tensor that reaches past its storage", f"size {size}, stride {stride}, offset {offset} on {length} elements")
    value = objects.alias(Tensor, base, layout(size, dtype, stride, base.device), offset * dtype.itemsize)
    if metadata:
        value = _with_metadata(value, metadata)
    return value.requires_grad_() if requires_grad else value


def _with_metadata(value: Tensor, metadata: Any) -> Tensor:
    if not isinstance(metadata, dict) or set(metadata) - {"conj", "neg"} or any(type(v) is not bool for v in metadata.values()):
        raise malformed("unknown metadata of a tensor", repr(metadata)[:80])
    if metadata.get("conj"):
        value = value.conj()
    return -value if metadata.get("neg") else value


def rebuild_parameter(data: Any, requires_grad: Any, hooks: Any, state: Any = None) -> Parameter:
    """A parameter, with the attributes that a program put on it; none of those may hide something of the class."""
    if not isinstance(data, Tensor) or type(requires_grad) is not bool:
        raise malformed("a parameter without a tensor", type(data).__name__)
    parameter = Parameter(data.detach(), requires_grad)
    return _with_attributes(parameter, state or {})


def _with_attributes(value: Any, state: Any) -> Any:
    if not isinstance(state, dict):
        raise malformed("attributes that are no dict", type(state).__name__)
    for name, attribute in state.items():
        if not isinstance(name, str) or not name.isidentifier() or name.startswith("__") or hasattr(type(value), name):
            raise malformed("an attribute that would hide one of the class", repr(name)[:80])
        setattr(value, name, attribute)
    return value


def rebuild_typed(function: Any, kind: Any, args: Any, state: Any) -> Any:
    """A tensor of a subclass: `kind` is Tensor, Parameter, or a class that the load trusts."""
    if not isinstance(function, Maker) or not isinstance(kind, Maker) or not isinstance(args, tuple):
        raise malformed("a tensor subclass that is not described as one")
    value = function.make(*args)
    if kind.token is not None and kind.token not in (Tensor, Parameter) and isinstance(kind.token, type):
        value = value.as_subclass(kind.token)
    return _with_attributes(value, state)


# -- containers and numbers ---------------------------------------------------------------------------------------------------


def _pairs(value: Any) -> list[tuple[Any, Any]]:
    pairs = list(value.items()) if isinstance(value, dict) else [tuple(p) for p in value]
    if any(len(p) != 2 or not plain_key(p[0], KEYS) for p in pairs):
        raise malformed("items that are no pairs of a plain key and a value")
    return pairs


def _ordered(items: Any = ()) -> OrderedDict[Any, Any]:
    return OrderedDict(_pairs(items))


def _ordered_state(value: OrderedDict[Any, Any], state: Any) -> OrderedDict[Any, Any]:
    if not isinstance(state, dict) or set(state) - {"_metadata"} or not isinstance(state.get("_metadata", {}), dict):
        raise malformed("a state of an OrderedDict that no module has", repr(state)[:80])
    for name, content in state.items():
        setattr(value, name, content)
    return value


def _members(kind: type) -> Callable[..., Any]:
    def make(items: Any = ()) -> Any:
        if not isinstance(items, (list, tuple)) or not all(plain_key(v, KEYS) for v in items):
            raise malformed(f"members of a {kind.__name__} that are no plain values")
        return kind(items)

    return make


def _default_dict(factory: Any = None, items: Any = ()) -> defaultdict[Any, Any]:
    made = {"dict": dict, "list": list, "set": set, "int": int, "float": float, "str": str}
    if factory is not None and not (isinstance(factory, Maker) and factory.name in made):
        raise malformed("a defaultdict with an unknown factory")
    return defaultdict(None if factory is None else made[factory.name], _pairs(items))


def _encode(text: Any, coding: Any = "utf-8") -> bytes:
    if type(text) is not str or coding not in ("latin1", "latin-1", "utf-8"):
        raise malformed("bytes in an unknown coding", repr(coding)[:40])
    return text.encode(coding)


def _complex(real: Any = 0.0, imag: Any = 0.0) -> complex:
    if type(real) not in (int, float) or type(imag) not in (int, float):
        raise malformed("a complex number of other parts")
    return complex(real, imag)


def _bytes(data: Any = b"") -> bytes:
    if type(data) not in (bytes, bytearray):
        raise malformed("bytes of something else", type(data).__name__)
    return bytes(data)


def _bytearray(data: Any = b"", coding: Any = None) -> bytearray:
    return bytearray(_encode(data, coding) if coding is not None else _bytes(data))


def _size(items: Any = ()) -> Size:
    return Size(_ints(tuple(items) if isinstance(items, list) else items, "a Size"))


def _device(kind: Any = "cpu", index: Any = None) -> Any:
    if type(kind) is not str or not (index is None or type(index) is int):
        raise malformed("a device that is no name and number")
    return device(kind) if index is None else device(kind, index)


# -- NumPy --------------------------------------------------------------------------------------------------------------------


def _numpy_dtype(code: Any, *_: Any) -> Any:
    import numpy as np

    if type(code) is not str or len(code) > 8:
        raise malformed("a NumPy dtype that is no short code")
    kind = np.dtype(code)
    if kind.hasobject or kind.fields or kind.subdtype:
        raise malformed("a NumPy dtype that holds objects", code)
    return kind


def _numpy_dtype_state(kind: Any, state: Any) -> Any:
    if not isinstance(state, tuple) or len(state) < 5 or state[0] not in (3, 4) or state[1] not in ("<", "|", "=") or any(state[2:5]):
        raise malformed("a NumPy dtype of an unknown form", repr(state)[:80])
    return kind


def _require_numpy(kind: Any) -> Any:
    import numpy as np

    if not isinstance(kind, np.dtype) or kind.hasobject:
        raise malformed("a NumPy value without a plain dtype", type(kind).__name__)
    return kind


def _numpy_scalar(kind: Any, data: Any) -> Any:
    import numpy as np

    kind = _require_numpy(kind)
    data = _bytes(data)
    if len(data) != kind.itemsize:
        raise malformed("a NumPy number of another size", f"{len(data)} bytes for {kind}")
    return np.frombuffer(data, kind)[0]


def _numpy_filled(data: Any, kind: Any, shape: Any, order: Any) -> Any:
    import numpy as np

    kind, data, shape = _require_numpy(kind), _bytes(data), _ints(shape, "a shape")
    count = 1
    for n in shape:
        count *= n
    if count * kind.itemsize != len(data):
        raise malformed("a NumPy array of another size", f"{len(data)} bytes for shape {shape} of {kind}")
    return np.frombuffer(data, kind).reshape(shape, order="F" if order in ("F", True) else "C").copy(order="K")


def _numpy_empty(kind: Any, shape: Any, code: Any) -> Any:
    """First half of NumPy's older way: an array of no elements, whose state brings all."""
    import numpy as np

    if not isinstance(kind, Maker) or kind.name != "ndarray":
        raise malformed("a NumPy array of another class")
    return np.empty(0, np.uint8)


def _numpy_array_state(value: Any, state: Any) -> Any:
    if not isinstance(state, tuple) or len(state) != 5:
        raise malformed("a NumPy array of an unknown form")
    _, shape, kind, fortran, data = state
    _numpy_filled(data, kind, shape, False)  # the checks
    value.__setstate__((1, shape, kind, bool(fortran), _bytes(data)))
    return value


# -- the table ----------------------------------------------------------------------------------------------------------------


def _table() -> dict[tuple[str, str], Maker | Constant]:
    table: dict[tuple[str, str], Maker | Constant] = {
        ("torch._utils", "_rebuild_tensor_v2"): Maker("_rebuild_tensor_v2", rebuild_tensor),
        ("torch._utils", "_rebuild_tensor_v3"): Maker("_rebuild_tensor_v3", rebuild_tensor_of),
        ("torch._utils", "_rebuild_meta_tensor_no_storage"): Maker("_rebuild_meta_tensor_no_storage", rebuild_meta_tensor),
        ("torch._utils", "_rebuild_parameter"): Maker("_rebuild_parameter", rebuild_parameter),
        ("torch._utils", "_rebuild_parameter_with_state"): Maker("_rebuild_parameter_with_state", rebuild_parameter),
        ("torch._tensor", "_rebuild_from_type_v2"): Maker("_rebuild_from_type_v2", rebuild_typed),
        ("torch", "Tensor"): Maker("Tensor", _refused_call, token=Tensor),
        ("torch.nn.parameter", "Parameter"): Maker("Parameter", _refused_call, token=Parameter),
        ("torch", "Size"): Maker("Size", _size, token=Size),
        ("torch", "device"): Maker("device", _device, token=device),
        ("torch.serialization", "_get_layout"): Maker("_get_layout", _refused_call),
        ("collections", "OrderedDict"): Maker("OrderedDict", _ordered, _ordered_state, token=OrderedDict),
        ("collections", "Counter"): Maker("Counter", lambda items=(): Counter(dict(_pairs(items))), token=Counter),
        ("collections", "defaultdict"): Maker("defaultdict", _default_dict, token=defaultdict),
        ("_codecs", "encode"): Maker("encode", _encode),
        ("torch.storage", "UntypedStorage"): Maker("UntypedStorage", _refused_call),
        ("torch", "UntypedStorage"): Maker("UntypedStorage", _refused_call),
    }
    for module in ("builtins", "__builtin__"):
        for kind, make in (("set", _members(set)), ("frozenset", _members(frozenset)), ("complex", _complex)):
            table[module, kind] = Maker(kind, make)
        table[module, "bytearray"] = Maker("bytearray", _bytearray)
        table[module, "bytes"] = Maker("bytes", _bytes)
        for kind in ("dict", "list", "int", "float", "str"):
            table[module, kind] = Maker(kind, _refused_call)
    for name in DTYPE_NAMES:
        if (found := dtype_of(name)) is not None:
            table["torch", name] = Constant(found)
    for name in TYPED.values():
        table["torch", name] = Maker(name, _refused_call)
    for core in ("numpy.core.multiarray", "numpy._core.multiarray"):
        table[core, "_reconstruct"] = Maker("_reconstruct", _numpy_empty, _numpy_array_state)
        table[core, "scalar"] = Maker("scalar", _numpy_scalar)
    for core in ("numpy.core.numeric", "numpy._core.numeric"):
        table[core, "_frombuffer"] = Maker("_frombuffer", _numpy_filled)
    table["numpy", "dtype"] = Maker("dtype", _numpy_dtype, _numpy_dtype_state)
    table["numpy", "ndarray"] = Maker("ndarray", _refused_call)
    return table


def _refused_call(*args: Any) -> Any:
    raise malformed("a call of a name that only stands as an argument")


ALLOWED = _table()


def trusted_maker(kind: Any) -> Maker:
    """A class (or function) that the caller trusts: it is called and given its state as pickle would do it."""

    def make(*args: Any) -> Any:
        return kind.__new__(kind, *args) if isinstance(kind, type) else kind(*args)

    def build(value: Any, state: Any) -> Any:
        setter = getattr(value, "__setstate__", None)
        if setter is not None:
            setter(state)
            return value
        own, slots = state if isinstance(state, tuple) and len(state) == 2 else (state, None)
        if own:
            value.__dict__.update(own)
        for name, content in (slots or {}).items():
            setattr(value, name, content)
        return value

    return Maker(getattr(kind, "__qualname__", str(kind)), make, build, token=kind)


def finder(trusted: Iterable[Any], weights_only: bool) -> Callable[[str, str], Maker | Constant]:
    """The look-up for one load: the table, then the trusted classes by module and qualified name. Nothing is imported."""
    named: dict[tuple[str, str], Maker] = {}
    for item in trusted:
        kind, name = item if isinstance(item, tuple) else (item, f"{item.__module__}.{item.__qualname__}")
        maker = trusted_maker(kind)
        module, _, short = name.rpartition(".")
        named[module, short] = named[kind.__module__, kind.__qualname__] = maker

    def find(module: str, name: str) -> Maker | Constant:
        found = named.get((module, name)) or ALLOWED.get((module, name)) or (None if weights_only else _own_module_class(module, name))
        if found is None:
            raise _untrusted(module, name, weights_only)
        return found

    return find


def _own_module_class(module: str, name: str) -> Maker | None:
    """Layers of this library, for loads of whole models: their classes are known here and take a dict as state."""
    from .. import nn

    head, _, rest = module.partition(".")
    if head not in ("torch", "facula") or not rest.startswith("nn.") or name.startswith("_"):
        return None
    kind = vars(nn).get(name)
    return trusted_maker(kind) if isinstance(kind, type) and issubclass(kind, nn.Module) else None


def _untrusted(module: str, name: str, weights_only: bool) -> UntrustedError:
    full = f"{module}.{name}"
    short = repr(full if len(full) < 100 else full[:97] + "...")[1:-1]
    return refuse(
        UntrustedError,
        f"Weights only load failed. Unsupported global: GLOBAL {short} was not an allowed global by default. Nothing of the file was run.",
        received=f"a file that wants to call {short}",
        expected="tensors, numbers, text and containers" + ("" if weights_only else ", or classes named in trusted=[...]"),
        hint=f"if you trust the file and have the class: load(f, weights_only=False, trusted=[{name.rpartition('.')[2][:40]}]), "
        "or save model.state_dict() instead of the model",
    )


__all__ = ["ALLOWED", "Interpreter", "Storage", "dtype_of", "finder"]
