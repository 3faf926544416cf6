"""Mathematical functions as expressions of primitives (arithmetic, fma, rounding, bit casts, shifts, selections): one file a group.

`expand` replaces each function in a graph by its expansion for the target, until only primitives are left. The error bounds are those of
docs/accuracy.md. A function that is hard in float32 is evaluated in float64 and rounded once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from importlib import import_module

from ...base.target import Target
from ..scalar.node import Scalar, order
from ..scalar.simplify import simplify

Expansion = Callable[..., Scalar]

# Which file owns a function; the file's function of the same name (reserved words end in _) is `name(node, target) -> Scalar`.
GROUPS = {
    "exponential": "exp exp2 expm1",
    "power": "pow",
    "logarithm": "log log2 log10 log1p",
    "trigonometric": "sin cos tan",
    "arc": "asin acos atan atan2",
    "hyperbolic": "sinh cosh tanh asinh acosh atanh sigmoid log_sigmoid softplus",
    "error": "erf erfc erfinv ndtr normal_pdf gelu",
    "gamma": "lgamma digamma trigamma",
    "bessel": "i0 i0e i1 i1e",
    "rounding": "fmod remainder floor_divide trunc_divide nextafter hypot rsqrt",
    "integer": "integer_pow gcd integer_remainder integer_floor_divide",
}
_OWNER = {name: group for group, names in GROUPS.items() for name in names.split()}


def expansion(n: Scalar) -> Expansion | None:
    """The function that expands a node, None for a primitive."""
    name = n.op
    if n.dtype.is_integral:
        if name in ("fmod", "trunc_divide"):
            return None
        name = f"integer_{name}" if name in ("pow", "remainder", "floor_divide") else name
    group = _OWNER.get(name)
    return None if group is None else getattr(import_module(f"{__name__}.{group}"), name)


def expand(outputs: Sequence[Scalar], target: Target) -> list[Scalar]:
    """The outputs in primitives only."""
    new: dict[Scalar, Scalar] = {}

    def visit(roots: Sequence[Scalar]) -> None:
        for n in order(roots):
            if n in new:
                continue
            args = tuple(new[a] for a in n.args)
            same = Scalar(n.op, args, n.dtype, n.attr) if args else n
            rule = expansion(n)
            if rule is None:
                new[n] = same
                continue
            for a in args:
                new.setdefault(a, a)  # what is expanded already stays
            body = simplify([rule(same, target)])[0]
            visit([body])
            new[n] = new[body]

    visit(outputs)
    return [new[o] for o in outputs]


@cache
def two_over_pi_words() -> tuple[tuple[int, ...], int]:
    """2/pi as signed 64-bit words after one word of zeros, and how many bits they are."""
    from .trigonometric import TWO_OVER_PI_BITS, two_over_pi

    digits, total = two_over_pi(), TWO_OVER_PI_BITS + 64
    words = [(digits >> (total - 64 * (i + 1))) & ((1 << 64) - 1) for i in range(total // 64)]
    return tuple(w - (1 << 64) if w >> 63 else w for w in words), total
