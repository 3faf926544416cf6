"""Attention, forward and gradient.  python -m benchmarks.kernel.bench_attention [--reference PYTHON]"""

from __future__ import annotations

from benchmarks.kernel.compare import Case, aligned, main
from facula.kernel.attention import attention, attention_backward
from facula.testing.operands import operand

SHAPES = (
    (4, 8, 512, 64, True),
    (4, 8, 512, 64, False),
    (1, 8, 2048, 64, True),
    (4, 4, 256, 32, True),
    (8, 6, 65, 64, False),
    (2, 8, 512, 128, False),
)


def cases() -> list[Case]:
    out = []
    for B, H, L, E, causal in SHAPES:
        q, k, v, o, gq, gk, gv, g = (aligned(B, H, L, E) for _ in range(8))
        lse = aligned(B, H, L)
        setup = (
            f"q, k, v = (torch.randn({B}, {H}, {L}, {E}, requires_grad=True) for _ in range(3));"
            f" y = F.scaled_dot_product_attention(q, k, v, is_causal={causal}); g = torch.randn_like(y)"
        )
        call = f"F.scaled_dot_product_attention(q.detach(), k.detach(), v.detach(), is_causal={causal})"
        grad = "torch.autograd.grad(y, (q, k, v), g, retain_graph=True)"
        four = [operand(x) for x in (q, k, v, o)]
        name, scale = f"{B}x{H}x{L}x{E}{' causal' if causal else ''}", (E**-0.5,)
        forward = Case(f"attention {name}", attention(*four, None, causal), [o, lse], [q, k, v], scale, 4 * q.nbytes, setup, call)
        forward()
        schedule = attention_backward(*four, None, causal, *[operand(x) for x in (g, gq, gk, gv)])
        out += [forward, Case(f"backward {name}", schedule, [gq, gk, gv], [g, q, k, v, o, lse], scale, 8 * q.nbytes, setup, grad)]
    return out


if __name__ == "__main__":
    main(__doc__ or "", cases)
