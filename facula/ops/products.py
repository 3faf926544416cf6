"""Products made of others: einsum, tensordot, outer, inner, kron, cross, addmv, addr, addbmm, vdot, trace."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..base import dtypes as d
from ..base.errors import refuse
from ..core.layout import Layout, layout
from ..core.result import Result
from ..core.tensor import Tensor, wrap_dim
from ..kernel.launch import Array, In, Out, rebased
from ..kernel.pointwise import pointwise
from ..kernel.scalar import Scalar, cast, input
from ..spec.block import Composite, Fused
from ..spec.promotion import result_type, scalar_type_name
from ..spec.registry import ops
from ..spec.samples import normal, sample


def times(x: Tensor, k: Any) -> Tensor:
    return x if k == 1 else x * k


def scaled(input: Tensor, product: Tensor, beta: Any, alpha: Any) -> Tensor:
    """beta * input + alpha * product; beta 0 ignores the input's values."""
    return times(product, alpha) if beta == 0 else times(input, beta) + times(product, alpha)


def factors(input: Tensor, beta: Any, alpha: Any) -> tuple[Any, Any]:
    """Factors of integer tensors are integers, as PyTorch truncates them."""
    return (beta, alpha) if input.dtype.is_floating_point or input.dtype.is_complex else (int(beta), int(alpha))


class Outer(Composite):
    """All products of two vectors."""

    schema = "outer(Tensor input, Tensor vec2) -> Tensor"
    out_dtype = "cast"

    @staticmethod
    def compose(input: Tensor, vec2: Tensor) -> Tensor:
        for name, t in (("self", input), ("vec2", vec2)):
            if t.ndim != 1:
                raise refuse(RuntimeError, f"outer: Expected 1-D argument {name}, but got {t.ndim}-D")
        return input.unsqueeze(1) * vec2

    samples = [sample(normal(3), normal(4))]


class Ger(Composite):
    """Another name of `outer`."""

    schema = "ger(Tensor input, Tensor vec2) -> Tensor"
    out_dtype = "cast"

    @staticmethod
    def compose(input: Tensor, vec2: Tensor) -> Tensor:
        return ops.outer(input, vec2)

    samples = [sample(normal(3), normal(4))]


class Inner(Composite):
    """Sums of products over the last dims."""

    schema = "inner(Tensor input, Tensor other) -> Tensor"
    out_dtype = "tensordot: Expected the output tensor to have dtype {Want}, but got an output tensor with dtype {Got}"

    @staticmethod
    def compose(input: Tensor, other: Tensor) -> Tensor:
        if not input.ndim or not other.ndim:
            return input * other
        if input.dtype is not other.dtype:
            raise refuse(RuntimeError, "both inputs should have same dtype", received=f"{input.dtype.name} and {other.dtype.name}")
        if input.shape[-1] != other.shape[-1]:
            raise refuse(
                RuntimeError,
                f"inner() the last dimension must match on both input tensors but got shapes {list(input.shape)} and {list(other.shape)}",
            )
        return ops.tensordot(input, other, ([-1], [-1]))

    samples = [sample(normal(3, 4), normal(2, 4))]


class Vdot(Composite):
    """Inner product of two vectors, the first conjugated."""

    schema = "vdot(Tensor input, Tensor other) -> Tensor"
    out_dtype = "result dtype {Got} does not match input dtype {Want}"

    @staticmethod
    def compose(input: Tensor, other: Tensor) -> Tensor:
        if input.ndim != 1 or other.ndim != 1:
            raise refuse(RuntimeError, f"1D tensors expected, but got {input.ndim}D and {other.ndim}D tensors")
        if input.dtype is not other.dtype:
            raise refuse(
                RuntimeError,
                f"dot : expected both vectors to have same dtype, but found {scalar_type_name(input.dtype)} and {scalar_type_name(other.dtype)}",
            )
        if input.shape != other.shape:
            raise refuse(
                RuntimeError,
                f"inconsistent tensor size, expected tensor [{input.shape[0]}] and src [{other.shape[0]}] to have the same number of elements, but got {input.shape[0]} and {other.shape[0]} elements respectively",
            )
        return ops.matmul(input.conj() if input.dtype.is_complex else input, other)

    samples = [sample(normal(4), normal(4))]


class Addmv(Composite):
    """beta * input + alpha * mat @ vec."""

    schema = "addmv(Tensor input, Tensor mat, Tensor vec, *, Scalar beta=1, Scalar alpha=1) -> Tensor"
    in_place = True

    @staticmethod
    def compose(input: Tensor, mat: Tensor, vec: Tensor, *, beta: Any = 1, alpha: Any = 1) -> Tensor:
        if mat.ndim != 2 or vec.ndim != 1 or input.ndim > 1:
            raise refuse(RuntimeError, f"vector + matrix @ vector expected, got {input.ndim}, {mat.ndim}, {vec.ndim}")
        if mat.shape[1] != vec.shape[0] or (input.ndim and input.shape[0] not in (1, mat.shape[0])):
            raise refuse(
                RuntimeError,
                f"size mismatch, got input ({input.shape[0] if input.ndim else 1}), mat ({mat.shape[0]}x{mat.shape[1]}), vec ({vec.shape[0]})",
            )
        same = input.dtype is mat.dtype is vec.dtype
        if not same:
            names = [scalar_type_name(t.dtype) for t in (input, mat, vec)]
            raise refuse(RuntimeError, f"addmv input tensors must have the same dtype, but got {names[0]}, {names[1]}, and {names[2]}")
        wide = input.expand((mat.shape[0],))
        return scaled(wide, ops.matmul(mat, vec), *factors(input, beta, alpha))

    samples = [sample(normal(3), normal(3, 4), normal(4))]


class Addr(Composite):
    """beta * input + alpha * outer(vec1, vec2)."""

    schema = "addr(Tensor input, Tensor vec1, Tensor vec2, *, Scalar beta=1, Scalar alpha=1) -> Tensor"
    out_dtype = "cast"
    in_place = True

    @staticmethod
    def compose(input: Tensor, vec1: Tensor, vec2: Tensor, *, beta: Any = 1, alpha: Any = 1) -> Tensor:
        if vec1.ndim != 1 or vec2.ndim != 1:
            bad = 1 if vec1.ndim != 1 else 2
            raise refuse(RuntimeError, f"addr: Expected 1-D argument vec{bad}, but got {(vec1, vec2)[bad - 1].ndim}-D")
        wide = input.expand((vec1.shape[0], vec2.shape[0]))
        if wide.dtype.name == vec1.dtype.name == vec2.dtype.name == "bool":
            product = ops.outer(vec1, vec2)
            return (wide & bool(beta)) | (product & bool(alpha))
        return scaled(wide, ops.outer(vec1, vec2), *factors(input, beta, alpha))

    samples = [sample(normal(3, 4), normal(3), normal(4))]


class Addbmm(Composite):
    """beta * input + alpha * the sum of batch1 @ batch2."""

    schema = "addbmm(Tensor input, Tensor batch1, Tensor batch2, *, Scalar beta=1, Scalar alpha=1) -> Tensor"
    out_dtype = "self and mat2 must have the same dtype, but got {Got} and {Want}"
    in_place = True

    @staticmethod
    def compose(input: Tensor, batch1: Tensor, batch2: Tensor, *, beta: Any = 1, alpha: Any = 1) -> Tensor:
        for name, t in (("batch1", batch1), ("batch2", batch2)):
            if t.ndim != 3:
                raise refuse(RuntimeError, f"{name} must be a 3D tensor")
        wide = input.expand((batch1.shape[1], batch2.shape[2]))
        if batch1.shape[0] != batch2.shape[0]:
            raise refuse(RuntimeError, f"batch1 and batch2 must have same number of batches, got {batch1.shape[0]} and {batch2.shape[0]}")
        if batch1.shape[2] != batch2.shape[1]:
            raise refuse(
                RuntimeError,
                f"Incompatible matrix sizes for bmm ({batch1.shape[1]}x{batch1.shape[2]} and {batch2.shape[1]}x{batch2.shape[2]})",
                received=f"{tuple(batch1.shape)} and {tuple(batch2.shape)}",
            )
        if batch1.dtype is not batch2.dtype:
            raise refuse(
                RuntimeError,
                f"mat1 and mat2 must have the same dtype, but got {scalar_type_name(batch1.dtype)} and {scalar_type_name(batch2.dtype)}",
            )
        if input.dtype is not batch2.dtype:
            raise refuse(
                RuntimeError,
                f"self and mat2 must have the same dtype, but got {scalar_type_name(input.dtype)} and {scalar_type_name(batch2.dtype)}",
            )
        return scaled(wide, ops.bmm(batch1, batch2).sum(0, dtype=input.dtype), *factors(input, beta, alpha))

    samples = [sample(normal(3, 5), normal(2, 3, 4), normal(2, 4, 5))]


class Trace(Composite):
    """Sum of the diagonal."""

    schema = "trace(Tensor input) -> Tensor"
    out = False

    @staticmethod
    def compose(input: Tensor) -> Tensor:
        if input.ndim != 2:
            raise refuse(RuntimeError, f"trace: expected a matrix, but got tensor with dim {input.ndim}")
        if input.dtype.name == "bool":
            raise refuse(NotImplementedError, "\"trace\" not implemented for 'Bool'")
        return input.diagonal().sum()

    samples = [sample(normal(3, 4))]


class Kron(Composite):
    """Kronecker product."""

    schema = "kron(Tensor input, Tensor other) -> Tensor"
    out_dtype = "cast"

    @staticmethod
    def compose(input: Tensor, other: Tensor) -> Tensor:
        n = max(input.ndim, other.ndim)
        a, b = ((1,) * (n - t.ndim) + tuple(t.shape) for t in (input, other))
        x = input.reshape(tuple(m for k in a for m in (k, 1)))
        y = other.reshape(tuple(m for k in b for m in (1, k)))
        return (x * y).reshape(tuple(p * q for p, q in zip(a, b)))

    samples = [sample(normal(2, 3), normal(3, 2))]


class Cross(Composite):
    """Vector product along a dim of three elements."""

    schema = "cross(Tensor input, Tensor other, int? dim=None) -> Tensor"

    @staticmethod
    def compose(input: Tensor, other: Tensor, dim: int | None = None) -> Tensor:
        if input.ndim != other.ndim:
            raise refuse(RuntimeError, "linalg.cross: inputs must have the same number of dimensions.")
        if dim is None:
            dim = next((k for k, n in enumerate(input.shape) if n == 3), None)
            if dim is None:
                raise refuse(RuntimeError, "no dimension of size 3 in input")
        k = wrap_dim(dim, input.ndim)
        if input.shape[k] != 3 or other.shape[k] != 3:
            raise refuse(
                RuntimeError, f"linalg.cross: inputs dimension {dim} must have length 3. Got {input.shape[k]} and {other.shape[k]}"
            )
        a, b = ops.broadcast_tensors(input, other)
        if input.dtype is d.bool_:
            raise refuse(NotImplementedError, "\"cross\" not implemented for 'Bool'", received="dtype bool", expected="numbers")
        if input.dtype is not other.dtype:
            first, second = (scalar_type_name(t.dtype) for t in (input, other))
            raise refuse(RuntimeError, f"expected scalar type {first} but found {second}", hint="x.to(other.dtype)")
        return ops.vector_product(a, b, k)

    samples = [sample(normal(2, 3), normal(2, 3))]


class VectorProduct(Fused):
    """a x b along a dim of three elements, of two tensors of one shape and type."""

    schema = "vector_product(Tensor input, Tensor other, int dim) -> Tensor"
    batching = "front dim"
    paths = ""

    @staticmethod
    def kernel(a: Layout, b: Layout, dim: int) -> Result:
        out = layout(a.shape, a.dtype)
        part = [Array(t.dtype, *(tuple(v for k, v in enumerate(x) if k != dim) for x in (t.shape, t.strides))) for t in (out, a, b)]
        step = [t.strides[dim] * t.dtype.itemsize for t in (out, a, b)]
        kind = a.dtype.compute

        def rounded(x: Scalar) -> Scalar:
            """As if it were written."""
            return cast(cast(x, a.dtype), kind)

        x, y = ([input(3 * t + k, kind) for k in range(3)] for t in (0, 1))
        body = [rounded(x[i] * y[j]) - rounded(x[j] * y[i]) for i, j in ((1, 2), (2, 0), (0, 1))]
        schedule = pointwise([part[0]] * 3, [part[1]] * 3 + [part[2]] * 3, body)
        outs, ins = [Out(0, k * step[0]) for k in range(3)], [In(t, k * step[1 + t]) for t in (0, 1) for k in range(3)]
        return Result((out,), rebased(schedule, outs, ins))

    @staticmethod
    def gradient(g: Tensor, input: Tensor, other: Tensor, dim: int) -> tuple[Any, ...]:
        a, b = (t.conj() if t.dtype.is_complex else t for t in (input, other))
        return ops.vector_product(b, g, dim), ops.vector_product(g, a, dim)


class Tensordot(Composite):
    """Sums of products over pairs of dims."""

    schema = "tensordot(Tensor a, Tensor b, any dims=2) -> Tensor"
    out_dtype = "tensordot: Expected the output tensor to have dtype {Want}, but got an output tensor with dtype {Got}"
    paths = "torch"

    @staticmethod
    def compose(a: Tensor, b: Tensor, dims: Any = 2) -> Tensor:
        first, second = _pairs(a, b, dims)
        if a.dtype is not b.dtype:
            raise refuse(RuntimeError, "both inputs should have same dtype", received=f"{a.dtype.name} and {b.dtype.name}")
        if len(first) != len(second):
            raise refuse(RuntimeError, "both dimension lists should have same length", received=f"dims={dims}")
        for k, (i, j) in enumerate(zip(first, second)):
            x, y = first[k], second[k] = wrap_dim(i, a.ndim), wrap_dim(j, b.ndim)
            if a.shape[x] != b.shape[y] and 1 not in (a.shape[x], b.shape[y]):
                raise refuse(
                    RuntimeError,
                    f"contracted dimensions need to match, but first has size {a.shape[x]} in dim {x} and second has size {b.shape[y]} in dim {y}",
                )
        for x, y in zip(first, second):
            if a.shape[x] != b.shape[y]:
                a, b = (a.sum(x, True), b) if b.shape[y] == 1 else (a, b.sum(y, True))
        keep_a = [k for k in range(a.ndim) if k not in first]
        keep_b = [k for k in range(b.ndim) if k not in second]
        n = _count([a.shape[k] for k in first])
        left = a.permute((*keep_a, *first)).reshape((_count([a.shape[k] for k in keep_a]), n))
        right = b.permute((*second, *keep_b)).reshape((n, _count([b.shape[k] for k in keep_b])))
        return ops.mm(left, right).reshape((*(a.shape[k] for k in keep_a), *(b.shape[k] for k in keep_b)))

    samples = [sample(normal(2, 3, 4), normal(3, 4, 5)), sample(normal(2, 3), normal(3, 2), ([1], [0]))]


def _pairs(a: Tensor, b: Tensor, dims: Any) -> tuple[list[int], list[int]]:
    if isinstance(dims, Tensor):
        dims = dims.item() if dims.numel() == 1 else dims.tolist()
    if isinstance(dims, int):
        if dims < 0:
            raise refuse(RuntimeError, f"tensordot expects dims >= 0, but got dims={dims}")
        if dims > min(a.ndim, b.ndim):
            raise refuse(RuntimeError, f"tensordot expects dims < ndim_a or ndim_b, but got dims={dims}")
        return list(range(a.ndim - dims, a.ndim)), list(range(dims))
    x, y = dims
    first, second = ([v] if isinstance(v, int) else list(v) for v in (x, y))
    return first, second


def _count(xs: Sequence[int]) -> int:
    n = 1
    for x in xs:
        n *= x
    return n


class Einsum(Composite):
    """Sums of products in Einstein's notation: `einsum("bij,bjk->bik", a, b)`, or lists of dim numbers after each operand."""

    schema = "einsum(any equation, any operands) -> Tensor"
    paths = "torch"

    @staticmethod
    def compose(*args: Any) -> Tensor:
        equation, tensors = _equation(args)
        return _contract(equation, tensors)

    samples = [
        sample("ij,jk->ik", normal(2, 3), normal(3, 4)),
        sample("bij,bjk", normal(2, 3, 4), normal(2, 4, 2)),
        sample("ii->i", normal(3, 3)),
    ]


def _equation(args: Sequence[Any]) -> tuple[str, list[Tensor]]:
    """The string form of a call."""
    if not args:
        raise refuse(
            ValueError,
            "einsum(): must specify the equation string and at least one operand, or at least one operand and its subscripts list",
        )
    if isinstance(args[0], str):
        tensors = list(args[1]) if len(args) == 2 and isinstance(args[1], (list, tuple)) else list(args[1:])
        return args[0].replace(" ", ""), tensors

    def spell(dims: Any) -> str:
        return "".join("..." if k is Ellipsis else chr(ord("A") + k) if k < 26 else chr(ord("a") + k - 26) for k in dims)

    tensors, parts = [], []
    rest = list(args)
    while len(rest) >= 2:
        tensors.append(rest.pop(0))
        parts.append(spell(rest.pop(0)))
    return ",".join(parts) + (f"->{spell(rest[0])}" if rest else ""), tensors


def _contract(equation: str, tensors: list[Tensor]) -> Tensor:
    left, arrow, right = equation.partition("->")
    parts = left.split(",")
    if not tensors:
        raise refuse(RuntimeError, "einsum(): must provide at least one operand")
    if len(parts) != len(tensors):
        more = "more" if len(parts) < len(tensors) else "fewer"
        raise refuse(RuntimeError, f"einsum(): {more} operands were provided than specified in the equation")
    dots = 0
    for part, t in zip(parts, tensors):
        for letter in part.replace("...", ""):
            if not letter.isalpha():
                raise refuse(
                    RuntimeError,
                    f"einsum(): invalid subscript given at index {equation.index(letter)} in the equation string, subscripts must be in [a-zA-Z]",
                )
        named = len(part.replace("...", ""))
        if ("..." not in part and named != t.ndim) or named > t.ndim:
            raise refuse(
                RuntimeError,
                f"einsum(): the number of subscripts in the equation ({named}) does not match the number of dimensions ({t.ndim}) for operand {parts.index(part)} and no ellipsis was given",
            )
        dots = max(dots, t.ndim - named if "..." in part else 0)
    wild = [chr(0x100 + k) for k in range(dots)]
    rows = [_letters(part, t, wild) for part, t in zip(parts, tensors)]
    sizes = _sizes(rows, tensors)
    seen = [c for row in rows for c in row]
    if arrow:
        target = list(right.replace("...", "\0"))
        target = [c for x in target for c in (wild if x == "\0" else [x])]
    else:
        target = wild + sorted(c for c in set(seen) if seen.count(c) == 1 and c not in wild)
    for c in target:
        if c not in sizes:
            raise refuse(RuntimeError, f"einsum(): output subscript {c} does not appear in the equation for any input operand")
        if target.count(c) > 1:
            raise refuse(RuntimeError, f"einsum(): output subscript {c} appears more than once in the output")
    operands = [_simple(t, row) for t, row in zip(tensors, rows)]
    result, letters = operands[0]
    for i, (t, row) in enumerate(operands[1:], 1):
        later = {c for _, r in operands[i + 1 :] for c in r} | set(target)
        result, letters = _pair(result, letters, t, row, later, sizes)
    gone = tuple(k for k, c in enumerate(letters) if c not in target)
    if gone:
        result = result.sum(gone)
        letters = [c for c in letters if c in target]
    result = result.permute(tuple(letters.index(c) for c in target if c in letters))
    return result.expand(tuple(sizes[c] for c in target)) if len(letters) == len(target) else result


def _letters(part: str, t: Tensor, wild: list[str]) -> list[str]:
    if "..." not in part:
        return list(part)
    before, after = part.split("...")
    n = t.ndim - len(before) - len(after)
    return [*before, *(wild[len(wild) - n :] if n else []), *after]


def _sizes(rows: list[list[str]], tensors: list[Tensor]) -> dict[str, int]:
    sizes: dict[str, int] = {}
    for i, (row, t) in enumerate(zip(rows, tensors)):
        for c, n in zip(row, t.shape):
            if c in sizes and n != sizes[c] and 1 not in (n, sizes[c]):
                raise refuse(
                    RuntimeError,
                    f"einsum(): subscript {c} has size {n} for operand {i} which does not broadcast with previously seen size {sizes[c]}",
                )
            sizes[c] = max(sizes.get(c, 1), n) if n != 0 and sizes.get(c, 1) != 0 else 0
    return sizes


def _simple(t: Tensor, row: list[str]) -> tuple[Tensor, list[str]]:
    """Repeated letters of one operand as diagonals."""
    row = list(row)
    for c in dict.fromkeys(row):
        while row.count(c) > 1:
            a = row.index(c)
            b = row.index(c, a + 1)
            t = t.diagonal(0, a, b)
            row = [x for k, x in enumerate(row) if k not in (a, b)] + [c]
    return t, row


def _pair(x: Tensor, xs: list[str], y: Tensor, ys: list[str], later: set[str], sizes: dict[str, int]) -> tuple[Tensor, list[str]]:
    """One batched matrix product: shared letters that stay are batches, those that go are summed."""
    for t, row, other in ((0, xs, ys), (1, ys, xs)):
        alone = tuple(k for k, c in enumerate(row) if c not in other and c not in later)
        if alone:
            if t == 0:
                x, xs = x.sum(alone), [c for k, c in enumerate(row) if k not in alone]
            else:
                y, ys = y.sum(alone), [c for k, c in enumerate(row) if k not in alone]
    both = [c for c in xs if c in ys]
    batch, summed = [c for c in both if c in later], [c for c in both if c not in later]
    for c in both:  # a letter of extent 1 on one side only broadcasts
        n = sizes[c]
        x = x.expand(tuple(n if k == c else m for k, m in zip(xs, x.shape)))
        y = y.expand(tuple(n if k == c else m for k, m in zip(ys, y.shape)))
    free_x, free_y = [c for c in xs if c not in both], [c for c in ys if c not in both]
    kind = result_type([x.dtype, y.dtype])
    x, y = (t if t.dtype is kind else t.to(kind) for t in (x, y))
    left = x.permute(tuple(xs.index(c) for c in (*batch, *free_x, *summed)))
    right = y.permute(tuple(ys.index(c) for c in (*batch, *summed, *free_y)))
    b, k = (_count([sizes[c] for c in group]) for group in (batch, summed))
    fx, fy = left.shape[len(batch) : len(batch) + len(free_x)], right.shape[len(batch) + len(summed) :]
    m, n = _count(fx), _count(fy)
    got = ops.bmm(left.reshape((b, m, k)), right.reshape((b, k, n))) if batch else ops.mm(left.reshape((m, k)), right.reshape((k, n)))
    return got.reshape((*(sizes[c] for c in batch), *fx, *fy)), [*batch, *free_x, *free_y]


class ChainMatmul(Composite):
    """Several matrices multiplied in the order that needs the fewest operations."""

    schema = "chain_matmul(any matrices) -> Tensor"
    paths = "torch"

    @staticmethod
    def compose(*matrices: Tensor) -> Tensor:
        if not matrices:
            raise refuse(RuntimeError, "chain_matmul(): Expected one or more matrices")
        return _best(list(matrices))

    samples = [sample(normal(2, 3), normal(3, 4), normal(4, 2))]


def _best(ms: list[Tensor]) -> Tensor:
    """The classic dynamic programme over where to cut."""
    n = len(ms)
    dims = [m.shape[0] for m in ms] + [ms[-1].shape[1]]
    cost = [[0] * n for _ in range(n)]
    cut = [[0] * n for _ in range(n)]
    for length in range(2, n + 1):
        for i in range(n - length + 1):
            j = i + length - 1
            options = [(cost[i][k] + cost[k + 1][j] + dims[i] * dims[k + 1] * dims[j + 1], k) for k in range(i, j)]
            cost[i][j], cut[i][j] = min(options)

    def build(i: int, j: int) -> Tensor:
        return ms[i] if i == j else ops.mm(build(i, cut[i][j]), build(cut[i][j] + 1, j))

    return build(0, n - 1)
