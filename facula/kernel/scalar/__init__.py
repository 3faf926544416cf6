"""The scalar language: bodies of kernels as typed expressions that are interpreted, differentiated, printed and compiled.

    body = trace(lambda x: 0.5 * x * (1.0 + erf(x * math.sqrt(0.5))), [float32])
    backward = derive_saving(body)
    interpret(body, [array])                    # NumPy: the definition
    emit(body, f, [vector], [])                 # LLVM, any number of lanes
"""

from __future__ import annotations

from .derive import Backward, derive, derive_saving
from .emit import emit, llvm_type
from .functions import (
    abs,
    acos,
    acosh,
    angle,
    asin,
    asinh,
    atan,
    atan2,
    atanh,
    bitcast,
    cast,
    ceil,
    clamp,
    complex_,
    conj,
    copysign,
    cos,
    cosh,
    digamma,
    erf,
    erfc,
    erfinv,
    exp,
    exp2,
    expm1,
    floor,
    floor_divide,
    fma,
    fmax,
    fmin,
    fmod,
    gcd,
    hypot,
    i0,
    i0e,
    i1,
    i1e,
    imag,
    isfinite,
    isinf,
    isnan,
    lgamma,
    log,
    log1p,
    log2,
    log10,
    log_sigmoid,
    maximum,
    minimum,
    ndtr,
    nextafter,
    pow,
    rare,
    real,
    relu,
    remainder,
    round,
    rsqrt,
    sigmoid,
    sign,
    sin,
    sinh,
    softplus,
    sqrt,
    tan,
    tanh,
    trigamma,
    trunc,
    trunc_divide,
    where,
)
from .interpret import interpret
from .memory import from_memory, to_memory
from .node import Scalar, const, index, input, lift, number, order
from .simplify import simplify, substitute
from .text import parse, text
from .trace import trace
