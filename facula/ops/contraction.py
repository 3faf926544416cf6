"""Products of matrices: mm, bmm, addmm, baddbmm, mv, dot, linear, matmul, outer, einsum and their kin.

The kernels are in `kernel/gemm`: at the FMA peak from a few hundred rows on, at the bandwidth of the weight for a few.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..base.errors import refuse
from ..core.layout import Layout, layout
from ..core.result import Result
from ..core.tensor import Tensor
from ..kernel.gemm import matmul as product
from ..kernel.launch import Array
from ..spec.block import Fused
from ..spec.promotion import scalar_type_name
from ..spec.samples import each, normal, refused, sample


def dtype_name(x: Layout) -> str:
    """float, double, c10::Half, ...: the C++ names that PyTorch's message prints."""
    return {"float32": "float", "float64": "double", "float16": "c10::Half", "bfloat16": "c10::BFloat16", "int64": "long", "int32": "int", "int16": "short",
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
    refusals = each(refused(normal(2, 3), normal(4, 5), raises=RuntimeError, match=r"mat1 and mat2 shapes cannot be multiplied \(2x3 and 4x5\)"))


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
    def kernel(a: Layout, b: Layout) -> Result:
        if a.ndim != 3:
            raise refuse(RuntimeError, "batch1 must be a 3D tensor", received=f"{a.ndim} dims")
        if b.ndim != 3:
            raise refuse(RuntimeError, "batch2 must be a 3D tensor", received=f"{b.ndim} dims")
        check_batches(a, b)
        if a.dtype is not b.dtype:
            raise refuse(RuntimeError, f"expected scalar type {scalar_type_name(a.dtype)} but found {scalar_type_name(b.dtype)}")
        no_bool(a, "bmm")
        out = layout((a.shape[0], a.shape[1], b.shape[2]), a.dtype)
        return Result((out,), product(out, a, b))

    @staticmethod
    def gradient(g: Tensor, input: Tensor, mat2: Tensor, needs: Sequence[bool]) -> tuple[Any, ...]:
        return (g.bmm(_h(mat2)) if needs[0] else None, _h(input).bmm(g) if needs[1] else None)

    samples = [sample(normal(2, 3, 4), normal(2, 4, 5)), sample(normal(0, 3, 4), normal(0, 4, 5))]
    refusals = each(refused(normal(2, 3, 4), normal(3, 4, 5), raises=RuntimeError, match="Expected size for first two dimensions of batch2 tensor"))


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
    def kernel(x: Layout, w: Layout, bias: Layout | None) -> Result:
        if w.ndim != 2:
            raise refuse(RuntimeError, f"linear(): weight must be a matrix, got {w.ndim} dims", received=f"weight {tuple(w.shape)}", expected="(out_features, in_features)")
        k = x.shape[-1] if x.ndim else 1
        rows = x.numel // k if k else _count(x.shape[:-1])
        if k != w.shape[1] or not x.ndim:
            raise refuse(
                RuntimeError,
                f"mat1 and mat2 shapes cannot be multiplied ({rows}x{k} and {w.shape[1]}x{w.shape[0]})",
                received=f"input {tuple(x.shape)} {x.dtype.name}; weight {tuple(w.shape)} {w.dtype.name}, used as {tuple(reversed(w.shape))}",
                expected=f"input (*, {w.shape[1]})",
            )
        if x.dtype is not w.dtype:
            raise refuse(RuntimeError, f"mat1 and mat2 must have the same dtype, but got {scalar_type_name(x.dtype)} and {scalar_type_name(w.dtype)}")
        if bias is not None and bias.dtype is not x.dtype:
            raise refuse(RuntimeError, f"self and mat2 must have the same dtype, but got {scalar_type_name(bias.dtype)} and {scalar_type_name(x.dtype)}")
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

    samples = [sample(normal(3, 4), normal(5, 4), normal(5)), sample(normal(2, 3, 4), normal(5, 4)), sample(normal(4), normal(5, 4), normal(5))]
    refusals = each(refused(normal(2, 3), normal(4, 5), raises=RuntimeError, match=r"mat1 and mat2 shapes cannot be multiplied \(2x3 and 5x4\)"))


def _count(shape: Sequence[int]) -> int:
    n = 1
    for x in shape:
        n *= x
    return n

