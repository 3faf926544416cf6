"""`grad`, `vjp`, `jvp`, Jacobians and Hessians of functions, over the tape.

Each transform gives the function inputs of its own, so that transforms nest; what it returns has history only through tensors from outside.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from ..autograd.gradients import grad as tape_grad
from ..base.errors import refuse
from ..core.batching import ACTIVE, lift, numbers
from ..core.modes import enable_grad, is_grad_enabled
from ..core.tape import Node
from ..core.tensor import Tensor
from ..spec.registry import ops
from .batching import vmap
from .tree import flatten, tree_map


class Inputs:
    """The inputs of one transform: aliases of what came in, on which history starts."""

    def __init__(self, trees: Sequence[Any]) -> None:
        self.leaves, self.build = flatten(list(trees))
        for x in self.leaves:
            if not isinstance(x, Tensor):
                raise ValueError(f"expected a tree of tensors, got a leaf of type {type(x).__name__}")
        self.outside = is_grad_enabled()
        for level in ACTIVE.levels[-1:]:
            level.differentiates = True
        self.leaves = [per_example(x) for x in _own(self.leaves)]
        self.fresh = [x.view_as(x) if x.requires_grad and self.outside else x.detach().requires_grad_() for x in self.leaves]
        self.own = {id(y) for x, y in zip(self.leaves, self.fresh) if not (x.requires_grad and self.outside)}

    def trees(self) -> list[Any]:
        return self.build(list(self.fresh))

    def out(self, tree: Any) -> Any:
        """A result as the caller may see it: without history that ends only at this transform's inputs."""
        return tree_map(
            lambda t: t.detach() if isinstance(t, Tensor) and t.requires_grad and not (self.outside and self._outer(t)) else t, tree
        )

    def _outer(self, t: Any) -> bool:
        """Whether history leads to a leaf that is not ours."""
        if t.grad_fn is None:
            return id(t) not in self.own
        seen: set[Any] = set()
        stack = [t.grad_fn]
        while stack:
            node = stack.pop()
            for edge in node.edges[::2]:
                if type(edge) is Node:
                    if edge not in seen:
                        seen.add(edge)
                        stack.append(edge)
                elif edge is not None and id(edge) not in self.own:
                    return True
        return False


def per_example(x: Any) -> Any:
    """Inside `vmap`: `x` as every example's own, so that its gradient is told apart between examples."""
    for level in ACTIVE.levels:
        if level.number not in numbers(x._layout):
            x = lift(x, level.number, level.size)
    return x


def _own(leaves: Sequence[Any]) -> Sequence[Any]:
    for x in leaves:
        if not (x.dtype.is_floating_point or x.dtype.is_complex):
            raise refuse(RuntimeError, "only Tensors of floating point dtype can require gradients", received=str(x.dtype))
    return leaves


def _chosen(args: Sequence[Any], argnums: int | tuple[int, ...]) -> tuple[int, ...]:
    places = argnums if isinstance(argnums, tuple) else (argnums,)
    if not places:
        raise refuse(RuntimeError, "argnums must be non-empty", received="argnums=()", expected="an int, or a tuple of ints")
    for i in places:
        if not isinstance(i, int):
            raise RuntimeError(f"argnums must be int or tuple of ints, got: {argnums}")
        if not -len(args) <= i < len(args):
            raise RuntimeError(f"Got argnum={i}, but only {len(args)} positional inputs")
    return tuple(i % len(args) for i in places)


def _with(args: Sequence[Any], places: Sequence[int], values: Sequence[Any]) -> list[Any]:
    given = list(args)
    for i, v in zip(places, values):
        given[i] = v
    return given


def grad_and_value(func: Callable[..., Any], argnums: int | tuple[int, ...] = 0, has_aux: bool = False) -> Callable[..., Any]:
    """A function that gives (gradient, value), or (gradient, (value, aux)), of `func`, whose value has one element."""

    @functools.wraps(func)
    def run(*args: Any, **kwargs: Any) -> Any:
        places = _chosen(args, argnums)
        inputs = Inputs([args[i] for i in places])
        with enable_grad():
            value = func(*_with(args, places, inputs.trees()), **kwargs)
            aux = None
            if has_aux:
                if not (isinstance(value, tuple) and len(value) == 2):
                    raise RuntimeError("grad_and_value(f)(*args): output of function f should be a tuple: (output, aux) if has_aux is True")
                value, aux = value
            if not isinstance(value, Tensor):
                raise RuntimeError(f"grad_and_value(f)(*args): Expected f(*args) to return a Tensor, got {type(value)}")
            if value.dim():
                raise RuntimeError(
                    f"grad_and_value(f)(*args): Expected f(*args) to return a scalar Tensor, got tensor with {value.dim()} dims. Maybe you wanted to use the vjp "
                    "or jacrev APIs instead?"
                )
            grads = _gradients([value], inputs.fresh, None)
        got = inputs.build(list(inputs.out(grads)))
        shown = got if isinstance(argnums, tuple) else got[0]
        value = inputs.out(value)
        return (tuple(shown) if isinstance(argnums, tuple) else shown), ((value, inputs.out(aux)) if has_aux else value)

    return run


def _gradients(outs: Sequence[Any], inputs: Sequence[Any], cotangents: Sequence[Any] | None) -> list[Any]:
    """Gradients with history; zeros where nothing came."""
    live = [k for k, o in enumerate(outs) if o.requires_grad]
    if not live:
        return [ops.zeros_like(x) for x in inputs]
    seeds = None if cotangents is None else [cotangents[k] for k in live]
    found = tape_grad([outs[k] for k in live], inputs, seeds, retain_graph=True, create_graph=True, allow_unused=True)
    return [ops.zeros_like(x) if g is None else g for x, g in zip(inputs, found)]


def _tensors(out: Any, name: str) -> Any:
    """Leaves of what a function gave and what makes the tree again; RuntimeError unless they are tensors."""
    outs, build = flatten(out)
    for o in outs:
        if not isinstance(o, Tensor):
            raise RuntimeError(f"{name}(f)(*args): expected f(*args) to return only tensors, got unsupported type {type(o)}")
    return outs, build


def grad(func: Callable[..., Any], argnums: int | tuple[int, ...] = 0, has_aux: bool = False) -> Callable[..., Any]:
    """The gradient function of `func`; with `has_aux` it gives (gradient, aux)."""
    both = grad_and_value(func, argnums, has_aux)

    @functools.wraps(func)
    def run(*args: Any, **kwargs: Any) -> Any:
        got, value = both(*args, **kwargs)
        return (got, value[1]) if has_aux else got

    return run


def vjp(func: Callable[..., Any], *primals: Any, has_aux: bool = False) -> Any:
    """(output, function from cotangents to a tuple of gradients per primal); with `has_aux` also aux."""
    inputs = Inputs(primals)
    with enable_grad():
        out = func(*inputs.trees())
        aux = None
        if has_aux:
            if not (isinstance(out, tuple) and len(out) == 2):
                raise RuntimeError("vjp(f, *primals): output of function f should be a tuple: (output, aux) if has_aux is True")
            out, aux = out
    outs, _ = flatten(out)
    for o in outs:
        if not isinstance(o, Tensor):
            raise RuntimeError(f"vjp(f, *primals): Expected f to return tensors, got {type(o).__name__}")

    def pull(*cotangents: Any, **_: Any) -> Any:
        given, _make = flatten(cotangents[0] if len(cotangents) == 1 else cotangents)
        if len(given) != len(outs):
            raise RuntimeError(
                f"Expected pytree structure of cotangents to be the same as pytree structure of outputs to the function: {len(given)} and {len(outs)} tensors"
            )
        with enable_grad():
            grads = _gradients(outs, inputs.fresh, given)
        found = tuple(inputs.build([inputs.out(g) for g in grads]))
        return found

    shown = inputs.out(out)
    return (shown, pull, inputs.out(aux)) if has_aux else (shown, pull)


def jvp(
    func: Callable[..., Any], primals: tuple[Any, ...], tangents: tuple[Any, ...], *, strict: bool = False, has_aux: bool = False
) -> Any:
    """(output, its derivative along `tangents`), by differentiating the gradient, which is linear in the cotangent. `strict` refuses an output
    that does not depend on the primals, whose derivative would be zeros."""
    if not isinstance(primals, tuple) or not isinstance(tangents, tuple):
        raise RuntimeError("jvp(f, primals, tangents): Expected primals to be a tuple. E.g. it should be valid to call f(*primals).")
    given, _ = flatten(list(tangents))
    inputs = Inputs(primals)
    if len(given) != len(inputs.leaves):
        raise RuntimeError("jvp(f, primals, tangents): Expected primals and tangents to have the same python structure")
    with enable_grad():
        out = func(*inputs.trees())
        aux = None
        if has_aux:
            out, aux = out
        outs, build = flatten(out)
        if strict and not all(isinstance(o, Tensor) and o.requires_grad for o in outs):
            raise RuntimeError(
                "jvp(f, primals, tangents, strict=True): The output of f is independent of the inputs. This is not allowed with strict=True."
            )
        seeds = [ops.zeros_like(o).requires_grad_() for o in outs]
        inputs.own |= {id(s) for s in seeds}
        grads = _gradients(outs, inputs.fresh, seeds)
        along = _gradients(grads, seeds, given)
    tangent = build([inputs.out(a) for a in along])
    return (inputs.out(out), tangent, inputs.out(aux)) if has_aux else (inputs.out(out), tangent)


def linearize(func: Callable[..., Any], *primals: Any) -> tuple[Any, Callable[..., Any]]:
    """(output, the function from tangents to the output's derivative along them)."""
    return func(*primals), lambda *tangents: jvp(func, primals, tangents)[1]


def jacrev(
    func: Callable[..., Any],
    argnums: int | tuple[int, ...] = 0,
    *,
    has_aux: bool = False,
    chunk_size: int | None = None,
    _preallocate_and_copy: bool = False,
) -> Callable[..., Any]:
    """The Jacobian function, by one backward pass for all elements of the output (`chunk_size` at a time): shapes output + input."""

    @functools.wraps(func)
    def run(*args: Any) -> Any:
        places = _chosen(args, argnums)
        inputs = Inputs([args[i] for i in places])
        with enable_grad():
            out = func(*_with(args, places, inputs.trees()))
            aux = None
            if has_aux:
                out, aux = out
            outs, build = _tensors(out, "jacrev")
            per_out = [inputs.build(_rows(o, inputs, chunk_size)) for o in outs]
        if not isinstance(argnums, tuple):
            per_out = [p[0] for p in per_out]
        else:
            per_out = [tuple(p) for p in per_out]
        got = build(per_out)
        return (got, inputs.out(aux)) if has_aux else got

    return run


def _basis(x: Any) -> Any:
    """One tensor like `x` per element, 1 there and 0 elsewhere: (numel, *shape)."""
    n = x.numel()
    return ops.eye(n, dtype=x.dtype, device=x.device).view((n, *x.shape))


def _rows(out: Any, inputs: Inputs, chunk_size: int | None) -> list[Any]:
    """Per input: derivatives of one output, (*out.shape, *input.shape)."""
    if not out.numel():
        return [ops.zeros((*out.shape, *x.shape), dtype=x.dtype, device=x.device) for x in inputs.fresh]
    rows = vmap(lambda seed: tuple(_gradients([out], inputs.fresh, [seed])), chunk_size=chunk_size)(_basis(out))
    return [inputs.out(r.reshape((*out.shape, *x.shape))) for r, x in zip(rows, inputs.fresh)]


def jacfwd(
    func: Callable[..., Any],
    argnums: int | tuple[int, ...] = 0,
    has_aux: bool = False,
    *,
    chunk_size: int | None = None,
    randomness: str = "error",
) -> Callable[..., Any]:
    """The Jacobian function, by one derivative along all elements of the input (`chunk_size` at a time): shapes output + input.

    `func` runs once, outside any `vmap`, so `randomness` has nothing to decide: all elements see the same draws.
    """
    if randomness not in ("error", "different", "same"):
        raise RuntimeError(f"Only allowed values for randomness are 'error', 'different', or 'same'. Got {randomness}")

    @functools.wraps(func)
    def run(*args: Any) -> Any:
        places = _chosen(args, argnums)
        inputs = Inputs([args[i] for i in places])
        with enable_grad():
            out = func(*_with(args, places, inputs.trees()))
            aux = None
            if has_aux:
                out, aux = out
            outs, build = _tensors(out, "jacfwd")
            seeds = [ops.zeros_like(o).requires_grad_() for o in outs]
            inputs.own |= {id(s) for s in seeds}
            grads = _gradients(outs, inputs.fresh, seeds)
            columns = [_columns(i, x, grads, seeds, outs, inputs, chunk_size) for i, x in enumerate(inputs.fresh)]
        per_out = [inputs.build([column[k] for column in columns]) for k in range(len(outs))]
        got = build([tuple(p) if isinstance(argnums, tuple) else p[0] for p in per_out])
        return (got, inputs.out(aux)) if has_aux else got

    return run


def _columns(
    i: int, x: Any, grads: Sequence[Any], seeds: Sequence[Any], outs: Sequence[Any], inputs: Inputs, chunk_size: int | None
) -> list[Any]:
    """Per output: derivatives along the elements of input i, (*out.shape, *x.shape)."""
    if not x.numel():
        return [ops.zeros((*o.shape, *x.shape), dtype=o.dtype, device=o.device) for o in outs]
    found = vmap(lambda along: tuple(_gradients([grads[i]], seeds, [along])), out_dims=-1, chunk_size=chunk_size)(_basis(x))
    return [inputs.out(f.reshape((*o.shape, *x.shape))) for f, o in zip(found, outs)]


def hessian(func: Callable[..., Any], argnums: int | tuple[int, ...] = 0) -> Callable[..., Any]:
    """The Jacobian of the gradient: shapes output + input + input."""
    return jacfwd(jacrev(func, argnums), argnums)
