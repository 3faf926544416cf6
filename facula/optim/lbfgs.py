"""L-BFGS with an optional line search by the strong Wolfe conditions."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .. import ops
from ..base.errors import refuse
from ..core import Tensor, enable_grad, no_grad
from .optimizer import Closure, Optimizer, ParamsT, State, number, require_rate


@dataclass(slots=True)
class Trial:
    """The objective at x + t d: value f, gradient g, and slope g . d along the line."""

    t: Any
    f: float
    g: Tensor
    slope: Any


class LBFGS(Optimizer):
    """Limited-memory BFGS, Nocedal & Wright 2006, algorithm 7.5; `step` needs a closure. One parameter group only."""

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 100,
        line_search_fn: str | None = None,
    ) -> None:
        require_rate(lr)
        defaults = {
            "lr": lr,
            "max_iter": max_iter,
            "max_eval": max_iter * 5 // 4 if max_eval is None else max_eval,
            "tolerance_grad": tolerance_grad,
            "tolerance_change": tolerance_change,
            "history_size": history_size,
            "line_search_fn": line_search_fn,
        }
        super().__init__(params, defaults)
        if len(self.param_groups) != 1:
            raise refuse(
                ValueError,
                "LBFGS doesn't support per-parameter options (parameter groups)",
                received=f"{len(self.param_groups)} groups",
                expected="one group",
            )

    @property
    def _params(self) -> list[Tensor]:
        return self.param_groups[0]["params"]

    def step(self, closure: Closure | None = None) -> Any:  # type: ignore[override]
        """Up to `max_iter` iterations; returns the closure's first loss."""
        if closure is None:
            raise refuse(
                TypeError, "LBFGS.step() missing 1 required positional argument: 'closure'", hint="a function that returns the loss"
            )
        group = self.param_groups[0]
        if group["line_search_fn"] not in (None, "strong_wolfe"):
            raise refuse(RuntimeError, "only 'strong_wolfe' is supported", received=f"line_search_fn={group['line_search_fn']!r}")

        def evaluate() -> Any:
            with enable_grad():
                return closure()

        with no_grad():
            return self._iterate(evaluate, group)

    def _iterate(self, evaluate: Closure, group: dict[str, Any]) -> Any:
        # The state belongs to no parameter; it is kept under the first one, where PyTorch has it too.
        state = self.state[self._params[0]]
        state.setdefault("func_evals", 0)
        state.setdefault("n_iter", 0)
        first_loss = evaluate()
        loss, evaluations = float(first_loss), 1
        state["func_evals"] += 1
        grad = self._flat_grad()
        flat = bool(grad.abs().max() <= group["tolerance_grad"])
        n_iter = 0
        while not flat and n_iter < group["max_iter"]:
            n_iter += 1
            state["n_iter"] += 1
            direction = _direction(state, grad, group["history_size"])
            previous_loss = state["prev_loss"] = loss
            lr = number(group["lr"])
            t: Any = min(1.0, 1.0 / grad.abs().sum()) * lr if state["n_iter"] == 1 else lr
            state["t"] = t
            slope = grad.dot(direction)
            if slope > -group["tolerance_change"]:
                break
            spent = 0
            if group["line_search_fn"]:
                loss, grad, t, spent = self._search(evaluate, Trial(t, loss, grad, slope), direction, group["max_eval"] - evaluations)
                self._move(t, direction)
            else:
                self._move(t, direction)
                if n_iter != group["max_iter"]:  # with minibatches the value after the last move would be thrown away
                    loss, grad, spent = float(evaluate()), self._flat_grad(), 1
            state["t"] = t
            flat = bool(grad.abs().max() <= group["tolerance_grad"])
            evaluations += spent
            state["func_evals"] += spent
            still = bool(direction.mul(t).abs().max() <= group["tolerance_change"])
            if evaluations >= group["max_eval"] or still or abs(loss - previous_loss) < group["tolerance_change"]:
                break
        return first_loss

    def _search(self, evaluate: Closure, start: Trial, direction: Tensor, most: int) -> tuple[float, Tensor, Any, int]:
        """Line search from the present parameters, which are put back; -> loss, gradient, step length, evaluations."""
        here = [p.clone() for p in self._params]
        spent = 0

        def probe(t: Any) -> Trial:
            nonlocal spent
            self._move(t, direction)
            loss, grad = float(evaluate()), self._flat_grad()
            for p, kept in zip(self._params, here):
                p.copy_(kept)
            spent += 1
            return Trial(t, loss, grad, grad.dot(direction))

        origin = Trial(0, start.f, start.g, start.slope)
        best = strong_wolfe(probe, origin, start.t, direction.abs().max(), most)
        return best.f, best.g, best.t, spent

    def _flat_grad(self) -> Tensor:
        parts = []
        for p in self._params:
            grad = ops.zeros_like(p) if p.grad is None else p.grad.to_dense() if p.grad.is_sparse else p.grad
            parts.append((ops.view_as_real(grad) if grad.is_complex() else grad).reshape(-1))
        return ops.cat(parts, 0)

    def _move(self, t: Any, direction: Tensor) -> None:
        offset = 0
        for p in self._params:
            p = ops.view_as_real(p) if p.is_complex() else p
            p.add_(direction[offset : offset + p.numel()].view_as(p), alpha=number(t))
            offset += p.numel()


def _direction(state: State, grad: Tensor, history_size: int) -> Tensor:
    """-H grad with the two-loop recursion (Nocedal & Wright, algorithm 7.4); the memory in `state` is brought up to date."""
    if state["n_iter"] == 1:
        d = grad.neg()
        state.update(old_dirs=[], old_stps=[], ro=[], H_diag=1)
    else:
        changes, steps, ro = state["old_dirs"], state["old_stps"], state["ro"]
        y = grad.sub(state["prev_flat_grad"])
        s = state["d"].mul(number(state["t"]))
        ys = y.dot(s)
        if ys > 1e-10:  # otherwise the curvature is not positive, and the update would not be either
            if len(changes) == history_size:
                for memory in (changes, steps, ro):
                    memory.pop(0)
            changes.append(y)
            steps.append(s)
            ro.append(1.0 / ys)
            state["H_diag"] = ys / y.dot(y)
        al = state.setdefault("al", [None] * history_size)
        q = grad.neg()
        for i in range(len(changes) - 1, -1, -1):
            al[i] = steps[i].dot(q) * ro[i]
            q.add_(changes[i], alpha=-al[i].item())
        d = q.mul(state["H_diag"])
        for i in range(len(changes)):
            d.add_(steps[i], alpha=(al[i] - changes[i].dot(d) * ro[i]).item())
    state["d"] = d
    if state.get("prev_flat_grad") is None:
        state["prev_flat_grad"] = grad.clone()
    else:
        state["prev_flat_grad"].copy_(grad)
    return d


def strong_wolfe(
    probe: Callable[[Any], Trial],
    origin: Trial,
    t: Any,
    largest: Any,
    max_ls: int,
    c1: float = 1e-4,
    c2: float = 0.9,
    tolerance_change: float = 1e-9,
) -> Trial:
    """A point that decreases enough (c1) and is flat enough (c2): Nocedal & Wright, algorithms 3.5 and 3.6 with cubic steps."""
    low, high, tried, found = _bracket(probe, origin, t, max_ls, c1, c2)
    if high is None:
        return low
    if low.f > high.f:
        low, high = high, low
    stalled = False
    while not found and tried < max_ls:
        left, right = min(low.t, high.t), max(low.t, high.t)
        if (right - left) * largest < tolerance_change:
            break
        t = _cubic(low, high) if low.t <= high.t else _cubic(high, low)
        margin = 0.1 * (right - left)
        near = min(right - t, t - left) < margin
        if near and (stalled or t >= right or t <= left):
            t = right - margin if abs(t - right) < abs(t - left) else left + margin
            stalled = False
        else:
            stalled = bool(near)
        trial = probe(t)
        tried += 1
        if trial.f > origin.f + c1 * trial.t * origin.slope or trial.f >= low.f:
            high = trial
            if low.f > high.f:
                low, high = high, low
            continue
        found = bool(abs(trial.slope) <= -c2 * origin.slope)
        if not found and trial.slope * (high.t - low.t) >= 0:
            high = low
        low = trial
    return low


def _bracket(
    probe: Callable[[Any], Trial], origin: Trial, t: Any, max_ls: int, c1: float, c2: float
) -> tuple[Trial, Trial | None, int, bool]:
    """Grow t until an interval holds a Wolfe point: -> both ends, trials spent, False; or the point itself, None, trials, True."""
    previous, trial = origin, probe(t)
    tried = 0
    while tried < max_ls:
        if trial.f > origin.f + c1 * trial.t * origin.slope or (tried > 1 and trial.f >= previous.f):
            return previous, trial, tried, False
        if abs(trial.slope) <= -c2 * origin.slope:
            return trial, None, tried, True
        if trial.slope >= 0:
            return previous, trial, tried, False
        bounds = (trial.t + 0.01 * (trial.t - previous.t), trial.t * 10)
        t = _cubic(previous, trial, bounds)
        previous, trial = trial, probe(t)
        tried += 1
    return origin, trial, tried, False


def _cubic(a: Trial, b: Trial, bounds: tuple[Any, Any] | None = None) -> Any:
    """Minimiser of the cubic through both values and slopes, inside `bounds`; Nocedal & Wright, equation 3.59."""
    lowest, highest = bounds or (min(a.t, b.t), max(a.t, b.t))
    d1 = a.slope + b.slope - 3 * (a.f - b.f) / (a.t - b.t)
    square = d1**2 - a.slope * b.slope
    if square < 0:
        return (lowest + highest) / 2.0
    root = math.sqrt(square)
    if a.t <= b.t:
        best = b.t - (b.t - a.t) * ((b.slope + root - d1) / (b.slope - a.slope + 2 * root))
    else:
        best = a.t - (a.t - b.t) * ((a.slope + root - d1) / (a.slope - b.slope + 2 * root))
    return min(max(best, lowest), highest)


__all__ = ["LBFGS"]
