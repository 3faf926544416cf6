"""Softmax, normalisation and cross entropy, forward and gradient.  python -m benchmarks.kernel.bench_rows [--reference PYTHON]"""

from __future__ import annotations

import numpy as np

from benchmarks.kernel.compare import Case, aligned, main
from facula.kernel import rows
from facula.testing.operands import operand


def cases() -> list[Case]:
    return [*softmax(), *layer_norm(), *batch_norm(), *cross_entropy()]


def softmax() -> list[Case]:
    x, y, g = aligned(4096, 2048), aligned(4096, 2048), aligned(4096, 2048)
    setup = "x = torch.randn(4096, 2048, requires_grad=True); y = torch.softmax(x, {0}); g = torch.randn(4096, 2048)"
    grad = "torch.autograd.grad(y, x, g, retain_graph=True)"
    size = x.nbytes
    return [
        Case("softmax 4096x2048", rows.softmax(operand(x), 1), [y], [x], (), 2 * size, setup.format(1), "torch.softmax(x.detach(), 1)"),
        Case("softmax backward", rows.softmax_backward(operand(g), operand(y), 1), [x], [g, y], (), 3 * size, setup.format(1), grad),
        Case(
            "softmax 4096x2048 dim 0", rows.softmax(operand(x), 0), [y], [x], (), 2 * size, setup.format(0), "torch.softmax(x.detach(), 0)"
        ),
    ]


def layer_norm() -> list[Case]:
    x, y, g, w, b = aligned(8192, 1024), aligned(8192, 1024), aligned(8192, 1024), aligned(1024), aligned(1024)
    mean, rstd, gw, gb = aligned(8192), aligned(8192), aligned(1024), aligned(1024)
    setup = (
        "x, w, b = (torch.randn(*s, requires_grad=True) for s in ((8192, 1024), (1024,), (1024,)));"
        " y = F.layer_norm(x, (1024,), w, b); g = torch.randn(8192, 1024)"
    )
    forward, backward = rows.layer_norm(operand(x), operand(w), operand(b)), rows.layer_norm_backward(operand(x), operand(w))
    grad = "torch.autograd.grad(y, (x, w, b), g, retain_graph=True)"
    return [
        Case(
            "layer_norm 8192x1024",
            forward,
            [y, mean, rstd],
            [x, w, b],
            (1e-5,),
            2 * x.nbytes,
            setup,
            "F.layer_norm(x.detach(), (1024,), w, b)",
        ),
        Case("layer_norm backward", backward, [y, gw, gb], [g, x, mean, rstd, w], (), 3 * x.nbytes, setup, grad),
    ]


def batch_norm() -> list[Case]:
    x, y, g = aligned(32, 64, 3136), aligned(32, 64, 3136), aligned(32, 64, 3136)
    w, b, mean, rstd, m, v = (aligned(64) for _ in range(6))
    setup = (
        "x, w, b = (torch.randn(*s, requires_grad=True) for s in ((32, 64, 56, 56), (64,), (64,))); m, v = torch.zeros(64), torch.ones(64);"
        " y = F.batch_norm(x, m, v, w, b, True); g = torch.randn(32, 64, 56, 56)"
    )
    forward, backward = rows.batch_norm(operand(x), True, True, True), rows.batch_norm_backward(operand(x), True)
    grad = "torch.autograd.grad(y, (x, w, b), g, retain_graph=True)"
    size = x.nbytes
    return [
        Case(
            "batch_norm 32x64x56x56",
            forward,
            [y, mean, rstd],
            [x, w, b, m, v],
            (1e-5, 0.1),
            2 * size,
            setup,
            "F.batch_norm(x.detach(), m, v, w, b, True)",
        ),
        Case("batch_norm backward", backward, [y, w, b], [g, x, mean, rstd, w], (), 3 * size, setup, grad),
    ]


def cross_entropy() -> list[Case]:
    x, gx, t = aligned(1024, 8192), aligned(1024, 8192), np.random.default_rng(0).integers(0, 8192, 1024)
    loss, lse, scale, status, g = aligned(1), aligned(1024), aligned(1026), np.zeros(1, np.int64), np.ones(1, np.float32)
    setup = "x, t = torch.randn(1024, 8192, requires_grad=True), torch.randint(0, 8192, (1024,)); y = F.cross_entropy(x, t)"
    forward, backward = rows.cross_entropy(operand(x)), rows.cross_entropy_backward(operand(x))
    grad = "torch.autograd.grad(y, x, retain_graph=True)"
    return [
        Case(
            "cross_entropy 1024x8192",
            forward,
            [loss, lse, scale, status],
            [x, t],
            (-100, 0.0),
            x.nbytes,
            setup,
            "F.cross_entropy(x.detach(), t)",
        ),
        Case("cross_entropy backward", backward, [gx], [g, x, t, lse, scale], (-100, 0.0), 2 * x.nbytes, setup, grad),
    ]


if __name__ == "__main__":
    main(__doc__ or "", cases)
