"""Programs over torch.func and torch.autograd.functional; `expected.txt` is what PyTorch 2.13 prints: python programs.py torch > expected.txt."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from typing import Any

PROGRAMS: list[Callable[[Any], Iterator[Any]]] = []


def program(f: Callable[[Any], Iterator[Any]]) -> Callable[[Any], Iterator[Any]]:
    PROGRAMS.append(f)
    return f


def show(v: Any) -> Any:
    if hasattr(v, "tolist") and hasattr(v, "dtype"):
        return rounded(v.tolist())
    if isinstance(v, dict):
        return {k: show(x) for k, x in v.items()}
    return [show(x) for x in v] if isinstance(v, (tuple, list)) else v


def rounded(v: Any) -> Any:
    return [rounded(x) for x in v] if isinstance(v, list) else round(v, 4) + 0.0 if isinstance(v, float) else v


@program
def gradients(t: Any) -> Iterator[Any]:
    F = t.func
    x = t.tensor([1.0, 2.0, 3.0])

    def f(x):
        return (x.sin() * x).sum()

    yield F.grad(f)(x), F.grad(F.grad(lambda x: x**3))(t.tensor(2.0)), F.grad_and_value(f)(x)
    yield F.grad(lambda x, y: (x * y * y).sum(), argnums=(0, 1))(x, x + 1), F.grad(lambda x, y: (x * y * y).sum(), argnums=1)(x, x + 1)
    yield F.grad(lambda x: ((x * x).sum(), x * 2), has_aux=True)(x)
    yield F.grad(lambda d: (d["a"] * d["b"][0]).sum())({"a": x, "b": [x + 1]})
    g = F.grad(f)(x)
    yield g.requires_grad
    y = t.tensor([2.0, 3.0], requires_grad=True)
    g = F.grad(lambda v: (v**3).sum())(y)
    yield g.requires_grad, t.autograd.grad(g.sum(), y)
    w = t.tensor([5.0, 7.0], requires_grad=True)
    g = F.grad(lambda v: (v * v * w).sum())(t.ones(2))
    yield g.requires_grad, t.autograd.grad(g.sum(), w)
    with t.no_grad():
        yield F.grad(f)(x)
    yield F.grad(lambda x: t.ones(()))(x)


@program
def products(t: Any) -> Iterator[Any]:
    F = t.func
    x = t.tensor([1.0, 2.0, 3.0])
    out, pull = F.vjp(lambda x: (x.exp(), x.sum()), x)
    yield out, pull((t.ones(3), t.tensor(2.0))), pull((t.zeros(3), t.tensor(1.0)))
    out, pull = F.vjp(lambda x, y: x * y, x, x + 1)
    yield out, pull(t.ones(3))
    yield F.jvp(lambda x: x.sin(), (x,), (t.ones(3),)), F.jvp(lambda x, y: x * y, (x, x + 1), (t.ones(3), t.zeros(3)))
    yield F.jvp(lambda x: {"a": x.sum(), "b": x * x}, (x,), (t.tensor([0.0, 1.0, 0.0]),))
    yield F.grad(lambda x: F.jvp(lambda y: y**3, (x,), (t.ones(3),))[1].sum())(x)


@program
def jacobians(t: Any) -> Iterator[Any]:
    F = t.func
    x = t.tensor([1.0, 2.0])

    def f(x):
        return t.stack([x[0] * x[1], x[0] ** 2, x.sum()])

    yield F.jacrev(f)(x), F.jacfwd(f)(x), F.hessian(lambda x: (x**3).sum() + x[0] * x[1])(x)
    yield F.jacrev(lambda x, y: (x * y).sum(), argnums=(0, 1))(x, x + 1), F.jacfwd(lambda x, y: {"p": x * y}, argnums=1)(x, x + 1)
    yield F.jacrev(lambda x: x.view(2, 1) * t.ones(1, 3))(x).shape == (2, 3, 2)
    yield F.jacfwd(F.jacrev(lambda x: (x**4).sum()))(x), F.jacrev(F.jacfwd(lambda x: (x**4).sum()))(x)
    yield F.jacrev(lambda x: (x * x, x.sum()), has_aux=True)(x)


@program
def batches(t: Any) -> Iterator[Any]:
    F = t.func
    a, b = t.arange(6.0).view(2, 3), t.arange(6.0).view(3, 2)
    yield F.vmap(t.dot)(a, a), F.vmap(t.dot, in_dims=(0, 1))(a, b), F.vmap(lambda x, y: x * y, in_dims=(0, None), out_dims=1)(a, t.ones(3))
    yield F.vmap(lambda x: (x.sum(), x * 2), out_dims=(0, 1))(a), F.vmap(lambda d: d["k"] + 1)({"k": a})
    yield F.vmap(F.vmap(lambda x: x * x))(a), F.vmap(F.grad(lambda x: (x**2).sum()))(a)
    yield (
        F.vmap(lambda x, y: t.cat([x, y]))(a, a),
        F.vmap(lambda x: x[t.tensor([2, 0])])(a),
        F.vmap(lambda x: x.view(3, 1) @ x.view(1, 3))(a),
    )
    w = t.tensor([1.0, 2.0, 3.0], requires_grad=True)
    yield t.autograd.grad(F.vmap(lambda x: (x * w).sum())(a).sum(), w)
    for bad in (
        lambda: F.vmap(t.dot)(a, t.ones(3, 3)),
        lambda: F.vmap(t.dot, in_dims=2)(a, a),
        lambda: F.vmap(lambda x: 3)(a),
        lambda: F.vmap(t.dot, in_dims=(0,))(a, a),
    ):
        try:
            bad()
        except Exception as e:
            yield type(e).__name__
    try:
        F.vmap(lambda x: x + t.rand(3))(a)
    except RuntimeError as e:
        yield str(e)[:60]
    r = F.vmap(lambda x: t.rand(3), randomness="same")(a)
    yield (
        bool((r[0] == r[1]).all()),
        bool(
            (F.vmap(lambda x: t.rand(3), randomness="different")(a)[0] == F.vmap(lambda x: t.rand(3), randomness="different")(a)[1]).all()
        ),
    )


@program
def modules(t: Any) -> Iterator[Any]:
    m = t.nn.Sequential(t.nn.Linear(2, 2), t.nn.ReLU(), t.nn.Linear(2, 1))
    p = {k: t.full_like(v.detach(), 0.5) for k, v in m.named_parameters()}
    x = t.tensor([[1.0, 2.0]])
    yield t.func.functional_call(m, p, (x,)), t.func.grad(lambda p: t.func.functional_call(m, p, (x,)).sum())(p)
    per = t.func.vmap(t.func.grad(lambda p, x: t.func.functional_call(m, p, (x[None],)).sum()), in_dims=(None, 0))(
        p, t.arange(6.0).view(3, 2)
    )
    yield per["0.weight"]
    models = [t.nn.Linear(2, 2) for _ in range(3)]
    params, buffers = t.func.stack_module_state(models)
    yield sorted((k, tuple(v.shape)) for k, v in params.items()), buffers
    out = t.func.vmap(lambda p, x: t.func.functional_call(models[0], p, (x,)), in_dims=(0, None))(params, x)
    yield bool(t.allclose(out, t.stack([mm(x) for mm in models])))


@program
def functional(t: Any) -> Iterator[Any]:
    A = t.autograd.functional
    x, y = t.tensor([1.0, 2.0]), t.tensor([3.0, 4.0])

    def f(x):
        return x.exp()

    yield A.jacobian(f, x), A.jacobian(lambda x, y: x * y, (x, y)), A.jacobian(lambda x: (x * 2, x.sum()), x)
    yield (
        A.jacobian(lambda x, y: (x * y, x + y), (x, y)),
        A.jacobian(f, x, vectorize=True),
        A.jacobian(f, x, strategy="forward-mode", vectorize=True),
    )
    yield A.hessian(lambda x: (x**3).sum(), x), A.hessian(lambda x, y: (x * x * y).sum(), (x, y))
    yield A.vjp(lambda x: x**2, x, y), A.vjp(lambda x, y: (x * y).sum(), (x, y))
    yield A.jvp(lambda x: x**2, x, y), A.jvp(lambda x, y: x * y, (x, y), (x, y))
    yield A.vhp(lambda x: (x**3).sum(), x, y), A.hvp(lambda x: (x**3).sum(), x, y), A.hvp(lambda x, y: (x * y * y).sum(), (x, y), (y, x))
    z = x.clone().requires_grad_()
    j = A.jacobian(lambda x: x**3, z, create_graph=True)
    yield j.requires_grad, t.autograd.grad(j.sum(), z)
    yield A.jacobian(f, z).requires_grad, A.jacobian(lambda x: t.ones(2), x)
    for bad in (
        lambda: A.hessian(lambda x: x, x), lambda: A.vjp(f, x), lambda: A.jvp(f, x), lambda: A.vjp(f, x, t.ones(3)), lambda: A.jacobian(lambda x: 3, x),
        lambda: A.jacobian(f, [1.0]), lambda: A.jacobian(lambda x: t.ones(2), x, strict=True), lambda: A.vjp(lambda x: x.sum(), x, t.ones(3)),
    ):  # fmt: skip
        try:
            yield show(bad())
        except Exception as e:
            yield f"{type(e).__name__}: {str(e)[:70]}"


def render(t: Any, p: Callable[[Any], Iterator[Any]]) -> str:
    """A program's name and what it yields, one line each."""
    lines = [f"== {p.__name__}"]
    try:
        for v in p(t):
            lines.append(repr(show(v)))
    except Exception as e:
        lines.append(f"STOPPED {type(e).__name__}: {str(e).splitlines()[0] if str(e) else ''}")
    return "\n".join(lines)


if __name__ == "__main__":
    library = importlib.import_module(sys.argv[1])
    for each in PROGRAMS:
        print(render(library, each), flush=True)
