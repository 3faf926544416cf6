"""New tensors: of a shape, of a value, of Python data."""

from __future__ import annotations

import array as arrays
import ctypes
import itertools
import math
from collections.abc import Sequence
from typing import Any

from ..base import dtypes as d
from ..base.device import CPU, META, device, preserve_format
from ..base.dtypes import dtype as DType
from ..base.errors import refuse, warn
from ..base.settings import SETTINGS
from ..core import objects, writing
from ..core.batching import bare, extents, roomy
from ..core.data import FORMS, remember
from ..core.expression import PLANS
from ..core.layout import Layout, channels_last_strides, dense_like, layout
from ..core.modes import MODE
from ..core.native import fields as F
from ..core.placing import here, placed
from ..core.plan import KernelPlan, allocate, execute, memory_for, run
from ..core.result import Result
from ..core.tensor import Tensor
from ..kernel.pointwise import pointwise
from ..kernel.scalar import cast, const, index, number
from ..runtime import allocator
from ..runtime.state import writable
from ..spec.block import Composite, Fused, Procedure
from ..spec.promotion import cpp_name, of_number
from ..spec.registry import ops
from ..spec.samples import normal, sample
from . import nested

LARGEST = {"float16": 65504.0, "bfloat16": 3.3895313892515355e38, "float32": 3.4028234663852886e38, "float64": 1.7976931348623157e308}
OPTIONS = "*, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=False, bool requires_grad=False"
LIKE = OPTIONS + ", MemoryFormat? memory_format=None"


def new(
    size: Sequence[int],
    dtype: DType | None,
    where: Any,
    requires_grad: bool,
    strides: tuple[int, ...] | None = None,
    like: Layout | None = None,
) -> Tensor:
    """Memory for a shape; the default floating type when none is named. A place for every example that `like` has."""
    out = allocate(layout_of(size, dtype, where, strides, like))
    return out.requires_grad_(True) if requires_grad else out


def layout_of(
    size: Sequence[int], dtype: DType | None, where: Any, strides: tuple[int, ...] | None = None, like: Layout | None = None
) -> Layout:
    """The layout of such a new tensor."""
    batch = roomy(size, extents([like])) if like is not None and like.batch else ()
    return layout(tuple(size), dtype or SETTINGS.default_dtype, strides, placed(where), batch)


def strides_like(x: Layout, fmt: Any) -> tuple[int, ...] | None:
    if fmt is None or fmt is preserve_format:
        return None if x.contiguous else x.strides if x.dense else dense_like(x.shape, x.strides)
    return channels_last_strides(x.shape) if "last" in fmt.name else None


CPP = {
    "int64": "int64_t",
    "int32": "int",
    "int16": "int16_t",
    "int8": "int8_t",
    "uint8": "uint8_t",
    "uint16": "uint16_t",
    "uint32": "uint32_t",
    "uint64": "uint64_t",
}


def overflows(value: Any, kind: DType) -> bool:
    """Whether a Python number has no place in a type (negative ones wrap in unsigned types, as far as their size goes)."""
    if kind is d.bool_ or kind.is_complex:
        return False
    if isinstance(value, complex):
        if value.imag:
            return True
        value = value.real
    if isinstance(value, float) and not math.isfinite(value):
        return not kind.is_floating_point
    if kind.is_floating_point:
        return abs(value) > LARGEST[kind.name]
    bits = 8 * kind.itemsize - kind.is_signed
    low = -(1 << bits) if kind.is_signed else 1 - (1 << bits)
    return not low <= int(value) <= (1 << bits) - 1


def fitting(value: Any, kind: DType) -> Any:
    """The value, or RuntimeError when the type cannot hold it."""
    if overflows(value, kind):
        raise refuse(
            RuntimeError,
            f"value cannot be converted to type {CPP.get(kind.name) or cpp_name(kind)} without overflow",
            received=repr(value),
            expected=f"a number that {kind.name} holds",
        )
    return value


def constant(lay: Layout, value: Any) -> Tensor:
    """A new tensor of one value."""
    if lay.device is META or not lay.numel or lay.batch:
        out = allocate(lay)
        if lay.batch and lay.numel:
            room = bare(out)
            execute(fill_schedule(room._layout, value), [room], [], _numbers(value, lay.dtype))
        return out
    key = constant, lay, _kind(value, lay.dtype), not value
    plan = PLANS.get(key)
    if plan is None:
        plan = PLANS[key] = KernelPlan("fill", [(lay, lay.nbytes, F.OUT_NEW, 0)], fill_schedule(lay, value), 0)
        plan.how |= 0 if value else F.AT_ONCE  # zeros are mostly what will be added to, step after step
    return run(plan, _numbers(value, lay.dtype))


def fill(t: Tensor, value: Any) -> Tensor:
    """Every element becomes `value`; the version moves."""
    lay = t._layout
    if lay.device is META or not lay.numel:
        objects.bump(t)
    elif lay.batch:
        fill(bare(t), value)
    else:
        key = fill, lay, _kind(value, lay.dtype)
        plan = PLANS.get(key)
        if plan is None:
            plan = PLANS[key] = KernelPlan("fill", [(lay, 0, F.OUT_ARGUMENT, 0)], fill_schedule(lay, value), 1)
            plan.how |= F.AT_ONCE | F.WRITES
        run(plan, [t, *_numbers(value, lay.dtype)])
    t._viewed = objects.version(t)
    return t


def _kind(value: Any, dtype: DType) -> Any:
    """What of a value its kernel depends on: complex ones are part of the body."""
    return complex(value) if dtype.is_complex or isinstance(value, complex) else isinstance(value, int)


def _numbers(value: Any, dtype: DType) -> list[Any]:
    """The operand of `fill_schedule`, as its word is typed."""
    if dtype.is_complex or isinstance(value, complex):
        return []
    if not isinstance(value, int) or dtype.is_floating_point:
        return [float(value)]
    return [value if value < 1 << 63 else value - (1 << 64)]


def fill_schedule(out: Layout, value: Any) -> Any:
    """The schedule that writes number 0 (a complex one is part of the body) to every element."""
    kind = out.dtype.compute
    if kind.is_complex or isinstance(value, complex):
        return pointwise([out], [], (cast(const(complex(value), d.complex128), kind),))
    leaf = d.int64 if isinstance(value, int) and not kind.is_floating_point else d.float64
    return pointwise([out], [], (cast(number(0, leaf), kind),), ["i64" if leaf is d.int64 else "double"])


class Empty(Composite):
    """Uninitialised memory of a shape."""

    schema = f"empty(int[] size, {LIKE}) -> Tensor"
    paths = "torch"

    @staticmethod
    def compose(
        *size: Any,
        dtype: DType | None = None,
        layout: Any = None,
        device: Any = None,
        pin_memory: bool = False,
        requires_grad: bool = False,
        memory_format: Any = None,
        out: Any = None,
    ) -> Tensor:
        shape = size_of(size, "empty")
        if out is not None:
            return ops.resize_(out, shape)
        strides = channels_last_strides(shape) if memory_format is not None and "last" in memory_format.name else None
        return new(shape, dtype, device, requires_grad, strides)

    samples = [sample((2, 3))]


def size_of(size: Sequence[Any], title: str) -> tuple[int, ...]:
    """empty(2, 3) and empty((2, 3))."""
    items = size[0] if len(size) == 1 and not hasattr(size[0], "__index__") else size
    if isinstance(items, str) or not hasattr(items, "__iter__"):
        raise TypeError(f"{title}(): argument 'size' (position 1) must be tuple of ints, not {type(items).__name__}")
    out = []
    for i, n in enumerate(items):
        try:
            out.append(n.__index__())
        except (AttributeError, TypeError):
            raise refuse(
                TypeError,
                f"{title}(): argument 'size' failed to unpack the object at pos {i + 1} with error \"type must be tuple of ints,but got {type(n).__name__}\"",
            ) from None
    return tuple(out)


def _constant(name: str, value: Any) -> None:
    def compose(
        *size: Any,
        dtype: DType | None = None,
        layout: Any = None,
        device: Any = None,
        pin_memory: bool = False,
        requires_grad: bool = False,
        out: Any = None,
    ) -> Tensor:
        if out is not None:
            ops.resize_(out, size_of(size, name))
            return fill(out, value)
        shape = size_of(size, name)
        if any(n < 0 for n in shape):
            raise refuse(
                RuntimeError,
                f"{name}: Dimension size must be non-negative."
                if name == "zeros"
                else f"Trying to create tensor with negative dimension {min(shape)}: {list(shape)}",
            )
        made = constant(layout_of(shape, dtype, device), value)
        return made.requires_grad_(True) if requires_grad else made

    body = {
        "__doc__": f"A tensor of {name}.",
        "__module__": __name__,
        "schema": f"{name}(int[] size, {OPTIONS}) -> Tensor",
        "paths": "torch",
        "compose": staticmethod(compose),
        "samples": [sample((2, 3))],
    }
    type(name.title(), (Composite,), body)


_constant("zeros", 0)
_constant("ones", 1)


class Full(Composite):
    """A tensor filled with a value."""

    schema = f"full(int[] size, Scalar fill_value, {OPTIONS}) -> Tensor"
    paths = "torch"

    @staticmethod
    def compose(
        size: Any,
        fill_value: Any,
        *,
        out: Any = None,
        dtype: DType | None = None,
        layout: Any = None,
        device: Any = None,
        pin_memory: bool = False,
        requires_grad: bool = False,
    ) -> Tensor:
        value = fill_value.item() if isinstance(fill_value, Tensor) else fill_value
        if hasattr(size, "__index__"):
            raise TypeError(f"full(): argument 'size' (position 1) must be tuple of ints, not {type(size).__name__}")
        shape, kind = size_of((size,), "full"), dtype or (of_number(value) if out is None else out.dtype)
        fitting(value, kind)
        made = constant(layout_of(shape, kind, device), value) if out is None else fill(ops.resize_(out, shape), value)
        return made.requires_grad_(requires_grad)

    samples = [sample((2, 3), 1.5)]


def _like(name: str, value: Any) -> None:
    def compose(
        input: Tensor,
        *,
        dtype: DType | None = None,
        layout: Any = None,
        device: Any = None,
        pin_memory: bool = False,
        requires_grad: bool = False,
        memory_format: Any = None,
    ) -> Tensor:
        x = input._layout
        lay = layout_of(x.shape, dtype or x.dtype, device or x.device, strides_like(x, memory_format), x)
        out = allocate(lay) if value is None else constant(lay, value)
        return out.requires_grad_(True) if requires_grad else out

    body = {"__doc__": f"Like `{name[:-5]}`, with the shape, type and strides of another tensor.", "__module__": __name__, "schema": f"{name}(Tensor input, {LIKE}) -> Tensor",
            "paths": "torch", "out": False, "compose": staticmethod(compose), "samples": [sample(normal(2, 3))]}  # fmt: skip
    type(name.title().replace("_", ""), (Composite,), body)


_like("empty_like", None)
_like("zeros_like", 0)
_like("ones_like", 1)


class FullLike(Composite):
    """A tensor like another, filled with a value."""

    schema = f"full_like(Tensor input, Scalar fill_value, {LIKE}) -> Tensor"
    out = False
    paths = "torch"

    @staticmethod
    def compose(
        input: Tensor,
        fill_value: Any,
        *,
        dtype: DType | None = None,
        layout: Any = None,
        device: Any = None,
        pin_memory: bool = False,
        requires_grad: bool = False,
        memory_format: Any = None,
    ) -> Tensor:
        value = fill_value.item() if isinstance(fill_value, Tensor) else fill_value
        x, kind = input._layout, dtype or input.dtype
        lay = layout_of(x.shape, kind, device or x.device, strides_like(x, memory_format), x)
        return constant(lay, fitting(value, kind)).requires_grad_(requires_grad)

    samples = [sample(normal(2, 3), 2)]


class Range(Fused):
    """start + i * step for i in 0..n-1; computed in int64 or float64, so that no error accumulates."""

    schema = "range_values(int n, Scalar start, Scalar step, ScalarType dtype) -> Tensor"
    paths = ""

    @staticmethod
    def kernel(n: int, start: Any, step: Any, dtype: DType) -> Result:
        out = layout((n,), dtype)
        wide = d.int64 if isinstance(start, int) and isinstance(step, int) else d.float64
        kinds = ["i64" if wide is d.int64 else "double"] * 2
        body = number(0, wide) + cast(index(), wide) * number(1, wide)
        return Result((out,), pointwise([out], [], (cast(body, dtype.compute),), kinds))

    samples = [sample(3, 0, 1, "int64")]


class Arange(Composite):
    """Values from `start` to before `end`, `step` apart."""

    overloaded = True  # in PyTorch
    schema = f"arange(Scalar start, Scalar? end=None, Scalar step=1, {OPTIONS}) -> Tensor"
    paths = "torch"

    @staticmethod
    def compose(
        start: Any = 0,
        end: Any = None,
        step: Any = 1,
        *,
        out: Any = None,
        dtype: DType | None = None,
        layout: Any = None,
        device: Any = None,
        pin_memory: bool = False,
        requires_grad: bool = False,
    ) -> Tensor:
        if end is None:
            start, end = 0, start
        start, end, step = (x.item() if isinstance(x, Tensor) else x for x in (start, end, step))
        start, end, step = (x.item() if type(x).__module__ == "numpy" else x for x in (start, end, step))
        if step == 0:
            raise refuse(RuntimeError, "step must be nonzero")
        for value in (start, end, step):
            if isinstance(value, complex):
                raise refuse(RuntimeError, "value cannot be converted to type double without overflow", received=repr(value))
        if not (math.isfinite(start) and math.isfinite(end)):
            raise refuse(RuntimeError, f"unsupported range: {float(start):g} -> {float(end):g}")
        if (end - start) * (1 if step > 0 else -1) < 0:
            raise refuse(
                RuntimeError, "upper bound and lower bound inconsistent with step sign", received=f"arange({start}, {end}, {step})"
            )
        whole = all(isinstance(x, int) for x in (start, end, step))
        kind = dtype or (out.dtype if out is not None else d.int64 if whole else SETTINGS.default_dtype)
        if kind is d.bool_:
            raise refuse(NotImplementedError, "\"arange_cpu\" not implemented for 'Bool'")
        if not whole and kind is d.int64:
            start, end, step, whole = int(start), int(end), int(step), True
            if not step:
                raise refuse(ValueError, "step must be nonzero", received=f"a step that is 0 as {kind.name}")
        n = -(-(end - start) // step) if whole else math.ceil((end - start) / step)
        if not whole:  # narrower integers are counted as the numbers given are, and cut only then
            start, step = (int(start), int(step)) if kind.is_integral else (float(start), float(step))
        got = ops.range_values(int(n), start, step, kind)
        if out is not None:
            ops.resize_(out, (int(n),))
            return out.copy_(got)
        return got.requires_grad_(requires_grad)

    samples = [sample(5), sample(1, 7, 2), sample(0.0, 1.0, 0.25)]


class FromNumpy(Composite):
    """A tensor on a NumPy array's own memory; writes go both ways."""

    schema = "from_numpy(any ndarray) -> Tensor"
    data = "ndarray"
    paths = "torch"

    @staticmethod
    def compose(ndarray: Any) -> Tensor:
        if (made := _borrowed(ndarray)) is not None:
            return made
        if type(ndarray).__module__ != "numpy" or not hasattr(ndarray, "ctypes"):
            raise TypeError(f"expected np.ndarray (got {type(ndarray).__name__})")
        kind = d.from_numpy(ndarray.dtype)
        if kind is not None and not ndarray.dtype.isnative:
            raise refuse(
                ValueError,
                "given numpy array has byte order different from the native byte order. Conversion between byte orders is currently not supported.",
                received=f"an array of {ndarray.dtype.str}",
                hint="a.astype(a.dtype.newbyteorder('='))",
            )
        if kind is None:
            raise TypeError(
                f"can't convert np.ndarray of type {ndarray.dtype.type.__module__}.{ndarray.dtype.type.__name__}. The only supported types are: float64, float32, float16, complex64, "
                "complex128, int64, int32, int16, int8, uint64, uint32, uint16, uint8, and bool."
            )
        if any(s < 0 for s in ndarray.strides):
            raise ValueError(
                "At least one stride in the given numpy array is negative, and tensors with negative strides are not currently supported. (You can probably work around this by making a copy of your array  with array.copy().) "
            )
        if any(s % ndarray.itemsize for s in ndarray.strides):
            raise refuse(
                ValueError,
                "given numpy array strides not a multiple of the element byte size. Copy the numpy array to reallocate the memory.",
                received=f"strides of {ndarray.strides} bytes",
                expected=f"multiples of {ndarray.itemsize} bytes",
            )
        strides = tuple(s // ndarray.itemsize for s in ndarray.strides)
        lay = layout(ndarray.shape, kind, strides)
        # not ndarray.nbytes: of a broadcast array it counts memory that is not there
        block = allocator.external(ndarray.ctypes.data, lay.nbytes, ndarray)
        made = objects.adopt(Tensor, lay, block)
        if not ndarray.flags.writeable and lay.nbytes and not writable(made._address):
            made._flags |= F.READ_ONLY
        if type(ndarray).__name__ == "ndarray" and lay.numel:
            remember(ndarray, lay)
        return made

    samples = [sample(None)]


def _borrowed(array: Any) -> Tensor | None:
    """A tensor on the memory of an array like one before; None for any other object."""
    kind = type(array)
    if kind.__name__ != "ndarray" or kind.__module__ != "numpy" or not array.flags.writeable:
        return None
    lay = FORMS.get((array.dtype, array.shape, array.strides))
    return None if lay is None else objects.borrow(lay, lay.nbytes, array)


def _on_array(data: Any) -> Tensor | None:
    """A tensor on the memory of an array; None for any other object, and for elements of a type that tensors lack."""
    if (own := _borrowed(data)) is not None:
        return own
    array = type(data).__module__ == "numpy" and hasattr(data, "ctypes") and d.from_numpy(data.dtype) is not None
    return ops.from_numpy(data) if array else None


def _plain(data: Any) -> Any:
    """Nested sequences with tensors replaced by their values."""
    if isinstance(data, Tensor):
        return data.detach().tolist()
    if isinstance(data, (list, tuple)):
        return [_plain(x) for x in data]
    return data


def _has_tensor(data: Any) -> bool:
    return isinstance(data, Tensor) or (isinstance(data, (list, tuple)) and any(_has_tensor(x) for x in data))


def infer(array: Any, data: Any) -> DType:
    """The type of Python data: default floating for floats, int64 for ints; a NumPy array keeps its own."""
    if type(data).__module__ == "numpy":
        kind = d.from_numpy(array.dtype)
        if kind is None:
            raise TypeError(
                f"can't convert np.ndarray of type {array.dtype.type.__module__}.{array.dtype.type.__name__}. The only supported types are: float64, float32, float16, complex64, complex128, int64, int32, int16, int8, uint64, uint32, uint16, uint8, and bool."
            )
        return kind
    if array.dtype.kind == "f":
        return SETTINGS.default_dtype
    if array.dtype.kind == "c":
        return SETTINGS.default_dtype.to_complex()
    if array.dtype.kind == "b":
        return d.bool_
    if array.dtype.kind in "iu":
        return d.int64
    raise nested.refusal(data, None) or TypeError(f"new(): invalid data type '{type(data).__name__}'")


def _scalar(value: Any, kind: DType, where: Any) -> Tensor:
    return constant(layout_of((), kind, where), value)


def home(data: Tensor, where: Any) -> device:
    """The device of a tensor made of another: the one that was asked for, or the thread's default, or the other's."""
    return data.device if where is None and here() is CPU else placed(where, copying=True)


class TensorOf(Composite):
    """A tensor of Python or NumPy data, always in memory of its own."""

    schema = "tensor(any data, *, ScalarType? dtype=None, Device? device=None, bool requires_grad=False, bool pin_memory=False) -> Tensor"
    paths = "torch"
    data = "data"

    @staticmethod
    def compose(
        data: Any, *, dtype: DType | None = None, device: Any = None, requires_grad: bool = False, pin_memory: bool = False
    ) -> Tensor:
        if isinstance(data, Tensor):
            warn(
                "To copy construct from a tensor, it is recommended to use sourceTensor.detach().clone() or sourceTensor.detach().clone().requires_grad_(True), rather than torch.tensor(sourceTensor).",
                UserWarning,
            )  # fmt: skip
            return data.detach().to(home(data, device), dtype or data.dtype, copy=True).requires_grad_(requires_grad)
        if type(data) in (float, int, bool, complex):
            if type(data) is int and dtype is None and not -(1 << 63) <= data < 1 << 63:
                raise ValueError("Overflow when unpacking long long")
            if dtype is not None and dtype.is_integral and overflows(data, dtype):
                raise _too_large(dtype)
            return _scalar(data, dtype or of_number(data), placed(device, copying=True)).requires_grad_(requires_grad)
        where = placed(device, copying=True)
        if (own := _on_array(data)) is not None and own._layout.dense and MODE.recorder is None:
            made = own.to(where, dtype or own.dtype, copy=True)
            return made.requires_grad_(True) if requires_grad else made
        made = _of_list(data, dtype) if type(data) is list or type(data) is tuple else None
        made = _from_data(data, dtype) if made is None else made
        made = made if where is CPU else made.to(where)
        return made.requires_grad_(True) if requires_grad else made

    samples = [sample([[1.0, 2.0], [3.0, 4.0]]), sample(3)]


CODES = {"float32": "f", "float64": "d", "int64": "q", "bool": "b"}  # in Python's arrays
OWN: dict[type, Any] = {float: False, int: d.int64, bool: d.bool_}  # the element type that Python numbers become; of floats the default


def _of_list(data: Any, dtype: DType | None) -> Tensor | None:
    """The usual data, a list of floats or of ints, or one of such rows, without NumPy's help; None: it is not such."""
    if not data:
        return allocate(layout((0,), dtype or SETTINGS.default_dtype))
    shape: tuple[int, ...] = (len(data),)
    if type(data[0]) is list or type(data[0]) is tuple:
        shape = (*shape, len(data[0]))
        if any((type(row) is not list and type(row) is not tuple) or len(row) != shape[1] for row in data):
            return None
        data = [*itertools.chain.from_iterable(data)]
    types = {*map(type, data)}
    if len(types) != 1 or (own := OWN.get(*types)) is None:
        return None
    kind = dtype or own or SETTINGS.default_dtype
    code = CODES.get(kind.name)
    if code is None or (code in "qb" and kind is not own):
        return None
    try:
        values = arrays.array(code, data)
    except OverflowError:
        return None
    out = memory_for(layout(shape, kind))
    ctypes.memmove(out._address, values.buffer_info()[0], out._layout.nbytes)
    if MODE.trace is None:
        return out
    MODE.trace.constant(out)
    return ops.clone(out)


def _from_data(data: Any, dtype: DType | None) -> Tensor:
    import numpy as np

    if _has_tensor(data):
        if dtype is None:
            first = data
            while not isinstance(first, Tensor):
                first = first[0]
            dtype = first.dtype
        data = _plain(data)
    try:
        array = np.asarray(data)
    except (ValueError, OverflowError) as error:
        raise (nested.refusal(data, dtype) or ValueError(str(error))) from None
    if type(data).__module__ == "numpy" and array.dtype.kind in "OUSV":
        infer(array, data)  # which refuses
    if array.dtype.kind in "OUSV":
        if (refused := nested.refusal(data, dtype)) is not None:
            raise refused
        array = array.astype(np.float64)  # integers beyond 64 bits, beside floats
    kind = dtype or infer(array, data)
    if type(data).__module__ != "numpy" and array.size:
        _check_range(array, kind)
    if (
        kind.is_floating_point
        and array.dtype.kind in "iufb"
        and kind.numpy.itemsize >= 4
        or array.dtype.kind == kind.numpy.kind
        or kind is d.bool_
    ):
        return (
            ops.from_numpy(np.array(array, dtype=kind.numpy, order="C", copy=True).view(np.uint16 if kind is d.bfloat16 else kind.numpy))
            if kind is not d.bfloat16
            else _via(array, kind)
        )
    return _via(array, kind)


def _check_range(array: Any, kind: DType) -> None:
    """RuntimeError for Python numbers that an integral type cannot hold, TypeError for complex ones in a real type."""
    if array.dtype.kind == "c" and not kind.is_complex:
        raise TypeError("must be real number, not complex")
    if kind.is_integral and array.dtype.kind in "iuf" and kind is not d.bool_:
        low, high = array.min().item(), array.max().item()
        if array.dtype.kind == "u" and kind is d.int64:
            raise ValueError("Overflow when unpacking long long")
        if low != low or overflows(low, kind) or overflows(high, kind):
            raise _too_large(kind)


def _too_large(kind: DType) -> RuntimeError:
    return refuse(
        RuntimeError, f"value cannot be converted to type {kind.name} without overflow", expected=f"numbers that {kind.name} holds"
    )


def _via(array: Any, kind: DType) -> Tensor:
    """By way of the array's own type, converted as PyTorch converts."""
    import numpy as np

    own = array if d.from_numpy(array.dtype) is not None and array.dtype.name != "object" else array.astype(np.float64)
    return ops.from_numpy(np.ascontiguousarray(own).reshape(array.shape).copy()).to(kind)


class AsTensor(Composite):
    """A tensor of the data: itself, or on a NumPy array's memory, where nothing has to change."""

    schema = "as_tensor(any data, ScalarType? dtype=None, Device? device=None) -> Tensor"
    paths = "torch"
    data = "data"

    @staticmethod
    def compose(data: Any, dtype: DType | None = None, device: Any = None) -> Tensor:
        if isinstance(data, Tensor):
            return data.to(home(data, device), dtype or data.dtype)
        if getattr(data, "ndim", 0) and (own := _on_array(data)) is not None:
            where = placed(device, copying=True)
            return own if where is CPU and (dtype is None or dtype is own.dtype) else own.to(where, dtype or own.dtype)
        return ops.tensor(data, dtype=dtype, device=device)

    samples = [sample([1.0, 2.0])]


class ScalarTensor(Composite):
    """A 0-dim tensor."""

    schema = "scalar_tensor(Scalar s, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=False, bool requires_grad=False) -> Tensor"
    paths = "torch"

    @staticmethod
    def compose(
        s: Any, *, dtype: DType | None = None, layout: Any = None, device: Any = None, pin_memory: bool = False, requires_grad: bool = False
    ) -> Tensor:
        return _scalar(s, dtype or SETTINGS.default_dtype, device).requires_grad_(requires_grad)

    samples = [sample(1.5)]


def fill_(self: Tensor, value: Any) -> Tensor:
    """Every element becomes `value`; the history ends here."""
    writing.check_target(self, "fill_", once=isinstance(value, Tensor))
    writing.check_leaf(self)
    if isinstance(value, Tensor):
        if value.ndim:
            raise refuse(RuntimeError, f"fill_ only supports 0-dimension value tensor but got tensor with {value.ndim} dimensions.")
        return self.copy_(value.expand(self.shape))
    if not isinstance(value, (int, float, complex)) and not hasattr(value, "item"):
        raise TypeError(
            f"fill_() received an invalid combination of arguments - got ({type(value).__name__}), but expected one of:\n * (Tensor value)\n * (Number value)\n"
        )
    fitting(value, self.dtype)
    if MODE.grad and self.requires_grad:
        return writing.assign(self, ops.filled_over(self, value), "fill_")
    return fill(self, value)


class FilledOver(Procedure):
    """A constant of a tensor's shape; no gradient reaches the tensor but zeros."""

    schema = "filled_over(Tensor input, any value) -> Tensor"
    paths = ""

    @staticmethod
    def run(input: Tensor, value: Any) -> Tensor:
        x = input._layout
        return constant(layout_of(x.shape, x.dtype, None, strides_like(x, None), x), value)

    @staticmethod
    def gradient(g: Tensor) -> Tensor:
        return ops.zeros_like(g)


def zero_(self: Tensor) -> Tensor:
    """Every element becomes 0."""
    return fill_(self, 0)


Tensor.fill_, Tensor.zero_ = fill_, zero_
