"""More new tensors: like another tensor (new_zeros), on a buffer's memory, with given strides, and runs of numbers (linspace, logspace)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..base import dtypes as d
from ..base.device import CPU
from ..base.device import device as Device
from ..base.dtypes import dtype as DType
from ..base.errors import refuse, warn
from ..base.settings import SETTINGS
from ..core.layout import layout
from ..core.placing import known, placed
from ..core.plan import allocate
from ..core.result import Result
from ..core.tensor import Tensor
from ..kernel.indexing import triangle_places, triangle_size
from ..kernel.pointwise import pointwise
from ..kernel.scalar import cast, const, index, number, where
from ..spec.block import Composite, Fused
from ..spec.promotion import scalar_type_name
from ..spec.registry import ops
from ..spec.samples import each, normal, refused, sample, values
from .creation import OPTIONS, constant, fitting, home, layout_of, new, size_of


# -- like another tensor
def _new(name: str, value: Any) -> None:
    def compose(
        input: Tensor,
        *size: Any,
        dtype: DType | None = None,
        device: Any = None,
        requires_grad: bool = False,
        layout: Any = None,
        pin_memory: bool = False,
        **named: Any,
    ) -> Tensor:
        unknown = [key for key in named if key != "size"]
        if unknown:
            raise TypeError(f"{name}() got an unexpected keyword argument '{unknown[0]}'")
        if not size and not named:
            raise TypeError(f'{name}() missing 1 required positional arguments: "size"')
        shape = size_of((named["size"],) if named else size, name)
        lay = layout_of(shape, dtype or input.dtype, device if device is not None else input.device, None, input._layout)
        return (allocate(lay) if value is None else constant(lay, value)).requires_grad_(requires_grad)

    body = {"__doc__": f"A tensor of another shape with the type of this one: {name}.", "__module__": __name__, "schema": f"{name}(Tensor input, int[] size, {OPTIONS}) -> Tensor",
            "paths": "Tensor", "compose": staticmethod(compose), "samples": [sample(normal(3), (2, 2))]}  # fmt: skip
    type(name.title().replace("_", ""), (Composite,), body)


_new("new_empty", None)
_new("new_zeros", 0)
_new("new_ones", 1)


class NewFull(Composite):
    """A tensor of one value with the type of this one."""

    schema = f"new_full(Tensor input, int[] size, Scalar fill_value, {OPTIONS}) -> Tensor"
    paths = "Tensor"

    @staticmethod
    def compose(
        input: Tensor,
        size: Any,
        fill_value: Any,
        *,
        dtype: DType | None = None,
        device: Any = None,
        requires_grad: bool = False,
        layout: Any = None,
        pin_memory: bool = False,
    ) -> Tensor:
        value = fill_value.item() if isinstance(fill_value, Tensor) else fill_value
        where, kind = device if device is not None else input.device, dtype or input.dtype
        if hasattr(size, "__index__"):
            raise refuse(TypeError, f"new_full(): argument 'size' (position 1) must be tuple of ints, not {type(size).__name__}",
                         received=f"size={size!r:.60}", expected="a tuple of ints")  # fmt: skip
        lay = layout_of(size_of((size,), "new_full"), kind, where, None, input._layout)
        return constant(lay, fitting(value, kind)).requires_grad_(requires_grad)

    samples = [sample(normal(3), (2, 2), 1.5)]


class NewTensor(Composite):
    """A tensor of Python data with the type of this one."""

    schema = "new_tensor(Tensor input, any data, *, ScalarType? dtype=None, Device? device=None, bool requires_grad=False) -> Tensor"
    paths = "Tensor"
    data = "data"

    @staticmethod
    def compose(
        input: Tensor,
        data: Any,
        *,
        dtype: DType | None = None,
        device: Any = None,
        requires_grad: bool = False,
        layout: Any = None,
        pin_memory: bool = False,
    ) -> Tensor:
        if dtype is not None and not isinstance(dtype, DType):
            raise TypeError(f"new_tensor(): argument 'dtype' must be torch.dtype, not {type(dtype).__name__}")
        kind = dtype or (data.dtype if isinstance(data, Tensor) else input.dtype)
        return ops.tensor(data, dtype=kind, device=input.device if device is None else device).requires_grad_(requires_grad)

    samples = [sample(normal(3), [1, 2])]


class NewEmptyStrided(Composite):
    """Uninitialised memory with given strides and the type of this tensor."""

    schema = f"new_empty_strided(Tensor input, int[] size, int[] stride, {OPTIONS}) -> Tensor"
    paths = "Tensor"

    @staticmethod
    def compose(
        input: Tensor,
        size: Any,
        stride: Any,
        *,
        dtype: DType | None = None,
        device: Any = None,
        requires_grad: bool = False,
        layout: Any = None,
        pin_memory: bool = False,
    ) -> Tensor:
        where = input.device if device is None else device
        return ops.empty_strided(size, stride, dtype=dtype or input.dtype, device=where, requires_grad=requires_grad)

    samples = [sample(normal(3), (2, 2), (1, 2))]


def on_cpu(where: Any) -> None:
    """PyTorch's old constructors know one device each."""
    if where is not None and Device(where) != CPU:
        kind = Device(where).type
        raise refuse(
            RuntimeError, f"legacy constructor expects device type: cpu but device type: {kind} was passed", received=f"device={where}"
        )


def _legacy_new(self: Tensor, *args: Any, device: Any = None) -> Tensor:
    """PyTorch's old `x.new(...)`: sizes, data or nothing."""
    on_cpu(device)
    if not args or isinstance(args[0], int) or type(args[0]).__name__ == "Size":
        return self.new_empty(*args) if args else self.new_empty(0)
    return args[0].detach().to(self.dtype) if isinstance(args[0], Tensor) else self.new_tensor(args[0])


Tensor.new = _legacy_new


# -- strides
class EmptyStrided(Composite):
    """Uninitialised memory with given strides."""

    schema = f"empty_strided(int[] size, int[] stride, {OPTIONS}) -> Tensor"
    paths = "torch"

    @staticmethod
    def compose(
        size: Any,
        stride: Any,
        *,
        dtype: DType | None = None,
        layout: Any = None,
        device: Any = None,
        requires_grad: bool = False,
        pin_memory: bool = False,
    ) -> Tensor:
        shape, strides = size_of((size,), "empty_strided"), tuple(int(s) for s in stride)
        if len(shape) != len(strides):
            raise refuse(RuntimeError, f"dimensionality of sizes ({len(shape)}) must match dimensionality of strides ({len(strides)})")
        if any(s < 0 for s in strides):
            raise refuse(
                RuntimeError,
                f"Storage size calculation overflowed with sizes={list(shape)} and strides={list(strides)}",
                expected="strides >= 0",
            )
        return new(shape, dtype, device, requires_grad, strides)

    samples = [sample((2, 3), (1, 2))]


class EmptyPermuted(Composite):
    """Uninitialised memory without gaps, its dims in the order `physical_layout` from the widest stride to the narrowest."""

    schema = f"empty_permuted(int[] size, int[] physical_layout, {OPTIONS}) -> Tensor"
    paths = "torch"

    @staticmethod
    def compose(
        size: Any,
        physical_layout: Any,
        *,
        dtype: DType | None = None,
        layout: Any = None,
        device: Any = None,
        requires_grad: bool = False,
        pin_memory: bool = False,
    ) -> Tensor:
        shape, order = size_of((size,), "empty_permuted"), tuple(int(k) for k in physical_layout)
        if len(shape) != len(order):
            raise refuse(
                RuntimeError,
                f"Number of dimensions in size does not match the length of the physical_layout; i.e. len(size) = {len(shape)} is not equal to len(physical_layout) = {len(order)}",
            )
        strides, n, seen = [0] * len(shape), 1, set()
        for k in reversed(order):
            if not 0 <= k < len(shape):
                raise refuse(RuntimeError, f"Dimension out of range (expected to be between 0 and {len(shape) - 1}, but got {k}.")
            if k in seen:
                raise refuse(RuntimeError, "Duplicate dim not allowed")
            seen.add(k)
            strides[k] = n
            n *= max(shape[k], 1)
        return new(shape, dtype, device, requires_grad, tuple(strides))

    samples = [sample((2, 3), (1, 0))]


# -- memory of others
class AsArray(Composite):
    """A tensor of an object: its own memory where that is possible, unless `copy` says otherwise."""

    schema = "asarray(any obj, *, ScalarType? dtype=None, Device? device=None, bool? copy=None, bool requires_grad=False) -> Tensor"
    out = False
    paths = "torch"
    data = "obj"

    @staticmethod
    def compose(
        obj: Any, *, dtype: DType | None = None, device: Any = None, copy: bool | None = None, requires_grad: bool = False
    ) -> Tensor:
        got, shared = _adopted(obj, dtype)
        kind = dtype or got.dtype
        if copy is False and (not shared or kind is not got.dtype):
            raise refuse(
                ValueError,
                "can't alias arbitrary sequence into a tensor."
                if not shared
                else f"can't alias tensor with dtype '{got.dtype}' into dtype '{kind}'.",
            )
        where = home(got, device)
        if kind is not got.dtype or (copy and shared) or where is not got.device:
            got = got.to(where, kind, copy=True)
        if requires_grad or isinstance(obj, Tensor) and obj.requires_grad and got is not obj:
            got = got.detach() if got is obj or got._node is not None else got
        return got.requires_grad_(True) if requires_grad else got

    samples = [sample([1.0, 2.0])]


def _adopted(obj: Any, dtype: DType | None) -> tuple[Tensor, bool]:
    """(a tensor of the object, whether it shares the object's memory)."""
    if isinstance(obj, Tensor):
        return obj, True
    if type(obj).__module__ == "numpy" and hasattr(obj, "__array_interface__"):
        return (ops.as_tensor(obj), True) if getattr(obj, "ndim", 0) else (ops.tensor(obj.item(), dtype=d.from_numpy(obj.dtype)), False)
    if hasattr(obj, "__dlpack__"):
        from ..core.interchange import from_dlpack

        return from_dlpack(obj), True
    if isinstance(obj, (bytes, bytearray, memoryview)):
        return ops.frombuffer(obj, dtype=dtype or SETTINGS.default_dtype), True
    return ops.tensor(obj, dtype=dtype), False


class FromBuffer(Composite):
    """A vector on the memory of an object with Python's buffer protocol."""

    schema = "frombuffer(any buffer, *, ScalarType dtype, int count=-1, int offset=0, bool requires_grad=False) -> Tensor"
    out = False
    paths = "torch"

    @staticmethod
    def compose(buffer: Any, *, dtype: DType, count: int = -1, offset: int = 0, requires_grad: bool = False) -> Tensor:
        import numpy as np

        try:
            view = memoryview(buffer)
        except TypeError:
            raise refuse(ValueError, "object does not implement Python buffer protocol.") from None
        held, item = view.nbytes, dtype.itemsize
        if not held or not count:
            raise refuse(ValueError, f"both buffer length ({held}) and count ({count}) must not be 0")
        if not 0 <= offset < held:
            raise refuse(
                ValueError, f"offset ({offset} bytes) must be non-negative and no greater than buffer length ({held} bytes) minus 1"
            )
        if count < 0 and (held - offset) % item:
            raise refuse(
                ValueError,
                f"buffer length ({held - offset} bytes) after offset ({offset} bytes) must be a multiple of element size ({item})",
            )
        n = (held - offset) // item if count < 0 else count
        if offset + n * item > held:
            raise refuse(
                ValueError,
                f"requested buffer length ({n} * {item} bytes) after offset ({offset} bytes) must not be greater than actual buffer length ({held} bytes)",
            )
        if view.readonly:
            warn("The given buffer is not writable, and PyTorch does not support non-writable tensors.", UserWarning)
        raw = ops.from_numpy(np.frombuffer(buffer, np.uint8, n * item, offset))
        return raw.view(dtype).requires_grad_(requires_grad)

    samples = [sample(b"12345678", dtype=d.int32)]


# -- runs of numbers
class LinspaceValues(Fused):
    """n values from start to end, counted from the nearer end, so that both are exact."""

    schema = "linspace_values(int n, Scalar start, Scalar end, ScalarType dtype) -> Tensor"
    paths = ""

    @staticmethod
    def kernel(n: int, start: Any, end: Any, dtype: DType) -> Result:
        out = layout((n,), dtype)
        kind = dtype.compute if dtype.is_floating_point else d.float64
        a, b = (cast(number(k, d.float64), kind) for k in (0, 1))
        if n == 1:
            return Result((out,), pointwise([out], [], (cast(a, dtype.compute),), ["double", "double"]))
        step = (b - a) / const(float(n - 1), kind)
        i = index()
        body = where(i < n // 2, a + step * cast(i, kind), b - step * cast(const(n - 1, d.int64) - i, kind))
        return Result((out,), pointwise([out], [], (cast(body, dtype.compute),), ["double", "double"]))


def _run(name: str, start: Any, end: Any, steps: Any, dtype: DType | None) -> tuple[Any, Any, int, DType]:
    """(start, end, how many, the type)."""
    for value, word in ((start, "start"), (end, "end")):
        if isinstance(value, Tensor) and value.ndim:
            raise refuse(
                RuntimeError, f"{name} only supports 0-dimensional {word} and end tensors, but got {word} with {value.ndim} dimension(s)."
            )
    start, end = (v.item() if isinstance(v, Tensor) or type(v).__module__ == "numpy" else v for v in (start, end))
    n = steps.__index__()
    if n < 0:
        raise refuse(RuntimeError, "number of steps must be non-negative", received=f"steps={n}")
    complex_ = isinstance(start, complex) or isinstance(end, complex)
    kind = dtype or (SETTINGS.default_dtype.to_complex() if complex_ else SETTINGS.default_dtype)
    if complex_ and not kind.is_complex:
        raise refuse(
            RuntimeError,
            f"torch.{name}(): inferred dtype {SETTINGS.default_dtype.to_complex()} can't be safely cast to passed dtype {kind}",
        )
    return start, end, n, kind


def _between(start: Any, end: Any, n: int, kind: DType) -> Tensor:
    if kind.is_complex:
        a, b = complex(start), complex(end)
        return ops.complex(_between(a.real, b.real, n, kind.real), _between(a.imag, b.imag, n, kind.real))
    return ops.linspace_values(n, float(start), float(end), kind)


def _finished(got: Tensor, out: Any, requires_grad: bool) -> Tensor:
    if out is not None:
        ops.resize_(out, tuple(got.shape))
        return out.copy_(got)
    return got.requires_grad_(requires_grad)


def _lacking(name: str, given: Sequence[Any]) -> TypeError:
    shown = ", ".join(type(g).__name__ for g in given)
    return TypeError(
        f"{name}() received an invalid combination of arguments - got ({shown}), but expected one of:\n"
        f" * (Tensor start, Tensor end, int steps, *, Tensor out = None, torch.dtype dtype = None, torch.layout layout = None, torch.device device = None, bool pin_memory = False, bool requires_grad = False)\n"
        f" * (Number start, Number end, int steps, *, Tensor out = None, torch.dtype dtype = None, torch.layout layout = None, torch.device device = None, bool pin_memory = False, bool requires_grad = False)\n"
    )


class Linspace(Composite):
    """`steps` values from start to end, both included."""

    overloaded = True  # in PyTorch
    schema = f"linspace(Scalar start, Scalar end, int steps, {OPTIONS}) -> Tensor"
    paths = "torch"

    @staticmethod
    def compose(
        start: Any,
        end: Any = None,
        steps: Any = None,
        *,
        out: Any = None,
        dtype: DType | None = None,
        layout: Any = None,
        device: Any = None,
        requires_grad: bool = False,
        pin_memory: bool = False,
    ) -> Tensor:
        if end is None or steps is None or not hasattr(steps, "__index__"):
            raise _lacking("linspace", [x for x in (start, end, steps) if x is not None])
        a, b, n, kind = _run("linspace", start, end, steps, dtype)
        return _finished(_between(a, b, n, kind), out, requires_grad)

    samples = [sample(0.0, 1.0, 5), sample(-3, 4, 3)]


class Logspace(Composite):
    """`steps` powers of `base` with exponents from start to end, both included."""

    overloaded = True  # in PyTorch
    schema = f"logspace(Scalar start, Scalar end, int steps, float base=10.0, {OPTIONS}) -> Tensor"
    paths = "torch"

    @staticmethod
    def compose(
        start: Any,
        end: Any = None,
        steps: Any = None,
        base: float = 10.0,
        *,
        out: Any = None,
        dtype: DType | None = None,
        layout: Any = None,
        device: Any = None,
        requires_grad: bool = False,
        pin_memory: bool = False,
    ) -> Tensor:
        if end is None or steps is None or not hasattr(steps, "__index__"):
            raise _lacking("logspace", [x for x in (start, end, steps) if x is not None])
        a, b, n, kind = _run("logspace", start, end, steps, dtype)
        exponents = _between(a, b, n, d.complex128 if kind.is_complex else d.float64)
        return _finished(ops.pow(float(base), exponents).to(kind), out, requires_grad)

    samples = [sample(0.0, 2.0, 3)]


class RangeInclusive(Composite):
    """Values from start to end, both included, `step` apart: PyTorch's deprecated range."""

    schema = f"range(Scalar start, Scalar end=None, Scalar step=1, {OPTIONS}) -> Tensor"
    paths = "torch"

    @staticmethod
    def compose(
        start: Any,
        end: Any = None,
        step: Any = 1,
        *,
        out: Any = None,
        dtype: DType | None = None,
        layout: Any = None,
        device: Any = None,
        requires_grad: bool = False,
        pin_memory: bool = False,
    ) -> Tensor:
        warn(
            "torch.range is deprecated and will be removed in a future release because its behavior is inconsistent with Python's range builtin. Instead, use "
            "torch.arange, which produces values in [start, end).", UserWarning,
        )  # fmt: skip
        start, end = (0, start) if end is None else (start, end)
        if step == 0:
            raise refuse(RuntimeError, "step must be nonzero")
        if (end - start) * (1 if step > 0 else -1) < 0:
            raise refuse(RuntimeError, "upper bound and larger bound inconsistent with step sign")
        n = int((end - start) / step) + 1
        return _finished(ops.range_values(n, start, step, dtype or SETTINGS.default_dtype), out, requires_grad)

    samples = [sample(0, 3)]


# -- indices and products
class TrianglePlaces(Fused):
    """(2, n): rows and columns of a triangle's elements."""

    schema = "triangle_places(int row, int col, int offset, bool upper, ScalarType dtype) -> Tensor"
    paths = ""

    @staticmethod
    def kernel(row: int, col: int, offset: int, upper: bool, dtype: DType) -> Result:
        out = layout((2, triangle_size(row, col, offset, upper)), dtype)
        return Result((out,), triangle_places(out, row, col, offset, upper))


def _triangle_indices(name: str, keep: str) -> None:
    def compose(
        row: int, col: int, offset: int = 0, *, dtype: DType = d.int64, layout: Any = None, device: Any = None, pin_memory: bool = False
    ) -> Tensor:
        if dtype not in (d.int64, d.int32):
            raise refuse(NotImplementedError, f"\"{name}\" not implemented for '{scalar_type_name(dtype)}'", expected="int64 or int32")
        for word, n in (("row", row), ("col", col)):
            if n < 0:
                raise refuse(RuntimeError, f"{word} must be non-negative, got{n}")
        return ops.triangle_places(row, col, max(-row, min(offset, col)), keep == "above", dtype).to(placed(device))

    body = {"__doc__": f"(2, n): rows and columns of the elements on and {keep} a diagonal, row by row.", "__module__": __name__, "paths": "torch",
            "schema": f"{name}(int row, int col, int offset=0, *, ScalarType dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=False) -> Tensor",
            "compose": staticmethod(compose), "samples": [sample(3, 4), sample(3, 4, 1)]}  # fmt: skip
    type(name.title().replace("_", ""), (Composite,), body)


_triangle_indices("tril_indices", "below")
_triangle_indices("triu_indices", "above")


def _tensors(given: tuple[Any, ...]) -> tuple[Tensor, ...]:
    return tuple(given[0]) if len(given) == 1 and isinstance(given[0], (list, tuple)) else given


class Meshgrid(Composite):
    """Coordinates of a grid: vector k repeated along all dims but its own."""

    schema = "meshgrid(Tensor[] tensors, *, str? indexing=None) -> Tensor[]"
    out = False
    paths = "torch"

    @staticmethod
    def compose(*tensors: Any, indexing: str | None = None) -> tuple[Tensor, ...]:
        given = _tensors(tensors)
        if not given:
            raise refuse(RuntimeError, "meshgrid expects a non-empty TensorList")
        if indexing is None:
            warn("torch.meshgrid: in an upcoming release, it will be required to pass the indexing argument.", UserWarning)
        for t in given:
            if not isinstance(t, Tensor):
                raise TypeError(f"expected Tensor as element 0 in argument 0, but got {type(t).__name__}")
            if t.ndim > 1:
                # PyTorch prints the tensor here, matrix by matrix under headers
                header = f"({'1,' * (t.ndim - 2)}.,.) = \n" if t.ndim > 2 else ""
                raise refuse(RuntimeError, f"torch.meshgrid: Expected 0D or 1D tensor in the tensor list but got: {header}{t}")
            if t.dtype is not given[0].dtype:
                raise refuse(RuntimeError, "meshgrid expects all tensors to have the same dtype")
        if indexing not in (None, "ij", "xy"):
            raise refuse(RuntimeError, f'torch.meshgrid: indexing must be one of "xy" or "ij", but received: {indexing}')
        swapped = indexing == "xy" and len(given) >= 2
        listed = list(given)
        if swapped:
            listed[:2] = [listed[1], listed[0]]
        shape = tuple(t.numel() for t in listed)
        n = len(listed)
        grids = [t.reshape((*(1,) * k, shape[k], *(1,) * (n - k - 1))).expand(shape) for k, t in enumerate(listed)]
        if swapped:
            grids = [grids[1], grids[0], *grids[2:]]
        return tuple(grids)

    samples = [sample([normal(2), normal(3)], indexing="ij"), sample([normal(2), normal(3)], indexing="xy")]


class CartesianProd(Composite):
    """All tuples of one element of each vector, as rows."""

    schema = "cartesian_prod(Tensor[] tensors) -> Tensor"
    out = False
    paths = "torch"

    @staticmethod
    def compose(*tensors: Any) -> Tensor:
        given = _tensors(tensors)
        for t in given:
            if t.ndim != 1:
                raise refuse(RuntimeError, f"Expect a 1D vector, but got shape {list(t.shape)}")
        if len(given) == 1:
            return given[0]
        return ops.stack([g.reshape(-1) for g in ops.meshgrid(list(given), indexing="ij")], 1)

    samples = [sample([normal(2), normal(3)])]


CHOICES = 1 << 26  # indices that are made one by one; more take too long


def _ways(n: int, r: int) -> int:
    """How many choices of r out of n there are; no more than needed to see that they are more than CHOICES."""
    ways, r = 1, min(r, n - r)
    for i in range(r):
        if ways > CHOICES:
            break
        ways = ways * (n - i) // (i + 1)
    return ways if r >= 0 else 0


class Combinations(Composite):
    """All ways to choose r elements of a vector, in order, as rows."""

    schema = "combinations(Tensor input, int r=2, bool with_replacement=False) -> Tensor"
    out = False
    paths = "torch"

    @staticmethod
    def compose(input: Tensor, r: int = 2, with_replacement: bool = False) -> Tensor:
        if input.ndim != 1:
            raise refuse(RuntimeError, f"Expect a 1D vector, but got shape {list(input.shape)}")
        if r < 0:
            raise refuse(RuntimeError, f"Expect a non-negative number, but got {r}")
        if r == 0:
            return ops.empty((0,), dtype=input.dtype)
        n = input.shape[0]
        ways = _ways(n + r - 1 if with_replacement else n, r) if r <= CHOICES else CHOICES + 1
        if ways * r > CHOICES:
            raise refuse(
                RuntimeError, "combinations: too many of them", received=f"{r=} of {n} elements", expected=f"{CHOICES:,} indices at most"
            )
        places = ops.arange(n).view((n, 1)) if known(input) else ops.empty((ways, r), dtype=d.int64)
        while places.shape[1] < r:  # each row goes on with what may follow its last place
            first = places.select(1, -1) + (0 if with_replacement else 1)
            counts = n - first
            row = ops.repeat_interleave(counts)
            following = ops.arange(row.shape[0]) + (first - counts.cumsum(0) + counts)[row]
            places = ops.cat([places.index_select(0, row), following.unsqueeze(1)], 1)
        return ops.index_get(input, [places], (0,), 0)

    samples = [sample(normal(4)), sample(normal(3), 2, True)]
    refusals = each(refused(normal(4), 2**62, True, raises=RuntimeError, match="combinations: too many of them"),
                    refused(normal(100), 50, raises=RuntimeError, match="combinations: too many of them"))  # fmt: skip


class Vander(Composite):
    """Powers of a vector's elements as columns."""

    schema = "vander(Tensor x, int? N=None, bool increasing=False) -> Tensor"
    out = False
    paths = "torch"

    @staticmethod
    def compose(x: Tensor, N: int | None = None, increasing: bool = False) -> Tensor:
        if x.ndim != 1:
            raise refuse(RuntimeError, "x must be a one-dimensional tensor.", received=f"{x.ndim} dims")
        columns = x.shape[0] if N is None else N
        if columns < 0:
            raise refuse(RuntimeError, "N must be non-negative.", received=f"N={N}")
        base = x if x.dtype.is_floating_point or x.dtype.is_complex else x.to(d.int64)
        one = ops.ones((x.shape[0], min(columns, 1)), dtype=base.dtype)
        if columns < 2:
            return one
        powers = ops.cat([one, base.unsqueeze(1).expand((x.shape[0], columns - 1)).cumprod(1)], 1)
        return powers if increasing else powers.flip(1)

    samples = [sample(normal(3)), sample(values([1.0, 2.0]), 3, True)]


class FillOf(Composite):
    """A copy in which every element is `value`."""

    schema = "fill(Tensor input, Tensor|Scalar value) -> Tensor"
    paths = "torch"
    through_binder = True
    out = False

    @staticmethod
    def compose(input: Tensor, value: Any) -> Tensor:
        if isinstance(value, Tensor):
            if value.ndim:
                raise refuse(RuntimeError, f"fill only supports 0-dimension value tensor but got tensor with {value.ndim} dimensions.")
            return value.to(input.dtype).expand(input.shape).clone()
        return ops.filled_over(input, value)

    samples = [sample(normal(2, 3), 1.5)]
