"""Random programs of views, in-place writes and gradients; `random_views.jsonl` is what PyTorch 2.13 gives: python random_views.py torch > random_views.jsonl."""

from __future__ import annotations

import importlib
import json
import random
import sys
from typing import Any

SEEDS = range(70)


def view(x: Any, rng: random.Random) -> Any:
    """A view of x, drawn."""
    r = rng.random()
    if x.dim() == 0:
        return x.view(1)
    if r < 0.15:
        return x[rng.randrange(x.shape[0])] if x.shape[0] else x
    if r < 0.3:
        return x.transpose(0, -1)
    if r < 0.45:
        return x[..., : max(1, x.shape[-1] // 2)]
    if r < 0.55:
        return x[..., ::2]
    if r < 0.65:
        return x.unsqueeze(0)
    if r < 0.75:
        return x.reshape(-1)
    if r < 0.85:
        return x.narrow(0, 0, max(1, x.shape[0] - 1))
    if r < 0.92:
        return x.diagonal() if x.dim() > 1 else x
    return x.detach() if rng.random() < 0.3 else x.view_as(x)


def write(t: Any, x: Any, pool: list[Any], w: Any, r: float, rng: random.Random) -> None:
    """Some in-place write to x."""
    if r < 0.5:
        x.mul_(rng.choice([2.0, 0.5, -1.0]))
    elif r < 0.58:
        x.add_(rng.random())
    elif r < 0.66:
        x.add_(rng.choice(pool).sum())
    elif r < 0.72:
        x.copy_(w.sum() * rng.random())
    elif r < 0.78:
        with t.no_grad():
            x.mul_(3)
    elif r < 0.84:
        _ = x.sin_() if rng.random() < 0.5 else x.pow_(2)
    elif r < 0.95:
        _ = x.zero_() if rng.random() < 0.5 else x.fill_(0.5)
    elif x.dim() == 1 and x.shape[0] == 4:
        x.mul_(w)
    elif x.dim() > 1 and x.shape[-1] == 4:
        x[0] = w
    else:
        x[...] = 1.25


def run(t: Any, seed: int) -> list[Any]:
    """Values, flags, versions and gradients after the program; or the beginning of its error."""
    rng = random.Random(seed)
    a, w = (t.arange(12.0).view(3, 4) / 6 - 1).requires_grad_(), (t.arange(4.0) / 4 + 0.5).requires_grad_()
    b = a * 1.5 if rng.random() < 0.8 else t.zeros(3, 4)
    pool, kept = [b], []
    try:
        for _ in range(rng.randrange(3, 9)):
            x, r = rng.choice(pool), rng.random()
            if r < 0.4:
                pool.append(view(x, rng))
            elif r > 0.97:
                kept.append((x * x).sum())
            else:
                write(t, x, pool, w, r, rng)
        state = [[p.detach().tolist() for p in pool], [p.requires_grad for p in pool], b._version]
        sum([(p * p).sum() for p in pool], sum(kept, w.sum())).backward()
    except RuntimeError as e:
        return [f"error {str(e)[:45]}"]
    return rounded([*state, [None if v.grad is None else v.grad.tolist() for v in (a, w)]])


def rounded(v: Any) -> Any:
    return [rounded(u) for u in v] if isinstance(v, list) else float(f"{v:.5g}") if isinstance(v, float) else v


if __name__ == "__main__":
    for each in SEEDS:
        print(json.dumps(run(importlib.import_module(sys.argv[1]), each)))
