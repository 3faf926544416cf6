"""Gradients against finite differences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..core.modes import no_grad
from ..core.tensor import Tensor
from ..spec.registry import ops
from .gradients import grad


class GradcheckError(RuntimeError):
    """Analytical and numerical gradients differ."""


def _outputs(fn: Callable[..., Any], inputs: Sequence[Any]) -> list[Any]:
    got = fn(*inputs)
    return [
        o
        for o in (got if isinstance(got, (tuple, list)) else [got])
        if isinstance(o, Tensor) and (o.dtype.is_floating_point or o.dtype.is_complex)
    ]


def _numerical(fn: Callable[..., Any], inputs: list[Any], which: int, eps: float) -> list[Any]:
    """One matrix (input elements, output elements) per output, by central differences; complex inputs in both directions."""
    import numpy as np

    x = inputs[which]
    base = x.detach().clone().contiguous()
    directions = (1.0, 1j) if x.dtype.is_complex else (1.0,)
    rows: list[list[Any]] = []
    for i in range(base._layout.numel):
        for direction in directions:
            sides = []
            for sign in (1, -1):
                moved = base.clone()
                flat = moved.view(-1)
                with no_grad():
                    flat[i] = flat[i] + sign * eps * direction
                    args = list(inputs)
                    args[which] = moved
                    sides.append([o.detach().resolve_conj().numpy().reshape(-1).copy() for o in _outputs(fn, args)])
            rows.append([(a - b) / (2 * eps) for a, b in zip(*sides)])
    outs = len(rows[0]) if rows else 0
    return [np.stack([r[k] for r in rows]) for k in range(outs)]


def _analytical(outs: list[Any], k: int, x: Any) -> Any:
    """The same matrix from backward: one pass per output element (two for complex outputs)."""
    import numpy as np

    out = outs[k]
    columns = []
    for j in range(out._layout.numel):
        for direction in (1.0, 1j) if out.dtype.is_complex else (1.0,):
            seed = ops.zeros_like(out).contiguous()
            with no_grad():
                seed.view(-1)[j] = direction
            (g,) = grad([out], [x], [seed], retain_graph=True, allow_unused=True)
            g = ops.zeros_like(x) if g is None else g
            columns.append(g.detach().resolve_conj().numpy().reshape(-1).copy())
    return np.stack(columns, 1) if columns else np.zeros((x._layout.numel, 0))


def gradcheck(
    func: Callable[..., Any], inputs: Any, *, eps: float = 1e-6, atol: float = 1e-5, rtol: float = 1e-3, raise_exception: bool = True, nondet_tol: float = 0.0,
    check_undefined_grad: bool = True, check_grad_dtypes: bool = False, check_batched_grad: bool = False, check_batched_forward_grad: bool = False,
    check_forward_ad: bool = False, check_backward_ad: bool = True, fast_mode: bool = False, masked: bool | None = None,
) -> bool:  # fmt: skip
    """Whether backward of `func` agrees with central differences in float64 (or complex128) inputs that require a gradient."""
    import numpy as np

    args = list(inputs) if isinstance(inputs, (tuple, list)) else [inputs]
    checked = [i for i, a in enumerate(args) if isinstance(a, Tensor) and a.requires_grad]
    if not checked:
        raise ValueError("gradcheck expects at least one input tensor to require gradient, but none of the them have requires_grad=True.")
    outs = _outputs(func, args)
    for i in checked:
        if not args[i]._layout.numel:
            continue  # nothing to move
        numerical = _numerical(func, args, i, eps)
        for k, out in enumerate(outs):
            if not out.requires_grad:
                continue
            a, n = _analytical(outs, k, args[i]), numerical[k]
            n = _as_gradients(n, args[i], out)
            if a.shape != n.shape or not np.allclose(a, n, rtol, atol, equal_nan=True):
                if not raise_exception:
                    return False
                raise GradcheckError(f"Jacobian mismatch for output {k} with respect to input {i},\nnumerical:{n}\nanalytical:{a}\n")
    return True


def _as_gradients(n: Any, x: Any, out: Any) -> Any:
    """Directional differences -> what backward returns for unit cotangents: Re(conj(v) dJ) in each real direction of the input."""
    import numpy as np

    size = x._layout.numel
    directions = n.reshape(size, 2, -1) if x.dtype.is_complex else n.reshape(size, 1, -1)
    columns = []
    for v in (1.0, 1j) if out.dtype.is_complex else (1.0,):
        real = (np.conj(v) * directions).real if out.dtype.is_complex else directions.real
        columns.append(real[:, 0] + 1j * real[:, 1] if x.dtype.is_complex else real[:, 0])
    stacked = np.stack(columns, -1)  # (size, outs, 1 or 2)
    return stacked.reshape(size, -1)


def gradgradcheck(
    func: Callable[..., Any], inputs: Any, grad_outputs: Any = None, *, eps: float = 1e-6, atol: float = 1e-5, rtol: float = 1e-3,
    gen_non_contig_grad_outputs: bool = False, raise_exception: bool = True, nondet_tol: float = 0.0, check_undefined_grad: bool = True,
    check_grad_dtypes: bool = False, check_batched_grad: bool = False, check_fwd_over_rev: bool = False, check_rev_over_rev: bool = True,
    fast_mode: bool = False, masked: bool = False,
) -> bool:  # fmt: skip
    """The same for the gradient itself, as a function of inputs and cotangents."""
    args = list(inputs) if isinstance(inputs, (tuple, list)) else [inputs]
    outs = [o for o in _outputs(func, args) if o.requires_grad]
    seeds = [ops.randn_like(o).requires_grad_() for o in outs] if grad_outputs is None else _list(grad_outputs)
    wanted = [i for i, a in enumerate(args) if isinstance(a, Tensor) and a.requires_grad]

    def first(*both: Any) -> tuple[Any, ...]:
        xs, gs = both[: len(args)], both[len(args) :]
        ys = [o for o in _outputs(func, xs) if o.requires_grad]
        leaves = [xs[i] for i in wanted]
        got = grad(ys, leaves, list(gs), create_graph=True, allow_unused=True)
        return tuple(g for g in got if g is not None and g.requires_grad)

    def again(*both: Any) -> tuple[Any, ...]:
        live = [
            b
            if not isinstance(b, Tensor) or b.requires_grad or not (b.dtype.is_floating_point or b.dtype.is_complex) or k not in moving
            else b.requires_grad_()
            for k, b in enumerate(both)
        ]
        from ..core.modes import enable_grad

        with enable_grad():
            return first(*live)

    moving = {*wanted, *(len(args) + k for k in range(len(seeds)))}
    return gradcheck(again, [*args, *seeds], eps=eps, atol=atol, rtol=rtol, raise_exception=raise_exception)


def _list(x: Any) -> list[Any]:
    return list(x) if isinstance(x, (tuple, list)) else [x]
