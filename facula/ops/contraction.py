"""Products of matrices: mm, bmm, addmm, baddbmm, mv, dot, linear, matmul, outer, einsum and their kin.

The kernels are in `kernel/gemm`: at the FMA peak from a few hundred rows on, at the bandwidth of the weight for a few.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ..base.errors import refuse
from ..core.batching import Examples
from ..core.expression import broadcast, expanded
from ..core.layout import Layout, layout
from ..core.result import Result
from ..core.tensor import Tensor, wrap_dim
from ..kernel.gemm import matmul as product
from ..kernel.launch import Array
from ..kernel.reduction import inner_of, reduce
from ..spec.block import Composite, Fused
from ..spec.promotion import scalar_type_name
from ..spec.registry import ops
from ..spec.samples import each, normal, refused, sample


def dtype_name(x: Layout) -> str:
    """float, double, c10::Half, ...: the C++ names that PyTorch's message prints."""
    return {"float32": "float", "float64": "double", "float16": "c10::Half", "bfloat16": "c10::BFloat16", "int64": "long int", "int32": "int", "int16": "short int",
            "int8": "signed char", "uint8": "unsigned char", "complex64": "c10::complex<float>", "complex128": "c10::complex<double>"}.get(x.dtype.name, x.dtype.name)  # fmt: skip


def same_dtype(a: Layout, b: Layout) -> None:
    if a.dtype is not b.dtype:
        raise refuse(
            RuntimeError,
            f"expected m1 and m2 to have the same dtype, but got: {dtype_name(a)} != {dtype_name(b)}",
            received=f"{a.dtype.name} and {b.dtype.name}",
            expected="one dtype",
            hint="x.to(other.dtype)",
        )


def no_bool(x: Layout, name: str) -> None:
    if x.dtype.name == "bool":
        raise refuse(NotImplementedError, f"\"{name}\" not implemented for '{scalar_type_name(x.dtype)}'")


def flops(out: Layout, k: int) -> int:
    return 2 * out.numel * k


class Mm(Fused):
    """Product of two matrices, (n, k) by (k, m)."""

    schema = "mm(Tensor input, Tensor mat2) -> Tensor"
    dims = "n k, k m -> n m"

    @staticmethod
    def batch(examples: Examples, input: Tensor, mat2: Tensor) -> Tensor:
        return ops.matmul(input, mat2)

    @staticmethod
    def kernel(a: Layout, b: Layout) -> Result:
        for i, x in enumerate((a, b)):
            if x.ndim != 2:
                raise refuse(RuntimeError, "self must be a matrix" if i == 0 else "mat2 must be a matrix", received=f"{x.ndim} dims")
        check_product(a, b)
        same_dtype(a, b)
        no_bool(a, "addmm_impl_cpu_")
        out = layout((a.shape[0], b.shape[1]), a.dtype)
        return Result((out,), product(out, a, b))

    @staticmethod
    def gradient(g: Tensor, input: Tensor, mat2: Tensor, needs: Sequence[bool]) -> tuple[Any, ...]:
        return (g.mm(_h(mat2)) if needs[0] else None, _h(input).mm(g) if needs[1] else None)

    samples = [sample(normal(3, 4), normal(4, 5)), sample(normal(1, 4), normal(4, 1)), sample(normal(2, 0), normal(0, 3))]
    refusals = each(
        refused(normal(2, 3), normal(4, 5), raises=RuntimeError, match=r"mat1 and mat2 shapes cannot be multiplied \(2x3 and 4x5\)")
    )


def _h(x: Tensor) -> Tensor:
    """Conjugate transpose of the last two dims."""
    y = x.transpose(-2, -1)
    return y.conj() if y.dtype.is_complex else y


def check_product(a: Layout, b: Layout) -> None:
    if a.shape[1] != b.shape[0]:
        raise refuse(
            RuntimeError,
            f"mat1 and mat2 shapes cannot be multiplied ({a.shape[0]}x{a.shape[1]} and {b.shape[0]}x{b.shape[1]})",
            received=f"{tuple(a.shape)} {a.dtype.name}; {tuple(b.shape)} {b.dtype.name}",
            expected="(n, k) and (k, m)",
        )


class Bmm(Fused):
    """Products of matrices, batch by batch."""

    schema = "bmm(Tensor input, Tensor mat2) -> Tensor"
    dims = "b n k, b k m -> b n m"

    @staticmethod
    def batch(examples: Examples, input: Tensor, mat2: Tensor) -> Tensor:
        return ops.matmul(input, mat2)

    @staticmethod
    def kernel(a: Layout, b: Layout) -> Result:
        if a.ndim != 3:
            raise refuse(RuntimeError, "batch1 must be a 3D tensor", received=f"{a.ndim} dims")
        if b.ndim != 3:
            raise refuse(RuntimeError, "batch2 must be a 3D tensor", received=f"{b.ndim} dims")
        check_batches(a, b)
        no_bool(a, "bmm")
        if a.dtype is not b.dtype:
            raise refuse(RuntimeError, f"expected scalar type {scalar_type_name(a.dtype)} but found {scalar_type_name(b.dtype)}")
        out = layout((a.shape[0], a.shape[1], b.shape[2]), a.dtype)
        return Result((out,), product(out, a, b))

    @staticmethod
    def gradient(g: Tensor, input: Tensor, mat2: Tensor, needs: Sequence[bool]) -> tuple[Any, ...]:
        return (g.bmm(_h(mat2)) if needs[0] else None, _h(input).bmm(g) if needs[1] else None)

    samples = [sample(normal(2, 3, 4), normal(2, 4, 5)), sample(normal(0, 3, 4), normal(0, 4, 5))]
    refusals = each(
        refused(normal(2, 3, 4), normal(3, 4, 5), raises=RuntimeError, match="Expected size for first two dimensions of batch2 tensor")
    )


def check_batches(a: Layout, b: Layout) -> None:
    if a.shape[0] != b.shape[0] or a.shape[2] != b.shape[1]:
        raise refuse(
            RuntimeError,
            f"Expected size for first two dimensions of batch2 tensor to be: [{a.shape[0]}, {a.shape[2]}] but got: [{b.shape[0]}, {b.shape[1]}].",
            received=f"{tuple(a.shape)} and {tuple(b.shape)}",
        )


class Linear(Fused):
    """input @ weight.T + bias; input (*, in_features), weight (out_features, in_features) or (in_features,)."""

    schema = "linear(Tensor input, Tensor weight, Tensor? bias=None) -> Tensor"
    dims = "*b k, m k, m -> *b m"
    paths = "nn.functional"

    @staticmethod
    def batch(examples: Examples, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        if "weight" not in examples:
            y = ops.linear(examples.all(input, "input"), weight, None if "bias" in examples else bias)
        else:
            x = examples.all(input, "input")
            y = ops.matmul(x.reshape(examples.n, -1, x.shape[-1]), weight.mT).reshape(*x.shape[:-1], weight.shape[1])
            y = y if bias is None or "bias" in examples else y + bias
        return y if "bias" not in examples else y + bias.view(examples.n, *(1,) * (y.ndim - 2), -1)  # pyright: ignore[reportOptionalMemberAccess]

    @staticmethod
    def kernel(x: Layout, w: Layout, bias: Layout | None) -> Result:
        if w.ndim != 2:
            raise refuse(
                RuntimeError,
                f"t() expects a tensor with <= 2 dimensions, but self is {w.ndim}D",
                received=f"weight {tuple(w.shape)}",
                expected="(out_features, in_features)",
            )
        if not x.ndim:
            raise refuse(
                RuntimeError,
                f"both arguments to linear need to be at least 1D, but they are 0D and {w.ndim}D",
                received=f"input {tuple(x.shape)}",
            )
        if bias is not None and bias.dtype is not w.dtype:
            raise refuse(
                RuntimeError,
                f"self and mat2 must have the same dtype, but got {scalar_type_name(bias.dtype)} and {scalar_type_name(w.dtype)}",
            )
        k = x.shape[-1] if x.ndim else 1
        rows = x.numel // k if k else _count(x.shape[:-1])
        if k != w.shape[1] or not x.ndim:
            raise refuse(
                RuntimeError,
                f"mat1 and mat2 shapes cannot be multiplied ({rows}x{k} and {w.shape[1]}x{w.shape[0]})",
                received=f"input {tuple(x.shape)} {x.dtype.name}; weight {tuple(w.shape)} {w.dtype.name}, used as {tuple(reversed(w.shape))}",
                expected=f"input (*, {w.shape[1]})",
            )
        if x.dtype is not w.dtype and bias is None:
            same_dtype(x, w)
        if x.dtype is not w.dtype:
            raise refuse(
                RuntimeError, f"mat1 and mat2 must have the same dtype, but got {scalar_type_name(x.dtype)} and {scalar_type_name(w.dtype)}"
            )
        if bias is not None and bias.dtype is not x.dtype:
            raise refuse(
                RuntimeError,
                f"self and mat2 must have the same dtype, but got {scalar_type_name(bias.dtype)} and {scalar_type_name(x.dtype)}",
            )
        out = layout((*x.shape[:-1], w.shape[0]), x.dtype)
        flat = Array(out.dtype, (rows, w.shape[0]), (w.shape[0], 1))
        turned = Array(w.dtype, (w.shape[1], w.shape[0]), (w.strides[1], w.strides[0]))
        return Result((out,), product(flat, Array(x.dtype, (rows, k), (k, 1)), turned, bias=bias))

    contiguous = ("input",)

    @staticmethod
    def gradient(g: Tensor, input: Tensor, weight: Tensor, bias: Layout | None, needs: Sequence[bool]) -> tuple[Any, ...]:
        flat = g.reshape(-1, g.shape[-1]) if g.ndim != 2 else g
        rows = input.reshape(-1, input.shape[-1]) if input.ndim != 2 else input
        gx = flat.mm(weight.conj() if weight.dtype.is_complex else weight).view(input.shape) if needs[0] else None
        gw = flat.t().mm(rows.conj() if rows.dtype.is_complex else rows) if needs[1] else None
        return gx, gw, (flat.sum(0) if len(needs) > 2 and needs[2] else None)

    samples = [
        sample(normal(3, 4), normal(5, 4), normal(5)),
        sample(normal(2, 3, 4), normal(5, 4)),
        sample(normal(4), normal(5, 4), normal(5)),
    ]
    refusals = each(
        refused(normal(2, 3), normal(4, 5), raises=RuntimeError, match=r"mat1 and mat2 shapes cannot be multiplied \(2x3 and 5x4\)")
    )


def _count(shape: Sequence[int]) -> int:
    n = 1
    for x in shape:
        n *= x
    return n


class Matmul(Fused):
    """Matrix product with PyTorch's rules: vectors are rows or columns, leading dims are batches and broadcast."""

    schema = "matmul(Tensor input, Tensor other) -> Tensor"
    dims = "*b n k, *b k m -> *b n m"

    @staticmethod
    def batch(examples: Examples, input: Tensor, other: Tensor) -> Tensor:
        if "other" not in examples and other.ndim <= 2 or "input" not in examples and input.ndim == 2 and other.ndim > 2:
            return ops.matmul(input, other)  # one product for all examples
        x, y = examples.all(input, "input"), examples.all(other, "other")
        row, column = x.ndim == 2, y.ndim == 2
        x, y = (x.unsqueeze(1) if row else x), (y.unsqueeze(2) if column else y)
        rank = max(x.ndim, y.ndim)
        x, y = (t.view(t.shape[0], *(1,) * (rank - t.ndim), *t.shape[1:]) if t.ndim < rank else t for t in (x, y))
        got = ops.matmul(x, y)
        got = got.squeeze(-1) if column else got
        return got.squeeze(-1 if column else -2) if row else got

    @staticmethod
    def kernel(a: Layout, b: Layout) -> Result:
        if not a.ndim or not b.ndim:
            raise refuse(RuntimeError, f"both arguments to matmul need to be at least 1D, but they are {a.ndim}D and {b.ndim}D")
        x = Array(a.dtype, (1, *a.shape), (0, *a.strides)) if a.ndim == 1 else a
        y = Array(b.dtype, (*b.shape, 1), (*b.strides, 0)) if b.ndim == 1 else b
        if x.shape[-1] != y.shape[-2]:
            raise _mismatch(a, b)
        if b.ndim > 2:
            no_bool(a, "bmm")
        if a.dtype is not b.dtype:
            raise _types_differ(a, b)
        no_bool(a, "addmm_impl_cpu_")
        if a.ndim == b.ndim == 1:
            out = layout((), a.dtype)
            return Result((out,), reduce([out], [a, b], (0,), inner_of(a.dtype)))
        batch = broadcast([x.shape[:-2], y.shape[:-2]])
        shape = (*batch, *(x.shape[-2:-1] if a.ndim > 1 else ()), *(y.shape[-1:] if b.ndim > 1 else ()))
        out = layout(shape, a.dtype)
        full = (*batch, x.shape[-2], y.shape[-1])
        flat = Array(a.dtype, full, layout(full, a.dtype).strides)
        return Result((out,), product(flat, _batched(x, batch), _batched(y, batch)))

    @staticmethod
    def gradient(g: Tensor, input: Tensor, other: Tensor, needs: Sequence[bool]) -> tuple[Any, ...]:
        a, b = input, other
        if a.ndim == 2 and b.ndim == 2:
            return (g.mm(_h(b)) if needs[0] else None, _h(a).mm(g) if needs[1] else None)
        if a.ndim == 1 and b.ndim == 1:
            return (g * _c(b) if needs[0] else None, g * _c(a) if needs[1] else None)
        x = a.unsqueeze(0) if a.ndim == 1 else a
        y = b.unsqueeze(1) if b.ndim == 1 else b
        grad = g.unsqueeze(-2) if a.ndim == 1 else g.unsqueeze(-1) if b.ndim == 1 else g
        ga = gb = None
        if needs[0]:
            ga = ops.sum_to_size(ops.matmul(grad, _h(y)), x.shape).reshape(a.shape)
        if needs[1]:
            if y.ndim == 2 and x.ndim > 2:  # the batch is summed within one product
                k, m = x.shape[-1], grad.shape[-1]
                rows = math.prod(x.shape[:-1])
                gb = _h(x.reshape(rows, k)).mm(grad.reshape(rows, m)).reshape(b.shape)
            else:
                gb = ops.sum_to_size(ops.matmul(_h(x), grad), y.shape).reshape(b.shape)
        return ga, gb

    samples = [
        sample(normal(3, 4), normal(4, 5)),
        sample(normal(4), normal(4)),
        sample(normal(2, 3, 4), normal(4, 5)),
        sample(normal(2, 1, 3, 4), normal(5, 4, 2)),
        sample(normal(3, 4), normal(4)),
        sample(normal(4), normal(2, 4, 3)),
    ]


def _c(x: Tensor) -> Tensor:
    return x.conj() if x.dtype.is_complex else x


def _batched(x: Any, batch: Sequence[int]) -> Array:
    lead = len(batch) + 2 - len(x.shape)
    strides = (
        *(0,) * lead,
        *(0 if n == 1 and batch[lead + i] != 1 else s for i, (n, s) in enumerate(zip(x.shape[:-2], x.strides[:-2]))),
        *x.strides[-2:],
    )
    return Array(x.dtype, (*batch, *x.shape[-2:]), strides)


def _mismatch(a: Layout, b: Layout) -> RuntimeError:
    """PyTorch says it in the words of the product it would have called."""
    details = {"received": f"{tuple(a.shape)} {a.dtype.name}; {tuple(b.shape)} {b.dtype.name}", "expected": "(*, n, k) and (*, k, m)"}
    if a.ndim == 1 and b.ndim == 1:
        return refuse(
            RuntimeError,
            f"inconsistent tensor size, expected tensor [{a.shape[0]}] and src [{b.shape[0]}] to have the same number of elements, but got {a.shape[0]} and {b.shape[0]} elements respectively",
            **details,
        )
    if a.ndim == 2 and b.ndim == 1:
        return refuse(
            RuntimeError, f"size mismatch, got input ({a.shape[0]}), mat ({a.shape[0]}x{a.shape[1]}), vec ({b.shape[0]})", **details
        )
    if b.ndim == 2:
        rows = a.numel // a.shape[-1] if a.shape[-1] else 1
        return refuse(
            RuntimeError, f"mat1 and mat2 shapes cannot be multiplied ({rows}x{a.shape[-1]} and {b.shape[0]}x{b.shape[1]})", **details
        )
    size = b.shape[-1] if b.ndim > 1 else 1
    n = b.numel // max(1, size * b.shape[-2]) if b.ndim > 1 else 1
    return refuse(
        RuntimeError,
        f"Expected size for first two dimensions of batch2 tensor to be: [{n}, {a.shape[-1]}] but got: [{n}, {b.shape[-2] if b.ndim > 1 else b.shape[0]}].",
        **details,
    )


class Mv(Composite):
    """Matrix times vector."""

    schema = "mv(Tensor input, Tensor vec) -> Tensor"

    @staticmethod
    def compose(input: Tensor, vec: Tensor) -> Tensor:
        if input.ndim != 2 or vec.ndim != 1:
            if not input.ndim:
                raise refuse(IndexError, "Dimension specified as 0 but tensor has no dimensions")
            raise refuse(RuntimeError, f"vector + matrix @ vector expected, got {1}, {input.ndim}, {vec.ndim}")
        if input.shape[1] != vec.shape[0]:
            raise refuse(
                RuntimeError, f"size mismatch, got input ({input.shape[0]}), mat ({input.shape[0]}x{input.shape[1]}), vec ({vec.shape[0]})"
            )
        if input.dtype is not vec.dtype:
            names = [scalar_type_name(t.dtype) for t in (input, vec)]
            raise refuse(RuntimeError, f"addmv input tensors must have the same dtype, but got {names[1]}, {names[0]}, and {names[1]}")
        return ops.matmul(input, vec)

    samples = [sample(normal(3, 4), normal(4))]


class Dot(Composite):
    """Inner product of two vectors."""

    schema = "dot(Tensor input, Tensor tensor) -> Tensor"
    out_dtype = "result dtype {Got} does not match input dtype {Want}"

    @staticmethod
    def compose(input: Tensor, tensor: Tensor) -> Tensor:
        if input.ndim != 1 or tensor.ndim != 1:
            raise refuse(RuntimeError, f"1D tensors expected, but got {input.ndim}D and {tensor.ndim}D tensors")
        if input.dtype is not tensor.dtype:
            raise refuse(
                RuntimeError,
                f"dot : expected both vectors to have same dtype, but found {scalar_type_name(input.dtype)} and {scalar_type_name(tensor.dtype)}",
            )
        return ops.matmul(input, tensor)

    samples = [sample(normal(4), normal(4))]


class Addmm(Fused):
    """beta * input + alpha * mat1 @ mat2."""

    schema = "addmm(Tensor input, Tensor mat1, Tensor mat2, *, Scalar beta=1, Scalar alpha=1) -> Tensor"
    dims = "*s, n k, k m -> n m"
    in_place = True
    static = ("beta", "alpha")

    @staticmethod
    def batch(examples: Examples, input: Tensor, mat1: Tensor, mat2: Tensor, beta: Any, alpha: Any) -> Tensor:
        return _added(examples, input, ops.matmul(mat1, mat2), 2, beta, alpha)

    @staticmethod
    def kernel(x: Layout, a: Layout, b: Layout, beta: Any, alpha: Any) -> Result:
        for name, t in (("mat1", a), ("mat2", b)):
            if t.ndim != 2:
                raise refuse(RuntimeError, f"{name} must be a matrix, got {t.ndim}-D tensor")
        out = layout((a.shape[0], b.shape[1]), a.dtype)
        bias = _bias(x, out)
        if a.dtype is not b.dtype:
            raise refuse(
                RuntimeError, f"mat1 and mat2 must have the same dtype, but got {scalar_type_name(a.dtype)} and {scalar_type_name(b.dtype)}"
            )
        check_product(a, b)
        if x.dtype is not a.dtype:
            raise refuse(
                RuntimeError, f"self and mat2 must have the same dtype, but got {scalar_type_name(x.dtype)} and {scalar_type_name(b.dtype)}"
            )
        return Result((out,), shifted(product(out, a, b, bias=bias, alpha=alpha, beta=beta)))

    @staticmethod
    def gradient(g: Tensor, input: Layout, mat1: Tensor, mat2: Tensor, beta: Any, alpha: Any, needs: Sequence[bool]) -> tuple[Any, ...]:
        return (
            ops.sum_to_size(_times(g, beta), input.shape) if needs[0] else None,
            _times(g.mm(_h(mat2)), alpha) if needs[1] else None,
            _times(_h(mat1).mm(g), alpha) if needs[2] else None,
        )

    samples = [sample(normal(3, 5), normal(3, 4), normal(4, 5)), sample(normal(5), normal(3, 4), normal(4, 5), beta=0.5, alpha=2)]


def _added(examples: Examples, input: Tensor, product: Tensor, ndim: int, beta: Any, alpha: Any) -> Tensor:
    """beta * input + alpha * product per example; `product` has the examples' dim when one of its factors has."""
    x = input.view(examples.n, *(1,) * (ndim + 1 - input.ndim), *input.shape[1:]) if "input" in examples else input
    y = _times(product, alpha)
    return y.expand(examples.n, *y.shape[-ndim:]) if beta == 0 else _times(x, beta) + y


def _times(x: Tensor, k: Any) -> Tensor:
    return x if k == 1 else x * (k.conjugate() if isinstance(k, complex) else k)


def _bias(x: Layout, out: Layout) -> Array:
    if x.ndim > out.ndim:
        raise refuse(
            RuntimeError,
            f"expand(torch.{scalar_type_name(x.dtype)}Tensor{{{list(x.shape)}}}, size={list(out.shape)}): the number of sizes provided ({out.ndim}) must be greater or "
            f"equal to the number of dimensions in the tensor ({x.ndim})",
        )
    try:
        fits = broadcast([out.shape, x.shape]) == tuple(out.shape)
    except RuntimeError:
        fits = False
    if not fits:
        lead = out.ndim - x.ndim
        k = next(i for i in reversed(range(x.ndim)) if x.shape[i] not in (1, out.shape[lead + i]))
        raise refuse(
            RuntimeError,
            f"The expanded size of the tensor ({out.shape[lead + k]}) must match the existing size ({x.shape[k]}) at non-singleton dimension {lead + k}.  "
            f"Target sizes: {list(out.shape)}.  Tensor sizes: {list(x.shape)}",
        )
    return expanded(x, tuple(out.shape))


def _types_differ(a: Layout, b: Layout) -> RuntimeError:
    """What the product says that PyTorch would run for these ranks: of batches, of a matrix with a vector, of vectors, of matrices."""
    first, second = (scalar_type_name(x.dtype) for x in (a, b))
    if b.ndim > 2:
        sentence = f"expected scalar type {first} but found {second}"
    elif b.ndim == 1 and a.ndim > 1:
        sentence = f"addmv input tensors must have the same dtype, but got {second}, {first}, and {second}"
    elif b.ndim == 1:
        sentence = f"dot : expected both vectors to have same dtype, but found {first} and {second}"
    else:
        sentence = f"expected m1 and m2 to have the same dtype, but got: {dtype_name(a)} != {dtype_name(b)}"
    return refuse(RuntimeError, sentence, received=f"{a.dtype.name} and {b.dtype.name}", expected="one dtype", hint="x.to(other.dtype)")


def shifted(schedule: Any) -> Any:
    """Inputs of the product are a, b, bias; the operator's are bias, a, b."""
    from dataclasses import replace

    from ..kernel.launch import In

    places = (1, 2, 0)
    launches = tuple(
        replace(x, words=tuple(In(places[w.index], w.offset) if isinstance(w, In) else w for w in x.words)) for x in schedule.launches
    )
    return replace(schedule, launches=launches)


class Baddbmm(Fused):
    """beta * input + alpha * batch1 @ batch2."""

    schema = "baddbmm(Tensor input, Tensor batch1, Tensor batch2, *, Scalar beta=1, Scalar alpha=1) -> Tensor"
    dims = "*s, b n k, b k m -> b n m"
    in_place = True
    static = ("beta", "alpha")

    @staticmethod
    def batch(examples: Examples, input: Tensor, batch1: Tensor, batch2: Tensor, beta: Any, alpha: Any) -> Tensor:
        return _added(examples, input, ops.matmul(batch1, batch2), 3, beta, alpha)

    @staticmethod
    def kernel(x: Layout, a: Layout, b: Layout, beta: Any, alpha: Any) -> Result:
        size = tuple(t.shape[wrap_dim(k, t.ndim)] for t, k in ((a, 0), (a, 1), (b, 2)))
        bias = _bias(x, layout(size, a.dtype))
        for name, t in (("batch1", a), ("batch2", b)):
            if t.ndim != 3:
                raise refuse(RuntimeError, f"{name} must be a 3D tensor")
        if not x.dtype is a.dtype is b.dtype:
            raise refuse(
                RuntimeError, f"Input dtypes must be the same, got: input {dtype_name(x)}, batch1: {dtype_name(a)}, batch2: {dtype_name(b)}"
            )
        check_batches(a, b)
        no_bool(a, "baddbmm")
        out = layout(size, a.dtype)
        return Result((out,), shifted(product(out, a, b, bias=bias, alpha=alpha, beta=beta)))

    @staticmethod
    def gradient(g: Tensor, input: Layout, batch1: Tensor, batch2: Tensor, beta: Any, alpha: Any, needs: Sequence[bool]) -> tuple[Any, ...]:
        return (
            ops.sum_to_size(_times(g, beta), input.shape) if needs[0] else None,
            _times(g.bmm(_h(batch2)), alpha) if needs[1] else None,
            _times(_h(batch1).bmm(g), alpha) if needs[2] else None,
        )

    samples = [sample(normal(2, 3, 5), normal(2, 3, 4), normal(2, 4, 5))]
