"""Records what PyTorch's CPU generator draws, as the reference for tests/kernel/random. Needs torch: python tests/data/record_random.py

A case is a list of steps from one seed; a step is (distribution, dtype, n, parameters...). Recorded with the CPU build, AVX-512 or AVX2,
on a processor where PyTorch does not use MKL's own streams.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

SEED = 7
FLOATS = ("float32", "float64", "float16", "bfloat16")
LENGTHS = (*range(1, 41), 100, 623, 624, 625, 1000, 2049)
CASES: dict[str, list[tuple]] = {
    **{f"normal_{d}_{n}": [("normal", d, n, 0.0, 1.0)] for d in ("float32", "float64") for n in LENGTHS},
    **{f"normal_{d}_{n}": [("normal", d, n, 0.5, 2.0)] for d in ("float16", "bfloat16") for n in (1, 5, 16, 17, 31, 32, 40, 100)},
    **{f"normal_scaled_{d}": [("normal", d, 37, -3.0, 0.25), ("normal", d, 7, -3.0, 0.25)] for d in FLOATS},
    **{f"normal_strided_{d}": [("normal_strided", d, 41, 1.0, 2.0), ("normal_strided", d, 300, 1.0, 2.0)] for d in FLOATS},
    **{f"uniform_{d}": [("uniform", d, n, a, b) for n in (1, 7, 40, 700) for a, b in ((0.0, 1.0), (-3.3, 7.7))] for d in FLOATS},
    "uniform_narrow": [("uniform", "float32", 500, 1.0, 1.000001), ("uniform", "float64", 50, 1.0, 1.000001)],
    **{f"bernoulli_{d}": [("bernoulli", d, n, 0.3) for n in (1, 7, 40, 700)] for d in (*FLOATS, "int64", "uint8", "bool", "int32")},
    **{f"bernoulli_each_{d}": [("bernoulli_each", d, n) for n in (1, 7, 40, 700)] for d in FLOATS},
    **{f"dropout_{d}": [("dropout", d, n, 0.3) for n in (1, 7, 40, 700)] for d in FLOATS},
    **{f"integers_{d}": [("integers", d, n, -5, 9) for n in (1, 7, 40)] for d in ("float32", "float64", "int64", "int8", "int16", "int32")},
    "integers_large": [("integers", "int64", 20, 0, 2**p + k) for p in (20, 27, 28, 32, 40, 62) for k in (-1, 0, 1)],
    "integers_one": [("integers", "int64", 20, 3, 4), ("integers", "int64", 20, 0, 2)],
    "integers_full": [("integers_full", "int64", 20)],
    **{f"exponential_{d}": [("exponential", d, n, 1.7) for n in (1, 7, 40, 700)] for d in FLOATS},
    **{f"cauchy_{d}": [("cauchy", d, n, 1.5, 2.0) for n in (1, 7, 40, 700)] for d in FLOATS},
    **{f"geometric_{d}": [("geometric", d, n, 0.3) for n in (1, 7, 40, 700)] for d in (*FLOATS, "int64", "int32")},
    **{f"log_normal_{d}": [("log_normal", d, n, 1.0, 0.5) for n in (1, 7, 40, 701, 2)] for d in FLOATS},
    "permutation": [("permutation", "int64", n) for n in (0, 1, 2, 3, 10, 700, 5000)],
    **{f"weighted_{d}": [("weighted", d, 3, 5, 10), ("weighted", d, 2, 300, 7)] for d in ("float32", "float64")},
    **{f"poisson_{d}": [("poisson", d, 60)] for d in ("float32", "float64")},
    **{f"gamma_{d}": [("gamma", d, 60)] for d in ("float32", "float64")},
    **{f"binomial_{d}": [("binomial", d, 60)] for d in ("float32", "float64")},
    "mixed": [
        ("normal", "float32", 5, 0.0, 1.0), ("uniform", "float32", 3, 0.0, 1.0), ("normal", "float32", 20, 0.0, 1.0), ("normal", "float64", 3, 0.0, 1.0),
        ("permutation", "int64", 30), ("normal", "float32", 1, 0.0, 1.0), ("bernoulli", "float32", 11, 0.5), ("integers", "int64", 9, 0, 100),
        ("log_normal", "float32", 3, 0.0, 1.0), ("dropout", "float32", 50, 0.5), ("exponential", "float32", 600, 1.0), ("normal", "float64", 40, 0.0, 1.0),
        ("uniform", "float64", 700, 0.0, 1.0), ("normal", "float32", 1, 0.0, 1.0), ("normal", "float32", 3, 0.0, 1.0), ("uniform", "float32", 1, 0.0, 1.0),
    ],
}  # fmt: skip


def weights(d: str, rows: int, n: int) -> np.ndarray:
    """Weights that are exact in every dtype."""
    return (np.arange(rows * n).reshape(rows, n) * 7 % 13 + 1).astype(d)


def rates(d: str, n: int) -> np.ndarray:
    """Parameters for distributions whose draws depend on them: small and large, exact in every dtype."""
    return np.resize([0.0, 0.25, 0.5, 1.0, 2.0, 7.5, 10.0, 11.0, 40.0, 300.0], n).astype(d)


def chances(d: str, n: int) -> np.ndarray:
    return np.resize([0.0, 0.25, 0.5, 0.75, 1.0, 0.125, 0.875], n).astype(d)


def _draw(step: tuple) -> np.ndarray:
    import torch

    name, d, n, *p = step
    kind = getattr(torch, d)
    x = torch.empty(n, dtype=kind)
    if name == "normal_strided":
        x = torch.empty(n, 2, dtype=kind)[:, 0].normal_(*p)
    elif name == "bernoulli_each":
        x = torch.bernoulli(torch.linspace(0, 1, n, dtype=torch.float64).to(kind))
    elif name == "dropout":
        x = torch.nn.functional.dropout(torch.linspace(-1, 1, n, dtype=torch.float64).to(kind), p[0], training=True)
    elif name == "integers":
        x.random_(*p)
    elif name == "integers_full":
        x.random_(-(2**63), None)
    elif name == "permutation":
        x = torch.randperm(n)
    elif name == "weighted":
        x = torch.multinomial(torch.from_numpy(weights(d, n, p[0])), p[1], replacement=True)
    elif name == "poisson":
        x = torch.poisson(torch.from_numpy(rates(d, n)))
    elif name == "gamma":
        x = torch._standard_gamma(torch.from_numpy(rates(d, n) + 0.125))
    elif name == "binomial":
        x = torch.binomial(torch.from_numpy(np.floor(rates(d, n)[::-1]).copy()), torch.from_numpy(chances(d, n)))
    else:
        getattr(x, name + "_")(*p)
    return (x.to(torch.float32) if d in ("float16", "bfloat16") else x).numpy()


def main() -> None:
    import torch

    out = {}
    for name, steps in CASES.items():
        torch.manual_seed(SEED)
        for i, step in enumerate(steps):
            out[f"{name}/{i}"] = _draw(step)
        out[f"{name}/state"] = np.frombuffer(bytes(torch.get_rng_state().tolist()[:24]), np.uint8)
    torch.manual_seed(SEED)
    many = torch.randn(100_003).numpy()
    out["large/tail"], out["large/mean"] = many[-64:], many.astype(np.float64).mean()
    torch.manual_seed(SEED)
    torch.randn(5)
    out["torch_state"] = np.array(torch.get_rng_state().tolist(), np.uint8)
    np.savez_compressed(Path(__file__).with_name("random.npz"), **out)


if __name__ == "__main__":
    main()
