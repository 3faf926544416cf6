"""Recurrent layers as one call: the loop over time is a list of launches, a product and a fused kernel of the gates for each step.

T steps, B sequences, H hidden units, K gates. `gates` (T, B, K H) is the input's share of the gates for all steps, made by one product; the
gradient gives it back whole, so that each weight's gradient is one product as well. Bound by the products of the hidden state.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ..core.layout import Layout, layout
from ..core.modes import MODE
from ..core.result import Result
from ..core.tensor import Tensor
from ..kernel.gemm import matmul
from ..kernel.launch import Array, In, Launch, Out, Schedule, Word, Work
from ..kernel.pointwise import pointwise
from ..kernel.scalar import Scalar, input, tanh, where
from ..kernel.scalar import exp as scalar_exp
from ..spec.block import Fused
from ..spec.registry import ops


class Steps:
    """A schedule put together: launches whose operands are moved to the places of each step."""

    def __init__(self) -> None:
        self.launches: list[Launch] = []
        self.room = 0

    def reserve(self, nbytes: int) -> Work:
        at = Work(self.room)
        self.room += -(-nbytes // 64) * 64
        return at

    def add(self, schedule: Schedule, outs: Sequence[Word], ins: Sequence[Word], scratch: int) -> None:
        """`scratch`: where the schedule's own workspace lies."""

        def moved(w: Word) -> Word:
            if isinstance(w, Work):
                return Work(w.offset + scratch)
            if isinstance(w, (Out, In)):
                base = outs[w.index] if isinstance(w, Out) else ins[w.index]
                assert isinstance(base, (Out, In, Work))
                return replace(base, offset=base.offset + w.offset)
            return w

        for x in schedule.launches:
            self.launches.append(Launch(x.kernel, tuple(moved(w) for w in x.words), x.total, x.grain, x.bytes, x.flops))

    def product(self, schedule: Schedule, outs: Sequence[Word], ins: Sequence[Word], scratch: int, again: bool) -> None:
        """A product of one `reused` matrix: what is made of it once serves every step."""
        kept = replace(schedule, launches=schedule.launches[1:]) if again and len(schedule.launches) == 2 else schedule
        self.add(kept, outs, ins, scratch)

    def done(self) -> Schedule:
        return Schedule(tuple(self.launches), self.room, (f"{len(self.launches)} launches in time",))


def sigmoid(x: Scalar) -> Scalar:
    return 1.0 / (1.0 + scalar_exp(-x))


def gate(x: Layout, h: int, k: int) -> Array:
    """One gate of a step: (B, H) within rows of K H."""
    return Array(x.dtype, (x.shape[1], h), (k * h, 1))


def order(steps: int, reverse: bool) -> range:
    return range(steps - 1, -1, -1) if reverse else range(steps)


def shifted(out: Tensor, first: Tensor, reverse: bool) -> Tensor:
    """The state before each step: (T, B, H)."""
    return ops.cat([out[1:], first.unsqueeze(0)]) if reverse else ops.cat([first.unsqueeze(0), out[:-1]])


def weight_gradient(dz: Tensor, before: Tensor) -> Tensor:
    """(K H, H) from all steps at once."""
    return dz.reshape((-1, dz.shape[-1])).t() @ before.reshape((-1, before.shape[-1]))


class LstmLayer(Fused):
    """(hidden states, cells, activated gates i f g o) of all steps. Hochreiter & Schmidhuber 1997. The gates get no gradient."""

    schema = "lstm_layer(Tensor gates, Tensor h0, Tensor c0, Tensor weight, bool reverse) -> (Tensor, Tensor, Tensor)"
    paths = ""
    contiguous = True

    @staticmethod
    def kernel(x: Layout, h0: Layout, c0: Layout, w: Layout, reverse: bool) -> Result:
        steps, b, wide = x.shape
        h, size = wide // 4, x.dtype.itemsize
        states, kind = layout((steps, b, h), x.dtype), x.dtype
        got = Steps()
        z = got.reserve(b * wide * size)
        full = Array(kind, (b, wide), (wide, 1))
        product = matmul(full, Array(kind, (b, h), (h, 1)), Array(kind, (h, wide), (1, h)), bias=full, reused=True)
        scratch = got.reserve(product.workspace).offset
        state, part = Array(kind, (b, h), (h, 1)), gate(x, h, 4)
        i, f, g, o = (sigmoid(input(0, kind)), sigmoid(input(1, kind)), tanh(input(2, kind)), sigmoid(input(3, kind)))
        c = f * input(4, kind) + i * g
        cell = pointwise([state, state, *[part] * 4], [*[part] * 4, state], [o * tanh(c), c, i, f, g, o])
        before: tuple[Word, Word] = (In(1), In(2))
        for n, t in enumerate(order(steps, reverse)):
            at, row = t * b * h * size, t * b * wide * size
            got.product(product, [z], [before[0], In(3), In(0, row)], scratch, n > 0)
            gates = [Work(z.offset + k * h * size) for k in range(4)]
            got.add(cell, [Out(0, at), Out(1, at), *(Out(2, row + k * h * size) for k in range(4))], [*gates, before[1]], 0)
            before = (Out(0, at), Out(1, at))
        return Result((states, states, layout(x.shape, kind)), got.done())

    @staticmethod
    def gradient(
        g0: Tensor,
        g1: Tensor,
        out0: Tensor,
        out1: Tensor,
        out2: Tensor,
        gates: Tensor,
        h0: Tensor,
        c0: Tensor,
        weight: Tensor,
        reverse: bool,
        needs: Sequence[bool],
    ) -> tuple[Any, ...]:
        before = shifted(out0, h0, reverse)
        if MODE.grad:
            dz, dh, dc = lstm_steps_back(g0, g1, gates, before, out1, c0, weight, reverse)
        else:
            dz, dh, dc = ops.lstm_layer_backward(g0, g1, out1, out2, c0, weight, reverse)
        return dz, dh, dc, weight_gradient(dz, before) if needs[3] else None


def lstm_steps_back(
    g0: Tensor, g1: Tensor, gates: Tensor, before: Tensor, cells: Tensor, c0: Tensor, weight: Tensor, reverse: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """LstmLayerBackward in ordinary operators, for derivatives of derivatives."""
    i, f, g, o = (gates + before @ weight.t()).chunk(4, -1)
    i, f, g, o = i.sigmoid(), f.sigmoid(), g.tanh(), o.sigmoid()
    c_before, top = shifted(cells, c0, reverse), cells.tanh()
    dh, dc = ops.zeros_like(c0), ops.zeros_like(c0)
    rows: dict[int, Tensor] = {}
    for t in reversed(order(gates.shape[0], reverse)):
        dh = dh + g0[t]
        dc = dc + g1[t] + dh * o[t] * (1 - top[t] * top[t])
        parts = [
            dc * g[t] * i[t] * (1 - i[t]),
            dc * c_before[t] * f[t] * (1 - f[t]),
            dc * i[t] * (1 - g[t] * g[t]),
            dh * top[t] * o[t] * (1 - o[t]),
        ]
        rows[t] = ops.cat(parts, -1)
        dh, dc = rows[t] @ weight, dc * f[t]
    return ops.stack([rows[t] for t in range(gates.shape[0])]), dh, dc


class LstmLayerBackward(Fused):
    """(gradient of the gates before their activations, of h0, of c0) from those of hidden states and cells."""

    schema = "lstm_layer_backward(Tensor g, Tensor gc, Tensor cells, Tensor acts, Tensor c0, Tensor weight, bool reverse) -> (Tensor, Tensor, Tensor)"
    paths = ""
    contiguous = True

    @staticmethod
    def kernel(g: Layout, gc: Layout, cells: Layout, acts: Layout, c0: Layout, w: Layout, reverse: bool) -> Result:
        steps, b, wide = acts.shape
        h, size, kind = wide // 4, acts.dtype.itemsize, acts.dtype
        state, part = Array(kind, (b, h), (h, 1)), gate(acts, h, 4)
        got = Steps()
        product = matmul(state, Array(kind, (b, wide), (wide, 1)), Array(kind, (wide, h), (h, 1)))
        scratch = got.reserve(product.workspace).offset
        first = pointwise([*[part] * 4, state], [*[part] * 4, *[state] * 4], _lstm_slopes(kind, True))
        rest = pointwise([*[part] * 4, state], [*[part] * 4, *[state] * 6], _lstm_slopes(kind, False), in_place=True)
        times = order(steps, reverse)
        for n, t in enumerate(reversed(times)):
            at, row = t * b * h * size, t * b * wide * size
            earlier: Word = In(4) if t == times[0] else In(2, (t + 1 if reverse else t - 1) * b * h * size)
            ins: list[Word] = [*(In(3, row + k * h * size) for k in range(4)), In(2, at), earlier, In(0, at), In(1, at)]
            outs: list[Word] = [*(Out(0, row + k * h * size) for k in range(4)), Out(2)]
            got.add(rest if n else first, outs, [*ins, Out(1), Out(2)] if n else ins, 0)
            got.add(product, [Out(1)], [Out(0, row), In(5)], scratch)
        start = layout((b, h), kind)
        return Result((layout(acts.shape, kind), start, start), got.done())


def _lstm_slopes(kind: Any, last: bool) -> list[Scalar]:
    """Gradients of the gates i f g o and of the cell before; to the `last` step nothing comes from later ones."""
    i, f, a, o, c, c_before, dh, dc = (input(k, kind) for k in range(8))
    dh = dh if last else dh + input(8, kind)
    top = tanh(c)
    dc = (dc if last else dc + input(9, kind)) + dh * o * (1.0 - top * top)
    return [dc * a * i * (1.0 - i), dc * c_before * f * (1.0 - f), dc * i * (1.0 - a * a), dh * top * o * (1.0 - o), dc * f]


class GruLayer(Fused):
    """(hidden states, r, u, n and the hidden share of n of all steps). Cho et al. 2014, arXiv 1406.1078, the reset gate behind the product."""

    schema = "gru_layer(Tensor gates, Tensor h0, Tensor weight, Tensor? bias, bool reverse) -> (Tensor, Tensor)"
    paths = ""
    contiguous = True

    @staticmethod
    def kernel(x: Layout, h0: Layout, w: Layout, bias: Layout | None, reverse: bool) -> Result:
        steps, b, wide = x.shape
        h, size, kind = wide // 3, x.dtype.itemsize, x.dtype
        state, part, kept = Array(kind, (b, h), (h, 1)), gate(x, h, 3), gate(x, h, 4)
        got = Steps()
        z = got.reserve(b * wide * size)
        row_bias = None if bias is None else Array(kind, (b, wide), (0, 1))
        product = matmul(Array(kind, (b, wide), (wide, 1)), state, Array(kind, (h, wide), (1, h)), bias=row_bias)
        scratch = got.reserve(product.workspace).offset
        xr, xu, xn, zr, zu, zn, old = (input(k, kind) for k in range(7))
        r, u = sigmoid(xr + zr), sigmoid(xu + zu)
        n = tanh(xn + r * zn)
        cell = pointwise([state, *[kept] * 4], [*[part] * 6, state], [n + u * (old - n), r, u, n, zn])
        before: Word = In(1)
        for t in order(steps, reverse):
            at, row, keep = t * b * h * size, t * b * wide * size, t * b * 4 * h * size
            got.add(product, [z], [before, In(2), In(3)], scratch)
            ins = [*(In(0, row + k * h * size) for k in range(3)), *(Work(z.offset + k * h * size) for k in range(3)), before]
            got.add(cell, [Out(0, at), *(Out(1, keep + k * h * size) for k in range(4))], ins, 0)
            before = Out(0, at)
        return Result((layout((steps, b, h), kind), layout((steps, b, 4 * h), kind)), got.done())

    @staticmethod
    def gradient(
        g0: Tensor,
        out0: Tensor,
        out1: Tensor,
        gates: Tensor,
        h0: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        reverse: bool,
        needs: Sequence[bool],
    ) -> tuple[Any, ...]:
        before = shifted(out0, h0, reverse)
        if MODE.grad:
            dx, dz, dh = gru_steps_back(g0, gates, before, weight, bias, reverse)
        else:
            dx, dz, dh = ops.gru_layer_backward(g0, before, out1, weight, reverse)
        return dx, dh, weight_gradient(dz, before) if needs[2] else None, None if bias is None else dz.sum((0, 1))


def gru_steps_back(
    g0: Tensor, gates: Tensor, before: Tensor, weight: Tensor, bias: Tensor | None, reverse: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """GruLayerBackward in ordinary operators, for derivatives of derivatives."""
    xr, xu, xn = gates.chunk(3, -1)
    zr, zu, zn = ops.linear(before, weight, bias).chunk(3, -1)
    r, u = (xr + zr).sigmoid(), (xu + zu).sigmoid()
    n = (xn + r * zn).tanh()
    dh = ops.zeros_like(before[0])
    rows: dict[int, tuple[Tensor, Tensor]] = {}
    for t in reversed(order(gates.shape[0], reverse)):
        dh = dh + g0[t]
        dn = dh * (1 - u[t]) * (1 - n[t] * n[t])
        du = dh * (before[t] - n[t]) * u[t] * (1 - u[t])
        dr = dn * zn[t] * r[t] * (1 - r[t])
        rows[t] = ops.cat([dr, du, dn], -1), ops.cat([dr, du, dn * r[t]], -1)
        dh = dh * u[t] + rows[t][1] @ weight
    return ops.stack([rows[t][0] for t in range(len(rows))]), ops.stack([rows[t][1] for t in range(len(rows))]), dh


class GruLayerBackward(Fused):
    """(gradient of the input's gates, of the hidden state's gates, of h0); `before` is the state before each step."""

    schema = "gru_layer_backward(Tensor g, Tensor before, Tensor kept, Tensor weight, bool reverse) -> (Tensor, Tensor, Tensor)"
    paths = ""
    contiguous = True

    @staticmethod
    def kernel(g: Layout, before: Layout, kept: Layout, w: Layout, reverse: bool) -> Result:
        steps, b, h = g.shape
        size, kind = g.dtype.itemsize, g.dtype
        state, part, saved = Array(kind, (b, h), (h, 1)), gate(g, h, 3), gate(g, h, 4)
        got = Steps()
        product = matmul(state, Array(kind, (b, 3 * h), (3 * h, 1)), Array(kind, (3 * h, h), (h, 1)), accumulate=True)
        scratch = got.reserve(product.workspace).offset

        def body(dh: Scalar) -> list[Scalar]:
            r, u, n, zn, old = (input(k, kind) for k in range(5))
            dn = dh * (1.0 - u) * (1.0 - n * n)
            du = dh * (old - n) * u * (1.0 - u)
            dr = dn * zn * r * (1.0 - r)
            return [dr, du, dn, dr, du, dn * r, dh * u]

        outs = [*[part] * 6, state]
        first = pointwise(outs, [*[saved] * 4, state, state], body(input(5, kind)))
        rest = pointwise(outs, [*[saved] * 4, state, state, state], body(input(5, kind) + input(6, kind)), in_place=True)
        for n, t in enumerate(reversed(order(steps, reverse))):
            at, row, keep = t * b * h * size, 3 * t * b * h * size, 4 * t * b * h * size
            ins: list[Word] = [*(In(2, keep + k * h * size) for k in range(4)), In(1, at), In(0, at)]
            to: list[Word] = [Out(which, row + k * h * size) for which in (0, 1) for k in range(3)]
            got.add(rest if n else first, [*to, Out(2)], [*ins, Out(2)] if n else ins, 0)
            got.add(product, [Out(2)], [Out(1, row), In(3)], scratch)
        wide = layout((steps, b, 3 * h), kind)
        return Result((wide, wide, layout((b, h), kind)), got.done())


class RnnLayer(Fused):
    """Hidden states of Elman's network for all steps: act(gates + h W^T), act tanh or relu."""

    schema = "rnn_layer(Tensor gates, Tensor h0, Tensor weight, bool relu, bool reverse) -> Tensor"
    paths = ""
    contiguous = True

    @staticmethod
    def kernel(x: Layout, h0: Layout, w: Layout, relu: bool, reverse: bool) -> Result:
        steps, b, h = x.shape
        size, kind = x.dtype.itemsize, x.dtype
        state = Array(kind, (b, h), (h, 1))
        got = Steps()
        z = got.reserve(b * h * size)
        product = matmul(state, state, Array(kind, (h, h), (1, h)), bias=state)
        scratch = got.reserve(product.workspace).offset
        s = input(0, kind)
        act = pointwise([state], [state], [where(s <= 0.0, s * 0.0, s) if relu else tanh(s)])
        before: Word = In(1)
        for t in order(steps, reverse):
            at = t * b * h * size
            got.add(product, [z], [before, In(2), In(0, at)], scratch)
            got.add(act, [Out(0, at)], [z], 0)
            before = Out(0, at)
        return Result((layout(x.shape, kind),), got.done())

    @staticmethod
    def gradient(g: Tensor, out: Tensor, h0: Tensor, weight: Tensor, relu: bool, reverse: bool, needs: Sequence[bool]) -> tuple[Any, ...]:
        before = shifted(out, h0, reverse)
        dh = ops.zeros_like(h0)
        slope = (out > 0).to(out.dtype) if relu else 1 - out * out
        rows: dict[int, Tensor] = {}
        for t in reversed(order(out.shape[0], reverse)):
            rows[t] = (g[t] + dh) * slope[t]
            dh = rows[t] @ weight
        dz = ops.stack([rows[t] for t in range(out.shape[0])])
        return dz, dh, weight_gradient(dz, before) if needs[2] else None
