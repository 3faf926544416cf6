"""The functions of the scalar language, under the names that PyTorch gives them. Each returns a node; a Python number is lifted."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ...base.dtypes import bool_, dtype, float32, int32
from ...base.narrow import is_a
from .node import Scalar, arithmetic, const, lift, pair

COMPLEX = frozenset(
    [
        "exp",
        "exp2",
        "expm1",
        "log",
        "log2",
        "log10",
        "log1p",
        "sqrt",
        "rsqrt",
        "sin",
        "cos",
        "tan",
        "asin",
        "acos",
        "atan",
        "sinh",
        "cosh",
        "tanh",
        "asinh",
        "acosh",
        "atanh",
        "sigmoid",
        "sign",
    ]
)


def _unary(name: str, meaning: str, integers: bool = False) -> Callable[[Scalar], Scalar]:
    def function(x: Scalar) -> Scalar:
        if not is_a(x, Scalar):
            raise TypeError(f"{name} wants a Scalar, not {type(x).__name__}")
        d = x.dtype
        if d.is_integral and integers:
            return x
        if not (d.is_floating_point or (d.is_complex and name in COMPLEX)) or d.itemsize < 4:
            raise TypeError(f"{name} is not defined for {d.name}: cast first")
        return Scalar(name, (x,), d)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = meaning
    return function


exp = _unary("exp", "e**x.")
exp2 = _unary("exp2", "2**x.")
expm1 = _unary("expm1", "e**x - 1, exact for small x.")
log = _unary("log", "Natural logarithm.")
log2 = _unary("log2", "Logarithm to base 2.")
log10 = _unary("log10", "Logarithm to base 10.")
log1p = _unary("log1p", "log(1 + x), exact for small x.")
sqrt = _unary("sqrt", "Square root, rounded once.")
rsqrt = _unary("rsqrt", "1 / sqrt(x).")
sin = _unary("sin", "Sine of radians.")
cos = _unary("cos", "Cosine of radians.")
tan = _unary("tan", "Tangent of radians.")
asin = _unary("asin", "Arc sine.")
acos = _unary("acos", "Arc cosine.")
atan = _unary("atan", "Arc tangent.")
sinh = _unary("sinh", "Hyperbolic sine.")
cosh = _unary("cosh", "Hyperbolic cosine.")
tanh = _unary("tanh", "Hyperbolic tangent.")
asinh = _unary("asinh", "Inverse hyperbolic sine.")
acosh = _unary("acosh", "Inverse hyperbolic cosine.")
atanh = _unary("atanh", "Inverse hyperbolic tangent.")
sigmoid = _unary("sigmoid", "1 / (1 + e**-x).")
log_sigmoid = _unary("log_sigmoid", "log(sigmoid(x)), which neither overflows nor cancels.")
softplus = _unary("softplus", "log(1 + e**x), which neither overflows nor cancels.")
erf = _unary("erf", "2 / sqrt(pi) times the integral of exp(-t**2) from 0 to x.")
erfc = _unary("erfc", "1 - erf(x), with full relative accuracy in the tail.")
erfinv = _unary("erfinv", "The inverse of erf.")
ndtr = _unary("ndtr", "P(X <= x) for X ~ N(0, 1), with full relative accuracy in both tails.")
normal_pdf = _unary("normal_pdf", "e**(-x*x/2) / sqrt(2 pi), the derivative of ndtr.")
gelu = _unary("gelu", "x ndtr(x).")
lgamma = _unary("lgamma", "log |Gamma(x)|.")
digamma = _unary("digamma", "Derivative of log Gamma.")
trigamma = _unary("trigamma", "Second derivative of log Gamma.")
i0 = _unary("i0", "Modified Bessel function of the first kind, order 0.")
i0e = _unary("i0e", "exp(-|x|) * i0(x).")
i1 = _unary("i1", "Modified Bessel function of the first kind, order 1.")
i1e = _unary("i1e", "exp(-|x|) * i1(x).")
floor = _unary("floor", "The largest integer not above x.", integers=True)
ceil = _unary("ceil", "The smallest integer not below x.", integers=True)
trunc = _unary("trunc", "x without its fraction.", integers=True)
round = _unary("round", "The nearest integer, halves to even.", integers=True)
fabs = _unary("abs", "|x| of a floating value.")


def abs(x: Scalar) -> Scalar:
    """|x|; real for complex x."""
    return x.__abs__()


def sign(x: Scalar) -> Scalar:
    """-1, 0 or 1 (0 for NaN); x / |x| for complex x."""
    if x.dtype is bool_:
        return x
    return Scalar("sign", (x,), x.dtype)


def relu(x: Scalar) -> Scalar:
    """max(x, 0); NaN passes. Its derivative reads the result."""
    if x.dtype is bool_ or x.dtype.is_complex:
        raise TypeError(f"relu is not defined for {x.dtype.name}")
    return Scalar("relu", (x,), x.dtype)


def pow(x: object, exponent: object) -> Scalar:
    """x**exponent as C's pow; integers wrap, and a negative integer exponent gives 0 unless x is 1 or -1."""
    return arithmetic("pow", x, exponent)


def atan2(y: object, x: object) -> Scalar:
    """Angle of the point (x, y), in (-pi, pi]."""
    return arithmetic("atan2", y, x)


def copysign(magnitude: object, sign_of: object) -> Scalar:
    return arithmetic("copysign", magnitude, sign_of)


def minimum(a: object, b: object) -> Scalar:
    """The smaller one; NaN if either is."""
    return arithmetic("minimum", a, b)


def maximum(a: object, b: object) -> Scalar:
    """The larger one; NaN if either is."""
    return arithmetic("maximum", a, b)


def fmin(a: object, b: object) -> Scalar:
    """The smaller one; a NaN gives way to a number."""
    return arithmetic("fmin", a, b)


def fmax(a: object, b: object) -> Scalar:
    """The larger one; a NaN gives way to a number."""
    return arithmetic("fmax", a, b)


def hypot(a: object, b: object) -> Scalar:
    """sqrt(a*a + b*b) without overflow on the way."""
    return arithmetic("hypot", a, b)


def fmod(a: object, b: object) -> Scalar:
    """Remainder with the sign of a (C's fmod and %)."""
    return arithmetic("fmod", a, b)


def remainder(a: object, b: object) -> Scalar:
    """Remainder with the sign of b (Python's %). For integers, x % 0 is 0."""
    return arithmetic("remainder", a, b)


def floor_divide(a: object, b: object) -> Scalar:
    """floor(a / b). For integers, x // 0 is 0."""
    return arithmetic("floor_divide", a, b)


def trunc_divide(a: object, b: object) -> Scalar:
    """a / b without its fraction (C's integer division). For integers, x / 0 is 0."""
    x, y = pair(a, b)
    return trunc(x / y) if x.dtype.is_floating_point else arithmetic("trunc_divide", x, y)


def nextafter(a: object, b: object) -> Scalar:
    """The next number from a towards b."""
    return arithmetic("nextafter", a, b)


def gcd(a: object, b: object) -> Scalar:
    """Greatest common divisor of two integers, never negative."""
    x, y = pair(a, b)
    if not x.dtype.is_integral:
        raise TypeError(f"gcd is not defined for {x.dtype.name}")
    return Scalar("gcd", (x, y), x.dtype)


def where(condition: Scalar, a: object, b: object) -> Scalar:
    """a where the condition holds, b elsewhere. A derivative only selects: what the other branch would give never shows."""
    if not is_a(condition, Scalar):
        raise TypeError(f"where wants a bool Scalar as condition, not {type(condition).__name__}")
    if condition.dtype is not bool_:
        condition = cast(condition, bool_)
    x, y = pair(a, b)
    return Scalar("where", (condition, x, y), x.dtype)


def rare(condition: Scalar, slow: Scalar, fast: Scalar) -> Scalar:
    """where(condition, slow, fast), where `slow` is computed only if the condition holds for an element of the vector at hand."""
    return Scalar("rare", (condition, slow, fast), pair(slow, fast)[0].dtype)


def lookup(index: Scalar, table: Sequence[float]) -> Scalar:
    """table[index % 16] of 16 float32 constants, which vectors keep in registers."""
    if index.dtype is not int32 or len(table) != 16:
        raise TypeError(f"lookup wants an int32 index and 16 numbers, not {index.dtype.name} and {len(table)}")
    return Scalar("lookup", (index, *(const(v, float32) for v in table)), float32)


def clamp(x: Scalar, low: object | None = None, high: object | None = None) -> Scalar:
    """x limited to low..high; high wins where they cross. NaN if one of them is NaN; then no gradient passes, but it does at the bounds."""
    if low is not None:
        bound = lift(low, x.dtype)
        x = where(x >= bound, x, _unless_nan(x < bound, bound))
    if high is not None:
        bound = lift(high, x.dtype)
        x = where(x <= bound, x, _unless_nan(x > bound, bound))
    return x


def _unless_nan(crossed: Scalar, bound: Scalar) -> Scalar:
    return where(crossed, bound, float("nan")) if bound.dtype.is_floating_point else bound


def isnan(x: Scalar) -> Scalar:
    if x.dtype.is_complex:
        return isnan(real(x)) | isnan(imag(x))
    return x != x if x.dtype.is_floating_point else const(False, bool_)


def isinf(x: Scalar) -> Scalar:
    if x.dtype.is_complex:
        return isinf(real(x)) | isinf(imag(x))
    return fabs(x) == float("inf") if x.dtype.is_floating_point else const(False, bool_)


def isfinite(x: Scalar) -> Scalar:
    if x.dtype.is_complex:
        return isfinite(real(x)) & isfinite(imag(x))
    return fabs(x) < float("inf") if x.dtype.is_floating_point else const(True, bool_)


def fma(a: object, b: object, c: object) -> Scalar:
    """a * b + c, rounded once."""
    first = next((v for v in (a, b, c) if isinstance(v, Scalar)), None)
    if first is None or not first.dtype.is_floating_point:
        raise TypeError("fma wants floating Scalars")
    return Scalar("fma", tuple(lift(v, first.dtype) for v in (a, b, c)), first.dtype)


def cast(x: Scalar, kind: dtype) -> Scalar:
    """Conversion. Floating to integer truncates (out of range and NaN: as the target's instruction gives); to bool is != 0; complex to
    real keeps the real part."""
    return x if x.dtype is kind else Scalar("cast", (x,), kind)


def bitcast(x: Scalar, kind: dtype) -> Scalar:
    """The same bits as another type of the same size."""
    if x.dtype.itemsize != kind.itemsize or x.dtype is bool_ or kind is bool_ or x.dtype.is_complex or kind.is_complex:
        raise TypeError(f"bitcast of {x.dtype.name} to {kind.name}: real types of equal size wanted")
    return x if x.dtype is kind else Scalar("bitcast", (x,), kind)


def real(x: Scalar) -> Scalar:
    return Scalar("real", (x,), x.dtype.real) if x.dtype.is_complex else x


def imag(x: Scalar) -> Scalar:
    return Scalar("imag", (x,), x.dtype.real) if x.dtype.is_complex else const(0, x.dtype)


def conj(x: Scalar) -> Scalar:
    return Scalar("conj", (x,), x.dtype) if x.dtype.is_complex else x


def angle(x: Scalar) -> Scalar:
    """Argument of a complex number; 0 or pi for a real one (NaN stays)."""
    if x.dtype.is_complex:
        return Scalar("angle", (x,), x.dtype.real)
    return where(isnan(x), float("nan"), where(x < 0, 3.141592653589793, const(0, x.dtype)))


def complex_(re: object, im: object) -> Scalar:
    """re + i*im of two real values of one floating type."""
    x, y = pair(re, im)
    if not x.dtype.is_floating_point:
        raise TypeError(f"complex_ wants float32 or float64 parts, not {x.dtype.name}")
    return Scalar("complex", (x, y), x.dtype.to_complex())
