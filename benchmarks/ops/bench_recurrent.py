"""Recurrent layers, forward and backward.  python -m benchmarks.ops.bench_recurrent [--reference PYTHON] [--cpu-time]

Bound by products: a training step of an LSTM does 24 (I + H) H operations for each of its T * B rows, which a core of 118 GFLOP/s cannot do
faster than that. Where PyTorch uses oneDNN (float32 LSTM without projection), both come near this limit when H and B are large.
"""

from __future__ import annotations

from benchmarks.kernel.compare import Case, main
from benchmarks.ops.programs import program

TRAIN = ((32, 1, 50), (32, 64, 50), (128, 16, 50), (256, 32, 64), (256, 128, 32), (512, 64, 32), (1024, 8, 16), (1024, 64, 16))
INFER = ((32, 1, 50), (256, 1, 50), (256, 32, 64), (1024, 1, 16))
GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}


def layer(kind: str, name: str, made: str, h: int, b: int, t: int, train: bool) -> Case:
    nbytes = 4 * (2 * GATES[kind] * h * h + 2 * t * b * h) * (3 if train else 1)
    setup = f"m = torch.nn.{made}; x = torch.randn({t}, {b}, {h}, requires_grad={train}); torch.set_grad_enabled({train})"
    return program(name, setup, "m.zero_grad(); x.grad = None; m(x)[0].sum().backward()" if train else "m(x)", nbytes)


def packed(kind: str, h: int, b: int, t: int) -> Case:
    lengths = [max(1, t - i * t // b) for i in range(b)]
    setup = (
        f"torch.set_grad_enabled(True); m = torch.nn.{kind}({h}, {h}); "
        f"p = torch.nn.utils.rnn.pack_padded_sequence(torch.randn({t}, {b}, {h}), torch.tensor({lengths}))"
    )
    nbytes = 12 * (2 * GATES[kind] * h * h + 2 * sum(lengths) * h)
    return program(f"{kind} packed H {h} B {b} T {t}", setup, "m.zero_grad(); m(p)[0].data.sum().backward()", nbytes)


def cases() -> list[Case]:
    out = []
    for kind in GATES:
        for train, sizes in ((True, TRAIN), (False, INFER)):
            for h, b, t in sizes:
                name = f"{kind} {'train' if train else 'infer'} H {h} B {b} T {t}"
                out.append(layer(kind, name, f"{kind}({h}, {h})", h, b, t, train))
        out.append(packed(kind, 256, 32, 64))
    out.append(layer("LSTM", "LSTM 2 layers, both directions", "LSTM(128, 128, 2, bidirectional=True)", 128, 32, 40, True))
    out.append(layer("LSTM", "LSTM projected to 128", "LSTM(512, 512, proj_size=128)", 512, 32, 32, True))
    return out


if __name__ == "__main__":
    main(__doc__ or "", cases)
