"""Random numbers: PyTorch's CPU generator and distributions, from the same seed the same stream.

Functions take the output's operand and return a Schedule; number 0 is the address of a `State`.
"""

from .choice import permutation, weighted
from .inverse import cauchy, exponential, geometric
from .mt19937 import DEFAULT_SEED, STATE_BYTES, State
from .normal import log_normal, normal, normal_number_type
from .rejection import binomial, gamma, poisson
from .uniform import WIDE_FROM, bernoulli, bernoulli_each, dropout, integers, uniform

__all__ = [
    "DEFAULT_SEED",
    "STATE_BYTES",
    "WIDE_FROM",
    "State",
    "bernoulli",
    "bernoulli_each",
    "binomial",
    "cauchy",
    "dropout",
    "exponential",
    "gamma",
    "geometric",
    "integers",
    "log_normal",
    "normal",
    "normal_number_type",
    "permutation",
    "poisson",
    "uniform",
    "weighted",
]
