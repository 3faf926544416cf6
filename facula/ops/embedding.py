"""Tables of rows looked up by index: embedding, bags of rows, renormalised rows, one-hot codes."""

from __future__ import annotations

from typing import Any

from ..base import dtypes as d
from ..base.errors import refuse
from ..core.batching import Examples, bare
from ..core.layout import Layout, layout
from ..core.modes import MODE, no_grad
from ..core.placing import known
from ..core.result import Result
from ..core.tensor import Tensor
from ..kernel import indexing as kernels
from ..spec.block import Composite, Fused
from ..spec.promotion import scalar_type_name
from ..spec.registry import ops
from ..spec.samples import each, integer, normal, refused, sample, values
from .gathering import check, only_dense


def _name(t: Tensor) -> str:
    return scalar_type_name(t.dtype)


def check_kind(indices: Tensor, title: str) -> None:
    if indices.dtype not in (d.int64, d.int32):
        raise refuse(
            RuntimeError,
            f"Expected tensor for argument #1 'indices' to have one of the following scalar types: Long, Int; but got torch.{_name(indices)}Tensor instead (while checking arguments for {title})",
        )


class Embedding(Composite):
    """Rows of a matrix by index; `padding_idx` gets no gradient."""

    schema = "embedding(Tensor weight, Tensor indices, int padding_idx=-1, bool scale_grad_by_freq=False, bool sparse=False) -> Tensor"
    out = False
    paths = "torch"

    @staticmethod
    def compose(weight: Tensor, indices: Tensor, padding_idx: int = -1, scale_grad_by_freq: bool = False, sparse: bool = False) -> Tensor:
        if weight.ndim != 2:
            raise refuse(RuntimeError, "'weight' must be 2-D", received=f"weight {tuple(weight.shape)}")
        only_dense(sparse, weight, "embedding(): sparse=True")
        check_kind(indices, "embedding")
        check(indices, weight.shape[0], "index out of range in self", False)
        return ops.embedding_rows(weight, indices, padding_idx, scale_grad_by_freq)

    samples = [sample(normal(5, 3), integer(2, 2, low=0, high=4))]


def in_own_table(examples: Examples, indices: Tensor, rows: int) -> Tensor:
    """Indices into the tables of all examples, one below the other."""
    i = examples.all(indices, "indices")
    return i + (ops.arange(examples.n, dtype=i.dtype) * rows).view(examples.n, *(1,) * (i.ndim - 1))


class EmbeddingRows(Fused):
    """weight[indices]: whole rows copied, the bandwidth of a copy."""

    schema = "embedding_rows(Tensor weight, Tensor indices, int padding_idx, bool scale_grad_by_freq) -> Tensor"
    paths = ""

    @staticmethod
    def batch(examples: Examples, weight: Tensor, indices: Tensor, padding_idx: int, scale_grad_by_freq: bool) -> Tensor:
        if "weight" not in examples:
            return ops.embedding_rows(weight, indices, padding_idx, scale_grad_by_freq)
        return ops.embedding_rows(weight.flatten(0, 1), in_own_table(examples, indices, weight.shape[1]), padding_idx, scale_grad_by_freq)

    @staticmethod
    def kernel(weight: Layout, indices: Layout, padding_idx: int, scale_grad_by_freq: bool) -> Result:
        out = layout((*indices.shape, weight.shape[1]), weight.dtype)
        return Result((out,), kernels.take_rows(out, weight, indices))

    @staticmethod
    def gradient(g: Tensor, weight: Layout, indices: Tensor, padding_idx: int, scale_grad_by_freq: bool) -> tuple[Any, ...]:
        if scale_grad_by_freq:
            g = by_frequency(g, indices, weight.shape[0])
        return ops.embedding_grad(g, indices, weight.shape[0], padding_idx), None


class EmbeddingGrad(Fused):
    """Zeros (n, columns) with each row of g added at its index, in a fixed order; rows at `padding_idx` are skipped."""

    schema = "embedding_grad(Tensor grad, Tensor indices, int n, int padding_idx) -> Tensor"
    paths = ""
    contiguous = ("grad",)

    @staticmethod
    def batch(examples: Examples, grad: Tensor, indices: Tensor, n: int, padding_idx: int) -> Tensor:
        rows = ops.embedding_grad(examples.all(grad, "grad"), in_own_table(examples, indices, n), examples.n * n, -1)
        got = rows.unflatten(0, (examples.n, n))
        if padding_idx >= 0:
            got.select(1, padding_idx).zero_()
        return got

    @staticmethod
    def kernel(g: Layout, indices: Layout, n: int, padding_idx: int) -> Result:
        out = layout((n, g.shape[-1]), g.dtype)
        return Result((out,), kernels.embedding_backward(out, g, indices, padding_idx if padding_idx >= 0 else None))

    @staticmethod
    def gradient(g: Tensor, indices: Tensor, padding_idx: int) -> tuple[Any, ...]:
        if padding_idx >= 0:
            keep = (indices != padding_idx).to(g.dtype).unsqueeze(-1)
            return ops.index_get(g, [indices], (0,), 0) * keep, None
        return ops.index_get(g, [indices], (0,), 0), None


def embedding_renorm_(input: Tensor, indices: Tensor, max_norm: float, norm_type: float = 2.0) -> Tensor:
    """Rows that the indices name scaled down to a norm of at most `max_norm`, in place."""
    check_kind(indices, "embedding_renorm_")
    check(indices, input.shape[0], "index out of range in self", False)
    with no_grad():
        rows = ops.index_get(input, [indices.reshape(-1)], (0,), 0)
        norms = ops.linalg_vector_norm(rows, norm_type, (1,), True)
        scale = ops.where(norms > max_norm, max_norm / (norms + 1e-7), 1.0)
        ops.index_put_(input, [indices.reshape(-1)], (rows * scale).to(input.dtype))
    return input


ops.embedding_renorm_ = embedding_renorm_


class EmbeddingBag(Composite):
    """Sum (mode 0), mean (1) or maximum (2) of the rows of each bag; bags begin at `offsets`. Rows at `padding_idx` count for nothing.

    Results: the bags (n, columns), the bag of every index, the sizes of the bags, the row that gave each maximum.
    """

    schema = (
        "embedding_bag(Tensor weight, Tensor indices, Tensor offsets, bool scale_grad_by_freq=False, int mode=0, bool sparse=False, Tensor? per_sample_weights=None, "
        "bool include_last_offset=False, int? padding_idx=None) -> (Tensor, Tensor, Tensor, Tensor)"
    )
    paths = "torch"
    through_binder = by_example = True
    out = False

    @staticmethod
    def compose(
        weight: Tensor, indices: Tensor, offsets: Tensor, scale_grad_by_freq: bool = False, mode: int = 0, sparse: bool = False,
        per_sample_weights: Tensor | None = None, include_last_offset: bool = False, padding_idx: int | None = None,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:  # fmt: skip
        rows, columns = weight.shape
        _check_bags(weight, indices, offsets, mode, per_sample_weights, include_last_offset)
        only_dense(sparse, weight, "embedding_bag(): sparse=True")
        if padding_idx is not None and not -rows <= padding_idx < rows:
            raise refuse(
                RuntimeError, f"padding_idx must be within the number of embeddings, {-rows} through {rows - 1}, but got {padding_idx}"
            )
        bags = offsets.shape[0] - include_last_offset
        kind = d.int32 if indices.dtype is d.int32 and offsets.dtype is d.int32 else d.int64
        if mode < 2 and padding_idx is None and fits_bags(weight, indices, offsets):
            out = ops.bag_reduced(weight, indices, offsets, per_sample_weights, bool(mode), include_last_offset, scale_grad_by_freq)
            plain = not mode and weight.dtype is not d.float64
            owner = ops.empty((0,), dtype=kind) if plain else _owners(indices, offsets, bags).to(kind)
            size = _sizes(owner, bags, kind) if mode else ops.zeros((bags,), dtype=kind)
            return out, owner, size, size.clone()
        owner = _owners(indices, offsets, bags)
        kept, own, weights = indices, owner, per_sample_weights
        if padding_idx is not None:
            at = ops.nonzero(indices != padding_idx % rows).reshape(-1)
            kept, own = ops.index_get(indices, [at], (0,), 0), ops.index_get(owner, [at], (0,), 0)
            weights = None if weights is None else ops.index_get(weights, [at], (0,), 0)
        if mode == 2:
            rows_ = weight if weight.stride(1) == 1 else weight.contiguous()
            out, which = ops.bag_maxima(
                rows_.detach(), indices, offsets, include_last_offset, None if padding_idx is None else padding_idx % rows
            )
            size = _sizes(own, bags, d.int64)
            if MODE.grad and weight.requires_grad:
                out = ops.gather_along(weight, 0, which).masked_fill((size == 0).unsqueeze(1), 0)
            return out, owner.to(kind), size.to(kind), which.to(kind)
        read = ops.embedding_rows(weight, kept, -1, scale_grad_by_freq)
        read = read if weights is None else read * weights.unsqueeze(1)
        out = ops.index_add_zeros(read, [own], (bags, columns), (0,), 0)
        if mode == 1:
            size = _sizes(own, bags, d.int64)
            out = out / size.clamp(min=1).to(out.dtype).unsqueeze(1)
            return out, owner.to(kind), size.to(kind), size.to(kind)
        plain = padding_idx is None and weight.dtype in (d.float32, d.float16, d.bfloat16)
        size = ops.zeros((bags,), dtype=kind)
        return out, ops.empty((0,), dtype=kind) if plain else owner.to(kind), size, size.clone()

    samples = [
        sample(normal(5, 3), values([0, 4, 4, 2], "int64"), values([0, 2], "int64"), False, 0),
        sample(normal(5, 3), values([0, 4, 4, 2], "int64"), values([0, 0, 3], "int64"), False, 1),
        sample(normal(5, 3), values([0, 4, 1, 2], "int64"), values([0, 2, 4], "int64"), False, 2, False, None, True),
    ]
    refusals = each(
        refused(
            normal(5, 3),
            values([0, 5], "int64"),
            values([0], "int64"),
            raises=RuntimeError,
            match="Index 1 of input takes value 5 which is not in the valid range \\[0, 5\\)",
        ),
        refused(
            integer(5, 3),
            values([0, 4], "int64"),
            values([0], "int64"),
            raises=RuntimeError,
            match="scalar types: Half, BFloat16, Float, Double; but got torch.LongTensor",
        ),
    )


def fits_bags(weight: Tensor, indices: Tensor, offsets: Tensor) -> bool:
    """Whether the kernel that adds rows in one pass takes these."""
    return weight.dtype.is_floating_point and weight.stride(1) == 1 and indices.is_contiguous() and offsets.is_contiguous()


class BagReduced(Fused):
    """The sum or mean of each bag's rows, in one pass over them."""

    schema = "bag_reduced(Tensor weight, Tensor indices, Tensor offsets, Tensor? per_sample_weights, bool mean, bool include_last_offset, bool scale_grad_by_freq) -> Tensor"
    paths = ""
    contiguous = ("per_sample_weights",)

    @staticmethod
    def kernel(
        weight: Layout,
        indices: Layout,
        offsets: Layout,
        per_sample_weights: Layout | None,
        mean: bool,
        include_last_offset: bool,
        scale_grad_by_freq: bool,
    ) -> Result:
        out = layout((offsets.shape[0] - include_last_offset, weight.shape[1]), weight.dtype)
        return Result((out,), kernels.bag_rows(out, weight, indices, offsets, mean, per_sample_weights is not None))

    @staticmethod
    def gradient(
        g: Tensor,
        weight: Tensor,
        indices: Tensor,
        offsets: Tensor,
        per_sample_weights: Tensor | None,
        mean: bool,
        scale_grad_by_freq: bool,
        needs: Any,
    ) -> tuple[Any, ...]:
        if not needs[3] and not scale_grad_by_freq:
            return ops.bag_gradient(g, indices, offsets, per_sample_weights, weight.shape[0], mean), None, None, None
        owner = _owners(indices, offsets, g.shape[0])
        if mean:
            g = g / _sizes(owner, g.shape[0], g.dtype).clamp(min=1).unsqueeze(1)
        rows = ops.index_get(g, [owner], (0,), 0)
        gp = (rows * ops.embedding_rows(weight, indices, -1, False)).sum(1) if needs[3] else None
        if not needs[0]:
            return None, None, None, gp
        given = rows if per_sample_weights is None else rows * per_sample_weights.unsqueeze(1)
        return (
            ops.embedding_grad(
                by_frequency(given, indices, weight.shape[0]) if scale_grad_by_freq else given, indices, weight.shape[0], -1
            ),
            None,
            None,
            gp,
        )


class BagGradient(Fused):
    """Zeros (n, columns) with the gradient of each bag added at the bag's indices."""

    schema = "bag_gradient(Tensor grad, Tensor indices, Tensor offsets, Tensor? per_sample_weights, int n, bool mean) -> Tensor"
    paths = ""
    contiguous = ("grad", "per_sample_weights")

    @staticmethod
    def kernel(grad: Layout, indices: Layout, offsets: Layout, per_sample_weights: Layout | None, n: int, mean: bool) -> Result:
        out = layout((n, grad.shape[1]), grad.dtype)
        return Result((out,), kernels.bag_backward(out, grad, indices, offsets, mean, per_sample_weights is not None))

    @staticmethod
    def gradient(
        g: Tensor, grad: Tensor, indices: Tensor, offsets: Tensor, per_sample_weights: Tensor | None, mean: bool, needs: Any
    ) -> tuple[Any, ...]:
        last = offsets.shape[0] == grad.shape[0] + 1
        back = ops.bag_reduced(g.contiguous(), indices, offsets, per_sample_weights, mean, last, False)
        if not needs[3]:
            return back, None, None, None
        owner = _owners(indices, offsets, grad.shape[0])
        shared = grad / _sizes(owner, grad.shape[0], g.dtype).clamp(min=1).unsqueeze(1) if mean else grad
        rows = ops.index_get(shared, [owner], (0,), 0)
        return back, None, None, (rows * ops.embedding_rows(g, indices, -1, False)).sum(1)


class BagMaxima(Fused):
    """The largest row of each bag, column by column, and which row of the table gave it."""

    schema = "bag_maxima(Tensor weight, Tensor indices, Tensor offsets, bool include_last_offset, int? padding_idx) -> (Tensor, Tensor)"
    paths = ""
    contiguous = ("indices", "offsets")

    @staticmethod
    def kernel(weight: Layout, indices: Layout, offsets: Layout, include_last_offset: bool, padding_idx: int | None) -> Result:
        shape = (offsets.shape[0] - include_last_offset, weight.shape[1])
        out, which = layout(shape, weight.dtype), layout(shape, d.int64)
        return Result((out, which), kernels.bag_maxima(out, which, weight, indices, offsets, padding_idx))


def by_frequency(g: Tensor, indices: Tensor, n: int) -> Tensor:
    """Each row of g divided by how often its index occurs."""
    flat = indices.reshape(-1)
    counts = ops.index_add_zeros(ops.ones((flat.shape[0],), dtype=g.dtype), [flat], (n,), (0,), 0)
    return g / ops.index_get(counts, [indices], (0,), 0).unsqueeze(-1)


def _check_bags(weight: Tensor, indices: Tensor, offsets: Tensor, mode: int, weights: Tensor | None, last: bool) -> None:
    check_kind(indices, "embedding_bag")
    if offsets.dtype not in (d.int64, d.int32):
        raise refuse(
            RuntimeError,
            f"Expected tensor for argument #1 'offsets' to have one of the following scalar types: Long, Int; but got torch.{_name(offsets)}Tensor instead (while checking arguments for embedding_bag)",
        )
    if weights is not None:
        if mode != 0:
            raise refuse(RuntimeError, "embedding_bag: per_sample_weights only supported with mode='sum'")
        if weights.dtype is not weight.dtype:
            raise refuse(
                RuntimeError,
                f"Expected tensor for argument #1 'weight' to have the same type as tensor for argument #1 'per_sample_weights'; but type torch.{_name(weight)}Tensor "
                f"does not equal torch.{_name(weights)}Tensor (while checking arguments for embedding_bag)",
            )
        if weights.shape != indices.shape:
            raise refuse(
                RuntimeError,
                "Expected per_sample_weights.value().numel() == indices.numel() to be true, but got false.  (Could this error message be improved?  If so, please report an enhancement request to PyTorch.)",
            )
    if weight.dtype not in (d.float16, d.bfloat16, d.float32, d.float64):
        got = f"CPU{_name(weight)}Type" if weight.dtype.is_complex or weight.dtype is d.bool_ else f"torch.{_name(weight)}Tensor"
        raise refuse(
            RuntimeError,
            "Expected tensor for argument #1 'weight' to have one of the following scalar types: Half, BFloat16, Float, Double; but got "
            f"{got} instead (while checking arguments for embedding_bag)",
        )
    n = indices.shape[0]
    if last and not offsets.shape[0]:
        raise refuse(RuntimeError, "include_last_offset: number of offset should be at least 1")
    if not known(offsets, indices):
        return
    if offsets.shape[0]:
        first, end = offsets.select(0, 0).item(), offsets.select(0, -1).item()
        if first != 0:
            raise refuse(
                RuntimeError,
                f"offsets[0] has to be 0, i.e., the first sequence in the mini-batch has to start from position 0. However, got {first}",
            )
        if end > n:
            raise refuse(RuntimeError, f"offsets[-1] can not be greater than input's length {n} but got offsets[-1] of {end}")
        check(offsets, n + 1, f"offsets must lie between 0 and input's length {n}, but got {{value}}", False, RuntimeError)
    at = ops.index_outside(indices, weight.shape[0], False).item() if n else -1
    if at >= 0:
        raise refuse(
            RuntimeError,
            f"Index {at} of input takes value {int(indices[at].item())} which is not in the valid range [0, {weight.shape[0]})",
        )


def _owners(indices: Tensor, offsets: Tensor, bags: int) -> Tensor:
    """The bag of every index: how many bags begin at or before it."""
    n = indices.shape[0]
    starts = offsets.narrow(0, 0, bags)
    begun = ops.index_add_zeros(ops.ones((bags,), dtype=d.int64), [starts], (n + 1,), (0,), 0)
    return begun.narrow(0, 0, n).cumsum(0) - 1


def _sizes(own: Tensor, bags: int, kind: Any) -> Tensor:
    return ops.index_add_zeros(ops.ones((own.shape[0],), dtype=kind), [own], (bags,), (0,), 0)


class OneHot(Composite):
    """int64: 1 at each class index, 0 elsewhere, along a new last dim."""

    schema = "one_hot(Tensor input, int num_classes=-1) -> Tensor"
    may_look = True
    paths = "nn.functional"
    through_binder = True
    out = False

    @staticmethod
    def compose(input: Tensor, num_classes: int = -1) -> Tensor:
        tensor = input
        if tensor.dtype is not d.int64:
            raise refuse(RuntimeError, "one_hot is only applicable to index tensor of type LongTensor.", received=tensor.dtype.name)
        if not tensor.numel():
            if num_classes <= 0:
                raise refuse(RuntimeError, "Can not infer total number of classes from empty tensor.")
            return ops.zeros((*tensor.shape, num_classes), dtype=d.int64)
        if num_classes != -1 and not known(tensor):
            return (tensor.unsqueeze(-1) == ops.arange(num_classes)).to(d.int64)
        whole = bare(tensor) if num_classes > 0 else tensor
        if int(whole.min().item()) < 0:
            raise refuse(RuntimeError, "Class values must be non-negative.")
        top = int(whole.max().item())
        if num_classes == -1:
            num_classes = top + 1
        elif top >= num_classes:
            raise refuse(RuntimeError, "Class values must be smaller than num_classes.")
        return (tensor.unsqueeze(-1) == ops.arange(num_classes)).to(d.int64)

    samples = [sample(values([[0, 2], [1, 1]], "int64")), sample(values([0, 2], "int64"), 5)]
