"""torch.special: special functions under the names of that module."""

from __future__ import annotations

from typing import Any

from . import ops

NAMES = [
    "airy_ai",
    "bessel_j0",
    "bessel_j1",
    "bessel_y0",
    "bessel_y1",
    "chebyshev_polynomial_t",
    "chebyshev_polynomial_u",
    "chebyshev_polynomial_v",
    "chebyshev_polynomial_w",
    "digamma",
    "entr",
    "erf",
    "erfc",
    "erfcx",
    "erfinv",
    "expit",
    "gammaln",
    "hermite_polynomial_h",
    "hermite_polynomial_he",
    "i0",
    "i0e",
    "i1",
    "i1e",
    "laguerre_polynomial_l",
    "legendre_polynomial_p",
    "log_ndtr",
    "logit",
    "modified_bessel_i0",
    "modified_bessel_i1",
    "modified_bessel_k0",
    "modified_bessel_k1",
    "multigammaln",
    "ndtr",
    "ndtri",
    "polygamma",
    "psi",
    "round",
    "scaled_modified_bessel_k0",
    "scaled_modified_bessel_k1",
    "shifted_chebyshev_polynomial_t",
    "shifted_chebyshev_polynomial_u",
    "shifted_chebyshev_polynomial_v",
    "shifted_chebyshev_polynomial_w",
    "spherical_bessel_j0",
    "xlog1py",
    "zeta",
]
OTHERS = {"exp2": "exp2", "expm1": "expm1", "gammainc": "igamma", "gammaincc": "igammac", "log1p": "log1p", "log_softmax": "log_softmax",
          "logsumexp": "logsumexp", "sinc": "sinc", "softmax": "softmax", "xlogy": "xlogy"}  # fmt: skip
_OPERATORS = {**{name: "special_" + name for name in NAMES}, **OTHERS}


def __getattr__(name: str) -> Any:
    if name not in _OPERATORS:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    operator = globals()[name] = getattr(ops, _OPERATORS[name])  # later look-ups find it without this function
    return operator


def __dir__() -> list[str]:
    return sorted(_OPERATORS)


__all__ = sorted(_OPERATORS)
