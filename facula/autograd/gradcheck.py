"""Gradients against finite differences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..base.errors import refuse, warn
from ..core.modes import enable_grad, no_grad
from ..core.tensor import Tensor
from ..spec.registry import ops
from .function import Function
from .gradients import grad


class GradcheckError(RuntimeError):
    """Analytical and numerical gradients differ."""


def _differentiable(t: Any) -> bool:
    return isinstance(t, Tensor) and (t.dtype.is_floating_point or t.dtype.is_complex)


def _outputs(fn: Callable[..., Any], inputs: Sequence[Any]) -> list[Any]:
    return [o for o in _list(fn(*inputs)) if _differentiable(o)]


def _list(x: Any) -> list[Any]:
    return list(x) if isinstance(x, (tuple, list)) else [x]


def _array(t: Any) -> Any:
    return t.detach().resolve_conj().numpy().reshape(-1).copy()


def _checked_inputs(args: Sequence[Any]) -> list[int]:
    """Places of the inputs that require a gradient."""
    checked = [i for i, a in enumerate(args) if isinstance(a, Tensor) and a.requires_grad]
    for i in checked:
        if args[i].dtype.name not in ("float64", "complex128"):
            warn(
                f"Input #{i} requires gradient and is not a double precision floating point or complex. This check will likely fail if all "
                "the inputs are not of double precision floating point or complex. ",
                UserWarning,
            )
        if any(stride == 0 and size > 1 for stride, size in zip(args[i].stride(), args[i].shape)):
            raise refuse(
                RuntimeError,
                f"The {i}th input has a dimension with stride 0. gradcheck only supports inputs that are non-overlapping to be able to "
                "compute the numerical gradients correctly. You should call .contiguous on the input before passing it to gradcheck.",
            )
    if not checked:
        raise refuse(
            ValueError, "gradcheck expects at least one input tensor to require gradient, but none of them have requires_grad=True."
        )
    return checked


def _difference(fn: Callable[..., Any], inputs: Sequence[Any], which: int, step: Callable[[Any, int], None], eps: float) -> list[Any]:
    """Central differences of all outputs, flat, when `step(flat input, sign)` moves one input by eps."""
    sides = []
    for sign in (1, -1):
        moved = inputs[which].detach().clone().contiguous()
        with no_grad():
            step(moved.view(-1), sign)
            args = list(inputs)
            args[which] = moved
            sides.append([_array(o) for o in _outputs(fn, args)])
    return [(a - b) / (2 * eps) for a, b in zip(*sides)]


def _numerical(fn: Callable[..., Any], inputs: Sequence[Any], which: int, eps: float) -> list[Any]:
    """One matrix (input elements, output elements) per output; a complex input moves in both directions, row after row."""
    import numpy as np

    x = inputs[which]
    rows = []
    for i in range(x._layout.numel):
        for direction in (1.0, 1j) if x.dtype.is_complex else (1.0,):

            def step(flat: Any, sign: int, i: int = i, direction: complex = direction) -> None:
                flat[i] = flat[i] + sign * eps * direction

            rows.append(_difference(fn, inputs, which, step, eps))
    return [np.stack([r[k] for r in rows]) for k in range(len(rows[0]))] if rows else []


def _pulled_back(out: Any, x: Any, seed: Any, dtypes: bool) -> Any:
    (g,) = grad([out], [x], [seed], retain_graph=True, allow_unused=True)
    if g is None:
        g = ops.zeros_like(x)
    if dtypes and g.dtype is not x.dtype:
        raise GradcheckError("Gradient has dtype mismatch")
    return _array(g)


def _analytical(out: Any, x: Any, dtypes: bool) -> Any:
    """The same matrix from backward: one pass per output element (two for complex outputs)."""
    import numpy as np

    columns = []
    for j in range(out._layout.numel):
        for direction in (1.0, 1j) if out.dtype.is_complex else (1.0,):
            seed = ops.zeros_like(out).contiguous()
            with no_grad():
                seed.view(-1)[j] = direction
            columns.append(_pulled_back(out, x, seed, dtypes))
    return np.stack(columns, 1) if columns else np.zeros((x._layout.numel, 0))


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


class _Comparison:
    """One run of `gradcheck`: the function, its inputs and outputs, and how close is close enough."""

    def __init__(self, fn: Callable[..., Any], args: list[Any], eps: float, atol: float, rtol: float, nondet: float, dtypes: bool) -> None:
        self.fn, self.args, self.eps, self.atol, self.rtol, self.nondet, self.dtypes = fn, args, eps, atol, rtol, nondet, dtypes
        self.checked = _checked_inputs(args)
        self.outs = _outputs(fn, args)

    def alike(self, k: int, i: int, numerical: Any, twice: tuple[Any, Any], atol: float) -> None:
        """Backward, run twice, agrees with itself and with the differences."""
        import numpy as np

        first, second = twice
        if first.shape != numerical.shape or not np.allclose(first, numerical, self.rtol, atol, equal_nan=True):
            raise GradcheckError(
                f"Jacobian mismatch for output {k} with respect to input {i},\nnumerical:{numerical}\nanalytical:{first}\n"
            )
        if not np.allclose(first, second, 0.0, self.nondet, equal_nan=True):
            raise GradcheckError(
                "Backward is not reentrant, i.e., running backward with same input and grad_output multiple times gives different values, "
                f"although analytical gradient matches numerical gradient.The tolerance for nondeterminism was {self.nondet}."
            )

    def every_element(self) -> None:
        """The whole matrix of each pair of input and output."""
        import numpy as np

        for i in self.checked:
            x = self.args[i]
            if not x._layout.numel:
                continue  # nothing to move
            numerical = _numerical(self.fn, self.args, i, self.eps)
            for k, out in enumerate(self.outs):
                if out.requires_grad:
                    first = _analytical(out, x, self.dtypes)
                    second = first if self.nondet == np.inf else _analytical(out, x, self.dtypes)
                    self.alike(k, i, _as_gradients(numerical[k], x, out), (first, second), self.atol)
                elif not any(o.requires_grad for o in self.outs) and numerical[k].any():
                    raise GradcheckError("Numerical gradient for function expected to be zero")

    def one_direction(self) -> None:
        """v^T J u for one random direction u of each input and cotangent v of each output: a few calls, however large they are."""
        import numpy as np

        rng = np.random.default_rng(0)

        def direction(t: Any) -> Any:
            v = rng.random(t._layout.numel) + (1j * rng.random(t._layout.numel) if t.dtype.is_complex else 0)
            return v / np.linalg.norm(v) if v.size else v

        cotangents = [direction(o) for o in self.outs]
        for i in self.checked:
            x, u = self.args[i], direction(self.args[i])
            along = ops.tensor(u, dtype=x.dtype)

            def step(flat: Any, sign: int, along: Any = along) -> None:
                flat.add_(along, alpha=sign * self.eps)

            for k, (out, v, moved) in enumerate(zip(self.outs, cotangents, _difference(self.fn, self.args, i, step, self.eps))):
                if not out.requires_grad:
                    continue
                seed = ops.tensor(v, dtype=out.dtype).view(out.shape)
                twice = [np.vdot(_pulled_back(out, x, seed, self.dtypes), u).real for _ in range(2)]
                weight = (abs(u.real) + abs(u.imag)).sum() * (abs(v.real) + abs(v.imag)).sum()  # each element may be off by atol
                self.alike(k, i, np.vdot(v, moved).real, (twice[0], twice[1]), self.atol * weight)

    def zeros_give_zeros(self, masked: bool) -> None:
        """Backward is linear: nothing comes of a zero cotangent."""
        outs, leaves = [o for o in self.outs if o.requires_grad], [self.args[i] for i in self.checked]
        if not outs:
            return
        for g, x in zip(grad(outs, leaves, [ops.zeros_like(o) for o in outs], retain_graph=True, allow_unused=True), leaves):
            if g is None:
                continue
            if not (ops.allclose(g, ops.zeros_like(g)) if masked else (g == 0).all()):
                raise GradcheckError("backward not multiplied by grad_output")
            if g.dtype is not x.dtype:
                raise GradcheckError("grad is incorrect type")

    def undefined_gives_zeros(self) -> None:
        """A cotangent that never arrives counts as zero: all of them missing, then one at a time."""
        count = len([o for o in self.outs if o.requires_grad])
        for missing in [range(count), *([k] for k in range(count) if count > 1)]:
            outs = [o for o in _outputs(self.fn, self.args) if o.requires_grad]
            outs = [_Undefined.apply(o) if k in missing else o for k, o in enumerate(outs)]
            if not outs:
                return
            try:
                got = grad(outs, [self.args[i] for i in self.checked], [ops.zeros_like(o) for o in outs], allow_unused=True)
            except RuntimeError as error:
                raise GradcheckError("Expected backward function to handle undefined output grads.") from error
            if any(g is not None and not (g == 0).all() for g in got):
                raise GradcheckError("Expected all input grads to be undefined or zero when all output grads are undefined or zero.")

    def batches_agree(self) -> None:
        """`grad(..., is_grads_batched=True)` against one cotangent after the other."""
        leaves = [self.args[i] for i in self.checked]
        for k, out in enumerate(self.outs):
            if not out.requires_grad:
                continue
            seeds = ops.stack([ops.randn_like(out), ops.randn_like(out)])
            rows = [grad([out], leaves, [seeds[j]], retain_graph=True, allow_unused=True, materialize_grads=True) for j in range(2)]
            try:
                got = grad([out], leaves, [seeds], True, allow_unused=True, is_grads_batched=True, materialize_grads=True)
            except RuntimeError as error:
                raise GradcheckError(f"While computing batched gradients, got: {error}") from error
            for i, g, one in zip(self.checked, got, zip(*rows)):
                if not ops.allclose(g, ops.stack(list(one))):
                    raise GradcheckError(
                        f"For output {k} and input {i}:\n\ngradcheck or gradgradcheck failed while testing batched gradient computation.\n\n"
                        f"Got:\n{g}\n\nExpected:\n{ops.stack(list(one))}"
                    )


class _Undefined(Function):
    """The identity, whose gradient gets lost."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        return None


def _no_forward(*wanted: tuple[bool, str]) -> None:
    for given, name in wanted:
        if given:
            raise refuse(
                NotImplementedError, f"gradcheck: {name}=True needs forward-mode differentiation, which is missing", hint=f"{name}=False"
            )


def gradcheck(
    func: Callable[..., Any], inputs: Any, *, eps: float = 1e-6, atol: float = 1e-5, rtol: float = 1e-3, raise_exception: bool = True, nondet_tol: float = 0.0,
    check_undefined_grad: bool = True, check_grad_dtypes: bool = False, check_batched_grad: bool = False, check_batched_forward_grad: bool = False,
    check_forward_ad: bool = False, check_backward_ad: bool = True, fast_mode: bool = False, masked: bool | None = None,
) -> bool:  # fmt: skip
    """Whether backward of `func` agrees with central differences in float64 (or complex128) inputs that require a gradient.

    `fast_mode` compares along one random direction instead of every element. `masked` allows rounding where a zero cotangent must give zero.
    """
    for wanted, needs, sentence in (
        (True, check_forward_ad or check_backward_ad, "Expected at least one of check_forward_ad or check_backward_ad to be True"),
        (check_batched_grad, check_backward_ad, "Setting check_batched_grad=True requires check_backward_ad to be True"),
        (check_batched_forward_grad, check_forward_ad, "Setting check_batched_forward_grad=True requires check_forward_ad to be True"),
    ):
        if wanted and not needs:
            raise refuse(AssertionError, sentence)
    _no_forward((check_forward_ad, "check_forward_ad"), (check_batched_forward_grad, "check_batched_forward_grad"))
    try:
        run = _Comparison(func, _list(inputs), eps, atol, rtol, nondet_tol, check_grad_dtypes)
        run.one_direction() if fast_mode else run.every_element()
        if check_batched_grad:
            run.batches_agree()
        run.zeros_give_zeros(bool(masked))
        if check_undefined_grad:
            run.undefined_gives_zeros()
    except GradcheckError:
        if raise_exception:
            raise
        return False
    return True


def gradgradcheck(
    func: Callable[..., Any], inputs: Any, grad_outputs: Any = None, *, eps: float = 1e-6, atol: float = 1e-5, rtol: float = 1e-3,
    gen_non_contig_grad_outputs: bool = False, raise_exception: bool = True, nondet_tol: float = 0.0, check_undefined_grad: bool = True,
    check_grad_dtypes: bool = False, check_batched_grad: bool = False, check_fwd_over_rev: bool = False, check_rev_over_rev: bool = True,
    fast_mode: bool = False, masked: bool = False,
) -> bool:  # fmt: skip
    """The same for the gradient itself, as a function of inputs and cotangents."""
    for wanted, sentence in (
        (not check_fwd_over_rev, "Expected at least one of check_fwd_over_rev or check_rev_over_rev to be True"),
        (check_undefined_grad, "Setting check_undefined_grad=True requires check_rev_over_rev to be True"),
        (check_batched_grad, "Setting check_batched_grad=True requires check_rev_over_rev to be True"),
    ):
        if wanted and not check_rev_over_rev:
            raise refuse(AssertionError, sentence)
    _no_forward((check_fwd_over_rev, "check_fwd_over_rev"))
    args = _list(inputs)
    if grad_outputs is None:
        seeds = [_cotangent(o, gen_non_contig_grad_outputs) for o in _outputs(func, args) if o.requires_grad]
    else:
        seeds = _list(grad_outputs)
    wanted_inputs = [i for i, a in enumerate(args) if isinstance(a, Tensor) and a.requires_grad]
    moving = {*wanted_inputs, *(len(args) + k for k, s in enumerate(seeds) if s is not None)}

    def first(*both: Any) -> tuple[Any, ...]:
        both = tuple(b if k not in moving or b.requires_grad or not _differentiable(b) else b.requires_grad_() for k, b in enumerate(both))
        with enable_grad():
            outs = [o for o in _outputs(func, both[: len(args)]) if o.requires_grad]
            leaves = [both[i] for i in wanted_inputs]
            got = grad(outs, leaves, list(both[len(args) :]), create_graph=True, allow_unused=True)
        return tuple(g for g in got if g is not None and g.requires_grad)

    return gradcheck(
        first, [*args, *seeds], eps=eps, atol=atol, rtol=rtol, raise_exception=raise_exception, nondet_tol=nondet_tol,
        check_undefined_grad=check_undefined_grad, check_grad_dtypes=check_grad_dtypes, check_batched_grad=check_batched_grad, fast_mode=fast_mode,
        masked=masked,
    )  # fmt: skip


def _cotangent(out: Any, gaps: bool) -> Any:
    """A random one for `out`; with `gaps` every second element of a larger tensor."""
    drawn = ops.randn_like(ops.stack([out, out], -1).detach())[..., 0] if gaps else ops.randn_like(out)
    return drawn.detach().requires_grad_()
