"""Derivatives of functions of tensors: vjp, jvp, Jacobians, Hessians and their products."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..base.errors import refuse
from ..core.guards import guard
from ..core.modes import enable_grad
from ..core.tensor import Tensor
from ..spec.registry import ops
from .gradients import grad


def _tuple(x: Any, what: str, where: str) -> tuple[bool, tuple[Any, ...]]:
    """(whether it was a tuple, the tensors). TypeError for anything else."""
    items = tuple(x) if isinstance(x, (tuple, list)) else (x,)
    for i, item in enumerate(items):
        if not isinstance(item, Tensor):
            if isinstance(x, (tuple, list)):
                raise TypeError(
                    f"The {what} given to {where} must be either a Tensor or a tuple of Tensors but the value at index {i} has type {type(item)}."
                )
            raise TypeError(
                f"The {what} given to {where} must be either a Tensor or a tuple of Tensors but the given {what} has type {type(item)}."
            )
    return isinstance(x, (tuple, list)), items


def _prepared(inputs: Any, create_graph: bool, where: str) -> tuple[bool, tuple[Any, ...]]:
    """Inputs on which this function's history starts; with `create_graph` it goes on to where they came from."""
    several, items = _tuple(inputs, "inputs", where)
    return several, tuple(x.view_as(x) if create_graph and x.requires_grad else x.detach().requires_grad_() for x in items)


def _called(func: Callable[..., Any], inputs: tuple[Any, ...], where: str, strict: bool = False) -> tuple[bool, tuple[Any, ...]]:
    """(whether it gave a tuple, what the function gives); with `strict` everything must have history."""
    several, outs = _tuple(func(*inputs), "outputs of the user-provided function", where)
    for i, o in enumerate(outs):
        if strict and not o.requires_grad:
            raise RuntimeError(
                f"Output {i} of the user-provided function does not require gradients. The outputs must be computed in a differentiable manner from the input "
                "when running in strict mode."
            )
    return several, outs


def _shown(tensors: Sequence[Any], create_graph: bool, several: bool) -> Any:
    items = tuple(t if create_graph else t.detach() for t in tensors)
    return items if several else items[0]


def _filled(grads: Sequence[Any], like: Sequence[Any], strict: bool, where: str) -> list[Any]:
    """Zeros where nothing depends; with `strict` an error."""
    for i, g in enumerate(grads):
        if g is None and strict:
            raise RuntimeError(
                f"The output of the user-provided function is independent of input {i}. This is not allowed in strict mode ({where})."
            )
    return [ops.zeros_like(x) if g is None else g for g, x in zip(grads, like)]


def _along(outs: Sequence[Any], inputs: Sequence[Any], vectors: Sequence[Any] | None, create_graph: bool) -> list[Any]:
    """Gradients of those outputs that have history; None where there is none."""
    live = [k for k, o in enumerate(outs) if o.requires_grad]
    if not live:
        return [None] * len(inputs)
    seeds = None if vectors is None else [vectors[k] for k in live]
    return list(grad([outs[k] for k in live], inputs, seeds, retain_graph=True, create_graph=create_graph, allow_unused=True))


def _vectors(v: Any, like: Sequence[Any], where: str, what: str, several: bool) -> tuple[Any, ...]:
    _, items = _tuple(v, "v", where)
    if len(items) != len(like):
        if several:
            raise RuntimeError(f"v is a tuple of invalid length: should be {len(like)} but got {len(items)}.")
        raise RuntimeError("The given v should contain a single Tensor.")
    for i, (a, b) in enumerate(zip(items, like)):
        if a.shape != b.shape:
            place = f"Entry {i} in " if several else ""
            raise RuntimeError(f"{place}v has invalid size: should be {b.shape} but got {a.shape}.")
    return items


def vjp(func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False) -> tuple[Any, Any]:
    """(func(inputs), v times its Jacobian)."""
    with enable_grad():
        several, xs = _prepared(inputs, create_graph, "vjp")
        out_several, outs = _called(func, xs, "vjp", strict)
        if v is None:
            if len(outs) != 1 or outs[0].numel() != 1:
                raise RuntimeError(
                    "The vector v can only be None if the user-provided function returns a single Tensor with a single element."
                )
            vs = None
        else:
            vs = _vectors(v, outs, "vjp", "outputs", out_several)
        got = _filled(_along(outs, xs, vs, create_graph), xs, strict, "vjp")
    return _shown(outs, create_graph, out_several), _shown(got, create_graph, several)


def jvp(func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False) -> tuple[Any, Any]:
    """(func(inputs), its Jacobian times v), by differentiating the gradient, which is linear in its seed."""
    with enable_grad():
        several, xs = _prepared(inputs, create_graph, "jvp")
        if v is None:
            if len(xs) != 1 or xs[0].numel() != 1:
                raise RuntimeError(
                    "The vector v can only be None if the input to the user-provided function is a single Tensor with a single element."
                )
            vs: tuple[Any, ...] = (ops.ones_like(xs[0]).detach(),)
        else:
            vs = _vectors(v, xs, "jvp", "inputs", several)
        out_several, outs = _called(func, xs, "jvp", strict)
        got = _filled(_forward(outs, xs, vs, create_graph), outs, strict, "jvp")
    return _shown(outs, create_graph, out_several), _shown(got, create_graph, out_several)


def _forward(outs: Sequence[Any], xs: Sequence[Any], vs: Sequence[Any], create_graph: bool) -> list[Any]:
    seeds = [ops.zeros_like(o).detach().requires_grad_() for o in outs]
    back = _along(outs, xs, seeds, True)
    live = [k for k, g in enumerate(back) if g is not None]
    return _along([back[k] for k in live], seeds, [vs[k] for k in live], create_graph)


def jacobian(
    func: Callable[..., Any],
    inputs: Any,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    strategy: str = "reverse-mode",
) -> Any:
    """Derivatives of every output with respect to every input, (*output.shape, *input.shape); nested tuples when there are several.

    `vectorize` makes one backward pass for all elements of an output instead of one each. `strategy` is the order of PyTorch's work and changes
    nothing here.
    """
    if vectorize and strict:
        raise RuntimeError(
            "torch.autograd.functional.jacobian: `strict=True` and `vectorized=True` are not supported together. Please either set `strict=False` or "
            "`vectorize=False`."
        )
    if strategy not in ("forward-mode", "reverse-mode"):
        raise refuse(
            AssertionError,
            'Expected strategy to be either "forward-mode" or "reverse-mode". Hint: If your function has more outputs than inputs, "forward-mode" tends to be more performant. Otherwise, prefer to use "reverse-mode".',
        )
    with enable_grad():
        several, xs = _prepared(inputs, create_graph, "jacobian")
        out_several, outs = _called(func, xs, "jacobian", strict)
        table = []
        for o in outs:
            rows = _at_once(o, xs, create_graph) if vectorize and o.numel() else _one_by_one(o, xs, create_graph, strict)
            blocks = [r.reshape((*o.shape, *x.shape)) for r, x in zip(rows, xs)]
            table.append(_shown(blocks, create_graph, several))
    return tuple(table) if out_several else table[0]


def _at_once(o: Any, xs: Sequence[Any], create_graph: bool) -> list[Any]:
    """Per input: gradients of every element of `o`, (elements, *input.shape)."""
    n = o.numel()
    seeds = ops.eye(n, dtype=o.dtype).view((n, *o.shape))
    got = grad([o], xs, [seeds], True, create_graph, allow_unused=True, is_grads_batched=True) if o.requires_grad else [None] * len(xs)
    return [ops.zeros((n, *x.shape), dtype=x.dtype, device=x.device) if g is None else g for g, x in zip(got, xs)]


def _one_by_one(o: Any, xs: Sequence[Any], create_graph: bool, strict: bool) -> list[Any]:
    n, rows = o.numel(), []
    for k in range(n):
        seed = ops.zeros(n, dtype=o.dtype, device=o.device)
        seed[k] = 1
        rows.append(_filled(_along([o], xs, [seed.view(o.shape)], create_graph), xs, strict, "jacobian"))
    return [ops.stack([r[i] for r in rows]) if rows else ops.zeros((0, *x.shape), dtype=x.dtype, device=x.device) for i, x in enumerate(xs)]


def _scalar(func: Callable[..., Any], where: str) -> Callable[..., Any]:
    """The function with a check that it gives one number."""

    def run(*xs: Any) -> Any:
        several, outs = _called(func, xs, where)
        if several or outs[0].numel() != 1:
            if several:
                raise RuntimeError(f"The function given to {where} should return a single Tensor")
            raise RuntimeError(f"The Tensor returned by the function given to {where} should contain a single element")
        return outs[0].reshape(())

    return run


def hessian(
    func: Callable[..., Any],
    inputs: Any,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    outer_jacobian_strategy: str = "reverse-mode",
) -> Any:
    """Second derivatives of a function with one number as its value: (*input.shape, *input.shape) for each pair of inputs.
    `vectorize` makes one backward pass for all elements; `outer_jacobian_strategy` is the order of PyTorch's work and changes nothing here."""
    if outer_jacobian_strategy not in ("forward-mode", "reverse-mode"):
        raise AssertionError('Expected strategy to be either "forward-mode" or "reverse-mode".')
    single = _scalar(func, "hessian")
    several, _ = _tuple(inputs, "inputs", "hessian")

    def first(*xs: Any) -> Any:
        got = jacobian(single, xs, create_graph=True, strict=strict, vectorize=vectorize)
        return got if several else got[0]

    return jacobian(first, inputs, create_graph=create_graph, vectorize=vectorize)


def _hessian_product(
    func: Callable[..., Any], inputs: Any, v: Any, create_graph: bool, strict: bool, where: str, product: Callable[..., Any]
) -> tuple[Any, Any]:
    """(func(inputs), what `product` makes of its gradient and v)."""
    with enable_grad():
        several, xs = _prepared(inputs, create_graph, where)
        if v is None:
            if len(xs) != 1 or xs[0].numel() != 1:
                raise RuntimeError(
                    "The vector v can only be None if the input to the user-provided function is a single Tensor with a single element."
                )
            vs: tuple[Any, ...] = (ops.ones_like(xs[0]).detach(),)
        else:
            vs = _vectors(v, xs, where, "inputs", several)
        out = _scalar(func, where)(*xs)
        first = _filled(_along([out], xs, None, True), xs, strict, where)
        got = _filled(product(first, xs, vs, create_graph), xs, strict, where)
    return _shown([out], create_graph, False), _shown(got, create_graph, several)


def vhp(func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False) -> tuple[Any, Any]:
    """(func(inputs), v times its Hessian)."""
    return _hessian_product(func, inputs, v, create_graph, strict, "vhp", _along)


def hvp(func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False) -> tuple[Any, Any]:
    """(func(inputs), its Hessian times v)."""
    return _hessian_product(func, inputs, v, create_graph, strict, "hvp", _forward)


__all__ = ["hessian", "hvp", "jacobian", "jvp", "vhp", "vjp"]

guard(globals(), __all__)
