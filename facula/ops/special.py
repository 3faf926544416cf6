"""Special functions: error functions, Gamma and its kin, Bessel functions, orthogonal polynomials.

The frequent ones are expressions of the scalar language; the rare ones run in SciPy, in float64, rounded once to the result's type.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

from ..base import dtypes as d
from ..base.errors import refuse
from ..base.settings import SETTINGS
from ..core.expression import broadcast, result_strides
from ..core.layout import Layout, layout
from ..core.tensor import Tensor
from ..kernel import scalar as s
from ..kernel.scalar import Scalar, where
from ..spec.block import Composite, Library, Pointwise
from ..spec.promotion import of_number, result_type, scalar_type_name
from ..spec.registry import ops
from ..spec.samples import each, grid, integer, normal, positive, refused, sample, uniform, values
from .exponential import unary

ANY = [normal(3, 5), normal(), normal(0)]
ABOVE = [positive(3, 5), positive(), positive(0)]
FLOAT = "promote float no_complex kernel="

Erf = unary(
    "erf",
    s.erf,
    "2 / sqrt(pi) times the integral of exp(-t**2) from 0 to input.",
    ANY,
    FLOAT + "erf_vml_cpu",
    "special_erf",
    family=__name__,
)
Erfc = unary(
    "erfc", s.erfc, "1 - erf(input), with full relative accuracy in the tail.", ANY, FLOAT + "erfc_vml_cpu", "special_erfc", family=__name__
)
Erfinv = unary(
    "erfinv",
    s.erfinv,
    "The inverse of erf.",
    [uniform(3, 5, low=-0.9, high=0.9)],
    FLOAT + "erfinv_vml_cpu",
    "special_erfinv",
    family=__name__,
)
I0 = unary("i0", s.i0, "Modified Bessel function of the first kind, order 0.", ANY, FLOAT + "i0_vml_cpu", "special_i0", family=__name__)
SpecialI0e = unary("special_i0e", s.i0e, "exp(-|input|) * i0(input).", ANY, FLOAT + "i0e_cpu", paths="", in_place=False, family=__name__)
SpecialI1 = unary(
    "special_i1",
    s.i1,
    "Modified Bessel function of the first kind, order 1.",
    ANY,
    FLOAT + "i1_cpu",
    "special_modified_bessel_i1",
    "",
    False,
    family=__name__,
)
SpecialI1e = unary("special_i1e", s.i1e, "exp(-|input|) * i1(input).", ANY, FLOAT + "i1e_cpu", paths="", in_place=False, family=__name__)
SpecialNdtr = unary(
    "special_ndtr", s.ndtr, "P(X <= input) for X ~ N(0, 1).", ANY, FLOAT + "ndtr_cpu", paths="", in_place=False, family=__name__
)


class Lgamma(Pointwise):
    """log |Gamma(input)|."""

    schema = "lgamma(Tensor input) -> Tensor"
    aliases = "special_gammaln"
    dims = "*s -> *s"
    promotion = FLOAT + "lgamma_vml_cpu"

    @staticmethod
    def scalar(x: Scalar) -> Scalar:
        return s.lgamma(x)

    @staticmethod
    def gradient(g: Tensor, input: Tensor) -> Tensor:
        return g * ops.digamma(input)

    samples = grid(input=ABOVE)


class Digamma(Pointwise):
    """The derivative of log Gamma."""

    schema = "digamma(Tensor input) -> Tensor"
    aliases = "special_digamma special_psi"
    dims = "*s -> *s"
    promotion = FLOAT + "digamma"

    @staticmethod
    def scalar(x: Scalar) -> Scalar:
        return s.digamma(x)

    @staticmethod
    def gradient(g: Tensor, input: Tensor) -> Tensor:
        return g * ops.polygamma(1, input)

    samples = grid(input=ABOVE)


class SpecialEntr(Pointwise):
    """-input * log(input); 0 at 0, -inf below."""

    schema = "special_entr(Tensor input) -> Tensor"
    paths = ""
    in_place = False
    dims = "*s -> *s"
    promotion = FLOAT + "entr"

    @staticmethod
    def scalar(x: Scalar) -> Scalar:
        return where(s.isnan(x), x, where(x > 0, -x * s.log(x), where(x == 0, s.const(0, x.dtype), -float("inf"))))

    @staticmethod
    def gradient(g: Tensor, input: Tensor) -> Tensor:
        return g * (-ops.log(input) - 1)

    samples = grid(input=ABOVE)


# -- SciPy's
def scipy_special(name: str) -> Callable[..., Any]:
    """A function of scipy.special, imported when it is first used."""

    def call(*args: Any) -> Any:
        from scipy import special

        return getattr(special, name)(*args)

    return call


def in_double(name: str, function: Callable[..., Any], *args: Any) -> Any:
    """function(*args) in float64 by broadcasting, in the type to which the arguments promote (integers become floating)."""
    import numpy as np

    made = _result(name, *args)
    with np.errstate(all="ignore"):
        out = function(*(np.asarray(a, np.float64) for a in args))
        laid = np.ndarray(made.shape, made.dtype.numpy, strides=[n * made.dtype.itemsize for n in made.strides])
        laid[...] = out
        return laid


def _result(name: str, *args: Any) -> Layout:
    import numpy as np

    (made,) = in_double_shapes(name, *(_layout_of(a) if isinstance(a, np.ndarray) else a for a in args))
    return made


def _layout_of(a: Any) -> Layout:
    return layout(a.shape, d.DTYPES[a.dtype.name], tuple(s // a.itemsize for s in a.strides))


def _range(name: str, *args: Any) -> str:
    """The type in which PyTorch computes: its overflows are followed, its roundings are not."""
    return "float64" if _result(name, *args).dtype is d.float64 else "float32"


def in_double_shapes(name: str, *args: Any) -> tuple[Layout, ...]:
    """The layout of `in_double`'s result, from layouts and numbers."""
    known = [a for a in args if isinstance(a, Layout)]
    for a in args:
        if a.dtype.is_complex if isinstance(a, Layout) else isinstance(a, complex):
            kind = scalar_type_name(a.dtype) if isinstance(a, Layout) else "ComplexFloat"
            raise refuse(
                NotImplementedError, f"\"{name}_cpu\" not implemented for '{kind}'", received="complex numbers", expected="real ones"
            )
    numbers = [of_number(a) for a in args if not isinstance(a, Layout)]
    kind = result_type([a.dtype for a in known if a.ndim], [a.dtype for a in known if not a.ndim], numbers)
    shape = broadcast([a.shape for a in known])
    return (layout(shape, kind if kind.is_floating_point else SETTINGS.default_dtype, result_strides(shape, known)),)


def _library(
    name: str, function: Callable[..., Any], meaning: str, gradient: Any = None, samples: Any = None, operand: str = "input"
) -> type:
    """A function of one tensor, which PyTorch calls `operand`."""
    title = name.removeprefix("special_")

    def library(input: Any) -> Any:
        return in_double(title, function, input)

    body: dict[str, Any] = {
        "__doc__": meaning, "__module__": __name__, "schema": f"{name}(Tensor {operand}) -> Tensor", "dims": "*s -> *s", "paths": "", "out_dtype": "cast",
        "library": staticmethod(library), "shapes": staticmethod(functools.partial(in_double_shapes, title)), "gradient": gradient and staticmethod(gradient), "samples": grid(**{operand: samples or ANY}),
    }  # fmt: skip
    return type("".join(w.title() for w in name.split("_")), (Library,), body)


def _of_two(
    name: str,
    first: str,
    second: str,
    function: Callable[..., Any],
    meaning: str,
    gradient: Any = None,
    samples: Any = None,
    number: bool = True,
) -> type:
    """function(range, a, b) of two arguments, either of which may be a number (if `number`)."""
    title = name.removeprefix("special_")

    def library(a: Any, b: Any) -> Any:
        return in_double(title, functools.partial(function, _range(title, a, b)), a, b)

    kind = "Tensor|Scalar" if number else "Tensor"
    body: dict[str, Any] = {
        "__doc__": meaning, "__module__": __name__, "schema": f"{name}({kind} {first}, {kind} {second}) -> Tensor", "dims": "*s, *s -> *s", "overloaded": number, "out_dtype": "cast",
        "paths": "" if number else "torch Tensor", "in_place": not number, "library": staticmethod(library), "shapes": staticmethod(functools.partial(in_double_shapes, title)), "gradient": gradient and staticmethod(gradient), "samples": samples,
    }  # fmt: skip
    return type("".join(w.title() for w in name.split("_")), (Library,), body)


def _airy(x: Any) -> Any:
    import numpy as np

    return np.where(
        (x > 110) & (x < np.inf), 0.0, scipy_special("airy")(x)[0]
    )  # it underflows from 104 on, where SciPy gives NaN for the largest arguments


def _erfcx_gradient(g: Tensor, input: Tensor, out: Tensor) -> Tensor:
    return g * (2 * input * out - 2 / math.sqrt(math.pi))


def _ndtri_gradient(g: Tensor, out: Tensor) -> Tensor:
    return g * (ops.exp(out * out / 2) * math.sqrt(2 * math.pi))


def _log_ndtr_gradient(g: Tensor, input: Tensor) -> Tensor:
    return g / ops.special_erfcx(input * -math.sqrt(0.5)) * math.sqrt(2 / math.pi)


_library("special_erfcx", scipy_special("erfcx"), "exp(input**2) * erfc(input).", _erfcx_gradient)
_library("special_ndtri", scipy_special("ndtri"), "The inverse of ndtr.", _ndtri_gradient, [uniform(3, 5, low=0.05, high=0.95)])
_library("special_log_ndtr", scipy_special("log_ndtr"), "log of ndtr, without underflow.", _log_ndtr_gradient)
_library("special_airy_ai", _airy, "Airy function Ai.", operand="x")
_library("special_bessel_j0", scipy_special("j0"), "Bessel function of the first kind, order 0.")
_library("special_bessel_j1", scipy_special("j1"), "Bessel function of the first kind, order 1.")
_library("special_bessel_y0", scipy_special("y0"), "Bessel function of the second kind, order 0.", samples=ABOVE)
_library("special_bessel_y1", scipy_special("y1"), "Bessel function of the second kind, order 1.", samples=ABOVE)
_library("special_modified_bessel_i0", scipy_special("i0"), "Modified Bessel function of the first kind, order 0.")
_library("special_modified_bessel_k0", scipy_special("k0"), "Modified Bessel function of the second kind, order 0.", samples=ABOVE)
_library("special_modified_bessel_k1", scipy_special("k1"), "Modified Bessel function of the second kind, order 1.", samples=ABOVE)
_library("special_scaled_modified_bessel_k0", scipy_special("k0e"), "exp(x) * k0(x).", samples=ABOVE, operand="x")
_library("special_scaled_modified_bessel_k1", scipy_special("k1e"), "exp(x) * k1(x).", samples=ABOVE, operand="x")


def _spherical_j0(x: Any) -> Any:
    import numpy as np

    return np.where(
        np.isinf(x),
        0.0,
        np.where(
            np.abs(x) < 0.5, 1 - x * x / 6 * (1 - x * x / 20 * (1 - x * x / 42 * (1 - x * x / 72 * (1 - x * x / 110)))), np.sin(x) / x
        ),
    )


_library("special_spherical_bessel_j0", _spherical_j0, "Spherical Bessel function of the first kind, order 0: sin(x) / x.", operand="x")


# -- two arguments
def _zeta_gradient(g: Tensor, input: Any, other: Any, needs: Any) -> Any:
    if needs[0]:
        raise refuse(NotImplementedError, "the derivative for 'self' is not implemented.", received="zeta with an order that requires grad")
    return None, g * -input * ops.special_zeta(input + 1, other)


def _igamma_gradient(sign: int, name: str) -> Callable[..., Any]:
    def gradient(g: Tensor, input: Tensor, other: Tensor, needs: Any) -> Any:
        if needs[0]:
            raise refuse(NotImplementedError, f"the derivative for '{name}: input' is not implemented.")
        return None, sign * g * ops.exp((input - 1) * ops.log(other) - other - ops.lgamma(input))

    return gradient


def _where(condition: Any, a: Any, b: Any) -> Any:
    import numpy as np

    return np.where(condition, a, b)


def _gamma_part(name: str, none: float) -> Callable[..., Any]:
    """SciPy's, with PyTorch's values at the borders, NaN beside them included; `none` is the share of an empty interval."""

    def function(kind: str, a: Any, x: Any) -> Any:
        import numpy as np

        low, high = a.astype(kind), x.astype(kind)
        exponent = low * np.log(high) - high - scipy_special("gammaln")(low)  # of x**a exp(-x) / Gamma(a): inf - inf for huge orders
        rows = [
            ((x < 0) | (a < 0), math.nan),
            (a == 0, np.where(x > 0, 1 - none, math.nan)),
            (x == 0, none),
            (np.isinf(a), np.where(np.isinf(x), math.nan, none)),
            (np.isinf(x), 1 - none),
            (np.isnan(exponent) & (abs(a - x) > 0.4 * a), math.nan),  # nearer to a, PyTorch takes another formula
        ]
        share = scipy_special(name)(a, x)
        for condition, value in reversed(rows):  # the first that holds
            share = np.where(condition, value, share)
        return share

    return function


PAIRS = grid(input=[values([0.5, 1.0, 2.0, 3.0, 4.5])], other=[positive(3, 5), positive(5)])
_of_two("special_zeta", "input", "other", lambda kind, x, q: scipy_special("zeta")(x, q), "Hurwitz zeta: the sum of (k + other) ** -input over k = 0, 1, ....", _zeta_gradient,
        [sample(uniform(3, 5, low=1.5, high=4), positive(3, 5)), sample(2.0, positive(3))])  # fmt: skip
_of_two(
    "igamma",
    "input",
    "other",
    _gamma_part("gammainc", 0.0),
    "Regularised lower incomplete Gamma function P(input, other).",
    _igamma_gradient(1, "igamma"),
    PAIRS,
    False,
)
_of_two(
    "igammac",
    "input",
    "other",
    _gamma_part("gammaincc", 1.0),
    "Regularised upper incomplete Gamma function Q(input, other).",
    _igamma_gradient(-1, "igammac"),
    PAIRS,
    False,
)


def _is_pole(x: Any) -> Any:
    import numpy as np

    return (x <= 0) & (x == np.floor(x)) & ~np.isinf(x)


def _trigamma_at_pole(kind: str, x: Any) -> Any:
    """PyTorch reflects by (pi / sin(pi x))**2, and pi is rounded: huge where the true value is infinite, but for x = 0."""
    import numpy as np

    angle = np.asarray(math.pi).astype(kind) * x.astype(kind)
    return (math.pi / np.sin(angle.astype("float64"))) ** 2


class PolygammaRest(Library):
    """Derivative number n + 1 of log Gamma."""

    schema = "polygamma_rest(Tensor input, int n) -> Tensor"
    paths = ""

    @staticmethod
    def shapes(input: Layout, n: int) -> tuple[Layout, ...]:
        return in_double_shapes("polygamma", input)

    @staticmethod
    def library(input: Any, n: int) -> Any:
        kind = _range("polygamma", input)

        def function(x: Any) -> Any:
            out = _where(x == -math.inf, math.nan, scipy_special("polygamma")(n, x))
            return _where(_is_pole(x), _trigamma_at_pole(kind, x), out) if n == 1 else out

        return in_double("polygamma", function, input)

    @staticmethod
    def gradient(g: Tensor, input: Tensor, n: int) -> Tensor:
        return g * ops.polygamma_rest(input, n + 1)

    samples = [sample(positive(3, 5), 2)]


class Polygamma(Composite):
    """The n-th derivative of digamma."""

    schema = "polygamma(int n, Tensor input) -> Tensor"
    aliases = "special_polygamma"
    paths = "torch"
    through_binder = True

    @staticmethod
    def compose(n: int, input: Tensor) -> Tensor:
        if n < 0:
            raise refuse(RuntimeError, "polygamma(n, x) does not support negative n.", received=f"{n=}")
        return ops.digamma(input) if n == 0 else ops.polygamma_rest(input, n)

    samples = [sample(0, positive(3, 5)), sample(1, positive(3, 5)), sample(2, positive(3, 5))]
    refusals = each(refused(-1, normal(3), raises=RuntimeError, match="polygamma\\(n, x\\) does not support negative n"))


def polygamma(self: Tensor, n: int) -> Tensor:
    """The n-th derivative of digamma."""
    return ops.polygamma(n, self)


def polygamma_(self: Tensor, n: int) -> Tensor:
    return self.copy_(ops.polygamma(n, self))


Tensor.polygamma, Tensor.polygamma_ = polygamma, polygamma_


class Mvlgamma(Composite):
    """log of the multivariate Gamma function of dimension p."""

    schema = "mvlgamma(Tensor input, int p) -> Tensor"
    out_dtype = "cast"
    aliases = "special_multigammaln"
    through_binder = True
    in_place = True

    @staticmethod
    def compose(input: Tensor, p: int) -> Tensor:
        if p < 1:
            raise refuse(RuntimeError, "p has to be greater than or equal to 1", received=f"{p=}")
        if p > 1 << 20:
            raise refuse(RuntimeError, f"p is too large: {p}", received=f"{p=}", expected="at most 2**20")
        if input.dtype is d.bool_:
            raise refuse(RuntimeError, "The input tensor may not be a boolean tensor.")
        x = input if input.dtype.is_floating_point else input.to(SETTINGS.default_dtype)
        x = x + 0.0  # -0 is the pole from above, like 0
        total = ops.lgamma(x)
        for j in range(1, p):
            total = total + ops.lgamma(x - j / 2)
        return total + p * (p - 1) / 4 * math.log(math.pi)

    samples = grid(input=[uniform(3, 5, low=3, high=5)], p=[1, 3])
    refusals = each(refused(normal(3), 0, raises=RuntimeError, match="p has to be greater than or equal to 1"))


# -- orthogonal polynomials: the degree is the second argument, cut to a whole number; below 0 they are 0
def _polynomial(name: str, evaluate: Callable[[str, Any, Any], Any], meaning: str) -> None:
    def function(kind: str, x: Any, n: Any) -> Any:
        import numpy as np

        # what no int64 can hold becomes a negative one in PyTorch
        whole = np.clip(np.where(np.isnan(n) | (n >= 2.0**63), -1.0, n), -1.0, 2.0**62).astype(np.int64)
        x, whole = np.broadcast_arrays(x, whole)
        return np.where(whole < 0, 0.0, evaluate(kind, np.maximum(whole, 0), x))

    samples = [*grid(x=[uniform(3, 5)], n=[integer(3, 5, high=5), integer(5, high=9)]), sample(uniform(3, 5), 3)]
    _of_two("special_" + name, "x", "n", function, meaning, None, samples)


DEGREES = 100_000  # the recurrences take a step a degree: more of them is refused


def recurrence(
    first: Callable[[Any], Any], step: Callable[[int, Any, Any, Any], Any], last: dict[str, int] | None = None
) -> Callable[[str, Any, Any], Any]:
    """p0 = 1, p1 = first(x), p(k+1) = step(k, x, pk, p(k-1)): each element stops at its own degree. NaN above degree `last`.

    The terms are float64's; where they leave the range of `kind`, what its arithmetic makes of that (inf - inf) is the answer.
    """

    def terms(n: Any, x: Any, degree: int) -> Any:
        import numpy as np

        before, now = np.ones_like(x), first(x)
        out = np.where(n == 0, before, now)
        for k in range(1, degree):
            before, now = now, step(k, x, now, before)
            out = np.where(n == k + 1, now, out)
        return out

    def evaluate(kind: str, n: Any, x: Any) -> Any:
        import numpy as np

        known = n if last is None else np.minimum(n, last[kind])
        degree = int(known.max(initial=0))
        if degree > DEGREES:
            raise refuse(RuntimeError, "the degree of the polynomial is too large", received=f"n={degree}", expected=f"at most {DEGREES}")
        out = terms(known, x, degree)
        if kind != "float64":
            rough = terms(known, x.astype(kind), degree)
            out = np.where(np.isfinite(rough), out, rough)
        return np.where(n == known, out, np.nan)

    return evaluate


def chebyshev(first: Callable[[Any], Any], shifted: bool = False) -> Callable[[str, Any, Any], Any]:
    """The four kinds differ in p1 only; the shifted ones are taken at 2x - 1."""
    plain = recurrence(first, lambda k, x, p, q: 2 * x * p - q)
    return (lambda kind, n, x: plain(kind, n, 2 * x - 1)) if shifted else plain


KINDS = {
    "t": ("first", lambda x: x),
    "u": ("second", lambda x: 2 * x),
    "v": ("third", lambda x: 2 * x - 1),
    "w": ("fourth", lambda x: 2 * x + 1),
}
for _kind, (_word, _first) in KINDS.items():
    _polynomial(f"chebyshev_polynomial_{_kind}", chebyshev(_first), f"Chebyshev polynomial of the {_word} kind, degree n.")
    _polynomial(
        f"shifted_chebyshev_polynomial_{_kind}",
        chebyshev(_first, True),
        f"Chebyshev polynomial of the {_word} kind at 2x - 1, degree n.",
    )
HERMITE = {"float32": 128, "float64": 512}  # PyTorch's last degrees
_polynomial(
    "hermite_polynomial_h",
    recurrence(lambda x: 2 * x, lambda k, x, p, q: 2 * x * p - 2 * k * q, HERMITE),
    "Physicist's Hermite polynomial of degree n.",
)
_polynomial(
    "hermite_polynomial_he",
    recurrence(lambda x: x, lambda k, x, p, q: x * p - k * q, HERMITE),
    "Probabilist's Hermite polynomial of degree n.",
)
_polynomial(
    "laguerre_polynomial_l",
    recurrence(lambda x: 1 - x, lambda k, x, p, q: ((2 * k + 1 - x) * p - k * q) / (k + 1)),
    "Laguerre polynomial of degree n.",
)
_polynomial(
    "legendre_polynomial_p",
    recurrence(lambda x: x, lambda k, x, p, q: ((2 * k + 1) * x * p - k * q) / (k + 1)),
    "Legendre polynomial of degree n.",
)
