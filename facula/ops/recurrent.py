"""Recurrent layers as one call: the input's product for all steps, then one kernel that goes through time.

N rows of time (T steps of B sequences, or packed: `starts` says where each step begins), I input size, H hidden units, P what a step
hands on (H, or the projection's size). Backward keeps the gradient of the gates for all steps, so that each weight's gradient is one
product. `train` says whether backward will want what the steps computed. Bound by the products of the hidden state.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from ..base import dtypes as d
from ..base.errors import refuse
from ..core.layout import Layout, layout
from ..core.modes import MODE
from ..core.result import Result
from ..core.tensor import Tensor
from ..kernel.gemm import matmul
from ..kernel.launch import Array, In, Out, Schedule, Word, Work, rebased, shifted
from ..kernel.recurrent import Carried, Fixed, Now, Sequences, Stage, Start, State, Weight, recurrence
from ..kernel.scalar import Scalar, input, relu, tanh, where
from ..kernel.scalar import exp as scalar_exp
from ..spec.block import Fused, Pointwise
from ..spec.promotion import scalar_type_name
from ..spec.registry import ops


# -- what the layers share
def check(
    gates: int, x: Layout, states: Sequence[Layout | None], w_ih: Layout, w_hh: Layout, w_hr: Layout | None,
    biases: Sequence[Layout | None], rows: tuple[Layout | None, int, int],
) -> None:  # fmt: skip
    """Refuse operands that do not belong together: the kernels read what the sizes say. `rows`: starts, steps, batch."""
    own, (starts, steps, batch) = x.dtype, rows
    if own not in (d.float32, d.float64):
        raise refuse(NotImplementedError, f"\"recurrent layer\" not implemented for '{scalar_type_name(own)}'")
    for other in (*states, w_ih, w_hh, w_hr, *biases):
        if other is not None and other.dtype is not own:
            names = f"{scalar_type_name(own)} and {scalar_type_name(other.dtype)}"
            raise refuse(RuntimeError, f"mat1 and mat2 must have the same dtype, but got {names}")
    wide, p = w_ih.shape[0], (w_hh if w_hr is None else w_hr).shape[0] // (gates if w_hr is None else 1)
    wanted = [(w_ih, (wide, x.shape[1]), x.shape[0]), (w_hh, (wide, p), batch)]
    if w_hr is not None:
        wanted.append((w_hr, (p, wide // gates), batch))
    for weight, shape, n in wanted:
        if weight.shape != shape or wide % gates:
            raise refuse(
                RuntimeError,
                f"mat1 and mat2 shapes cannot be multiplied ({n}x{shape[1]} and {'x'.join(map(str, weight.shape[::-1]))})",
                received=f"a weight {tuple(weight.shape)}",
                expected=f"{shape}",
            )
    for bias in biases:
        if bias is not None and bias.shape != (wide,):
            raise refuse(
                RuntimeError,
                f"The expanded size of the tensor ({wide}) must match the existing size ({bias.shape[0]}) at non-singleton dimension 1.  "
                f"Target sizes: [{batch}, {wide}].  Tensor sizes: [{bias.shape[0]}]",
            )
    for size, state in zip((p, wide // gates), states):
        if state is not None and state.shape != (batch, size):
            raise refuse(RuntimeError, f"Expected hidden size {(batch, size)}, got {list(state.shape)}")
    expect((steps * batch if starts is None else x.shape[0], x.shape[1]), x)


def expect(shape: tuple[int, ...], *given: Layout) -> None:
    """Rows of time or of sequences as the steps have them."""
    for x in given:
        if x.shape != shape:
            raise refuse(RuntimeError, "a recurrent layer's operands do not fit", received=f"{x.shape}", expected=f"{shape}")


def sigmoid(x: Scalar) -> Scalar:
    return 1.0 / (1.0 + scalar_exp(-x))


def lstm_cell(i: Scalar, f: Scalar, g: Scalar, o: Scalar, c: Scalar) -> tuple[Scalar, ...]:
    """(hidden state, cell, activated gates i f g o). Hochreiter & Schmidhuber 1997."""
    i, f, g, o = sigmoid(i), sigmoid(f), tanh(g), sigmoid(o)
    new = f * c + i * g
    return o * tanh(new), new, i, f, g, o


def gru_cell(xr: Scalar, xu: Scalar, xn: Scalar, zr: Scalar, zu: Scalar, zn: Scalar, old: Scalar) -> tuple[Scalar, ...]:
    """(hidden state, r, u, n) from the shares of input and state. Cho et al. 2014, arXiv 1406.1078, the reset gate behind the product."""
    r, u = sigmoid(xr + zr), sigmoid(xu + zu)
    n = tanh(xn + r * zn)
    return n + u * (old - n), r, u, n


class LstmGates(Pointwise):
    """(hidden state, cell) of one step from the gates before their activations."""

    schema = "lstm_gates(Tensor i, Tensor f, Tensor g, Tensor o, Tensor c) -> (Tensor, Tensor)"
    paths = ""

    @staticmethod
    def scalar(i: Scalar, f: Scalar, g: Scalar, o: Scalar, c: Scalar) -> tuple[Scalar, ...]:
        return lstm_cell(i, f, g, o, c)[:2]


class GruGates(Pointwise):
    """The hidden state of one step from the input's and the state's shares of the gates."""

    schema = "gru_gates(Tensor xr, Tensor xu, Tensor xn, Tensor zr, Tensor zu, Tensor zn, Tensor state) -> Tensor"
    paths = ""

    @staticmethod
    def scalar(xr: Scalar, xu: Scalar, xn: Scalar, zr: Scalar, zu: Scalar, zn: Scalar, state: Scalar) -> Scalar:
        return gru_cell(xr, xu, xn, zr, zu, zn, state)[0]


def places(*given: Layout | None) -> list[Word]:
    """The address of each tensor argument, 0 for those that are absent."""
    found: list[Word] = []
    for x in given:
        found.append(0 if x is None else In(sum(isinstance(w, In) for w in found)))
    return found


def columns(where: Word, count: int, each: int, size: int) -> list[Word]:
    """The addresses of `count` parts of a row, of `each` elements; nothing where there is nothing."""
    return [0 if where == 0 else shifted(where, k * each * size) for k in range(count)]


def rows_of_time(where: Word, count: int, each: int, pitch: int, size: int) -> list[Now]:
    return [Now(w, pitch) for w in columns(where, count, each, size)]


def input_product(x: Layout, weight: Layout, biased: bool, to: tuple[Word, int], words: Sequence[Word], room: int = 0) -> Schedule:
    """x (N, I) weight^T + bias into rows `to[1]` elements apart; `words`: x, weight, bias; its workspace begins at `room` bytes."""
    (n, size), wide, kind = x.shape, weight.shape[0], x.dtype
    bias = Array(kind, (wide,), (1,)) if biased else None
    got = matmul(Array(kind, (n, wide), (to[1], 1)), Array(kind, (n, size), (size, 1)), Array(kind, (size, wide), (1, size)), bias=bias)
    return rebased(got, [to[0]], words, room)


def together(product: Schedule, sequences: Sequences, kind: Any, stages: Sequence[Stage]) -> Schedule:
    """The input's product, then the steps."""
    steps = recurrence(kind, sequences, stages, product.workspace)
    return Schedule((*product.launches, *steps.launches), max(product.workspace, steps.workspace), (*product.notes, *steps.notes))


def spans(starts: Tensor | None, steps: int, batch: int, reverse: bool) -> list[tuple[int, int]]:
    """(first row, sequences) of each step, in the order in which the layer goes through them."""
    at = [t * batch for t in range(steps + 1)] if starts is None else starts.tolist()
    found = [(a, b - a) for a, b in zip(at, at[1:])]
    return found[::-1] if reverse else found


def first_rows(x: Tensor, starts: Tensor | None, steps: int, batch: int, reverse: bool) -> Tensor:
    """The rows (B, *) of each sequence's first step in the order of the layer."""
    if starts is None or not reverse:
        return x[x.shape[0] - batch :] if reverse else x[:batch]
    found = [0] * batch
    for at, n in spans(starts, steps, batch, False):
        found[:n] = range(at, at + n)
    return x.index_select(0, ops.tensor(found))


def renewed(new: Tensor, old: Tensor) -> Tensor:
    """The states of all sequences after a step of the first ones."""
    n = new.shape[0]
    return new if n == old.shape[0] else ops.cat([new, old[n:]])


def in_time(rows: Iterable[tuple[int, Tensor]]) -> Tensor:
    """(first row, rows) of each step as one tensor."""
    return ops.cat([x for _, x in sorted(rows, key=lambda r: r[0])])


def product_gradients(
    dx: Tensor, dz: Tensor, x: Tensor, before: Tensor, w_ih: Tensor, needs: dict[str, bool]
) -> tuple[Tensor | None, Tensor | None, Tensor | None, Tensor | None, Tensor | None]:
    """Gradients of (input, w_ih, w_hh, b_ih, b_hh) from those of the input's and of the state's share of the gates."""
    return (
        dx @ w_ih if needs["input"] else None,
        dx.t() @ x if needs["w_ih"] else None,
        dz.t() @ before if needs["w_hh"] else None,
        bias := dx.sum(0) if needs["b_ih"] or needs["b_hh"] else None,
        bias if dz is dx or bias is None else dz.sum(0),
    )


# -- LSTM
class LstmLayer(Fused):
    """(hidden states, the last ones, last cells; for backward: gates i f g o, cells before, states before, states unprojected).
    The projection: Sak et al. 2014, arXiv 1402.1128."""

    schema = (
        "lstm_layer(Tensor input, Tensor? h0, Tensor? c0, Tensor w_ih, Tensor w_hh, Tensor? b_ih, Tensor? b_hh, Tensor? w_hr, "
        "Tensor? starts, int steps, int batch, bool reverse, bool train) -> (Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor)"
    )
    paths = ""
    contiguous = True

    @staticmethod
    def kernel(
        x: Layout, h0: Layout | None, c0: Layout | None, w_ih: Layout, w_hh: Layout, b_ih: Layout | None, b_hh: Layout | None,
        w_hr: Layout | None, starts: Layout | None, steps: int, batch: int, reverse: bool, train: bool,
    ) -> Result:  # fmt: skip
        check(4, x, (h0, c0), w_ih, w_hh, w_hr, (b_ih, b_hh), (starts, steps, batch))
        n, kind, size = x.shape[0], x.dtype, x.dtype.itemsize
        h, p = w_hh.shape[0] // 4, w_hh.shape[1]
        given = places(x, h0, c0, w_ih, w_hh, b_ih, b_hh, w_hr, starts)
        shapes = [(n, p), (batch, p), (batch, h), *([(n, 4 * h), (n, h), (n, p), (n, h) if w_hr else (0,)] if train else [(0,)] * 4)]
        acts, full = (Out(3), Out(6)) if train else (Work(0), Work(n * 4 * h * size))
        room = 0 if train else n * (4 + (w_hr is not None)) * h * size
        gates = rows_of_time(acts, 4, h, 4 * h, size)
        i, f, g, o = (input(k, kind) + input(4 + k, kind) + input(8 + k, kind) for k in range(4))
        c = input(12, kind)
        state, new, *activated = lstm_cell(i, f, g, o, c)
        body, outs = [new], [Carried(Out(2))]
        body, outs = (body + [state], [*outs, Now(full, h)]) if w_hr else (body + [state] * 2, [*outs, Now(Out(0), h), Carried(Out(1))])
        if train:
            body, outs = [*body, *activated, c], [*outs, *gates, Now(Out(4), h)]
        before = State(Now(Out(0), p), p, True, given[1], Out(5) if train else 0)
        ins = [*gates, *(Fixed(w) for w in columns(given[6], 4, h, size)), Carried(Out(2), given[2])]
        stages = [Stage(before, Weight(given[4], p, 1), 4, h, body, ins, outs)]
        if w_hr:
            projected = [Now(Out(0), p), Carried(Out(1))]
            stages.append(Stage(State(Now(full, h), h, False), Weight(given[7], h, 1), 1, p, [input(0, kind)] * 2, [], projected))
        product = input_product(x, w_ih, b_ih is not None, (acts, 4 * h), [given[0], given[3], given[5]], room)
        schedule = together(product, Sequences(steps, batch, reverse, given[8]), kind, stages)
        return Result(tuple(layout(s, kind) for s in shapes), schedule)

    @staticmethod
    def gradient(
        g0: Tensor, g1: Tensor, g2: Tensor, out3: Tensor, out4: Tensor, out5: Tensor, out6: Tensor, input: Tensor, h0: Tensor | None,
        c0: Tensor | None, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor | None, b_hh: Tensor | None, w_hr: Tensor | None,
        starts: Tensor | None, steps: int, batch: int, reverse: bool, needs: Sequence[bool],
    ) -> tuple[Any, ...]:  # fmt: skip
        wanted: dict[str, bool] = dict(zip(("input", "h0", "c0", "w_ih", "w_hh", "b_ih", "b_hh", "w_hr"), needs))
        before, full = out5, out6
        if MODE.grad:
            order = spans(starts, steps, batch, reverse)
            h, c = (s if s is not None else ops.zeros_like(g) for s, g in ((h0, g1), (c0, g2)))
            taken = lstm_steps(ops.linear(input, w_ih, b_ih), h, c, w_hh, b_hh, w_hr, order)
            before, full = (in_time((s[0], s[k]) for s in taken) for k in (1, 8))
            dz, dh, dc, dp = lstm_steps_back(g0, g1, g2, w_hh, w_hr, taken)
        else:
            dz, dc, dp = ops.lstm_layer_backward(g0, g1, g2, out3, out4, w_hh, w_hr, starts, steps, batch, reverse)
            dh = first_rows(dz, starts, steps, batch, reverse) @ w_hh if wanted["h0"] else None
        dx, dw_ih, dw_hh, db_ih, db_hh = product_gradients(dz, dz, input, before, w_ih, wanted)
        return dx, dh, dc, dw_ih, dw_hh, db_ih, db_hh, dp.t() @ full if w_hr is not None and wanted["w_hr"] else None


def lstm_steps(
    x: Tensor, h: Tensor, c: Tensor, w_hh: Tensor, b_hh: Tensor | None, w_hr: Tensor | None, order: Sequence[tuple[int, int]]
) -> list[tuple[Any, ...]]:
    """The layer in ordinary operators, of each step: (first row, state before, i, f, g, o, cell before, cell, state, state projected)."""
    taken = []
    for at, n in order:
        i, f, g, o = (x[at : at + n] + ops.linear(h[:n], w_hh, b_hh)).chunk(4, -1)
        i, f, g, o = i.sigmoid(), f.sigmoid(), g.tanh(), o.sigmoid()
        new = f * c[:n] + i * g
        full = o * new.tanh()
        state = full if w_hr is None else ops.linear(full, w_hr)
        taken.append((at, h[:n], i, f, g, o, c[:n], new, full, state))
        h, c = renewed(state, h), renewed(new, c)
    return taken


def lstm_steps_back(
    g: Tensor, dh: Tensor, dc: Tensor, w_hh: Tensor, w_hr: Tensor | None, taken: Sequence[tuple[Any, ...]]
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """LstmLayerBackward in ordinary operators, for derivatives of derivatives; (gates, h0, c0, projected states)."""
    rows, projected = [], []
    for at, _, i, f, a, o, old, new, _, _ in reversed(taken):
        n = i.shape[0]
        d = dh[:n] + g[at : at + n]
        full, top = d if w_hr is None else d @ w_hr, new.tanh()
        e = dc[:n] + full * o * (1 - top * top)
        dz = ops.cat([e * a * i * (1 - i), e * old * f * (1 - f), e * i * (1 - a * a), full * top * o * (1 - o)], -1)
        rows.append((at, dz))
        projected.append((at, d))
        dh, dc = renewed(dz @ w_hh, dh), renewed(e * f, dc)
    return in_time(rows), dh, dc, in_time(projected)


class LstmLayerBackward(Fused):
    """Gradients of (the gates before their activations, c0, projected states) from those of all states, the last ones and last cells."""

    schema = (
        "lstm_layer_backward(Tensor g, Tensor gh, Tensor gc, Tensor acts, Tensor before, Tensor w_hh, Tensor? w_hr, Tensor? starts, "
        "int steps, int batch, bool reverse) -> (Tensor, Tensor, Tensor)"
    )
    paths = ""
    contiguous = True

    @staticmethod
    def kernel(
        g: Layout, gh: Layout, gc: Layout, acts: Layout, before: Layout, w_hh: Layout, w_hr: Layout | None, starts: Layout | None,
        steps: int, batch: int, reverse: bool,
    ) -> Result:  # fmt: skip
        kind, size, n = g.dtype, g.dtype.itemsize, g.shape[0]
        h, p = w_hh.shape[0] // 4, w_hh.shape[1]
        expect((n, 4 * h), acts)
        expect((n, h), before)
        expect((batch, p), gh)
        expect((batch, h), gc)
        given = places(g, gh, gc, acts, before, w_hh, w_hr, starts)
        first = 1 if w_hr else 3  # operands before the gates: a product, and what comes from outside unless projected before
        i, f, a, o, c_before, dc = (input(first + k, kind) for k in range(6))
        dh = input(0, kind) if w_hr else input(0, kind) + input(1, kind) + input(2, kind)
        top = tanh(f * c_before + i * a)
        e = dc + dh * o * (1.0 - top * top)
        body = [e * a * i * (1.0 - i), e * c_before * f * (1.0 - f), e * i * (1.0 - a * a), dh * top * o * (1.0 - o), e * f]
        outside = [Now(given[0], p), Start(given[1])]
        ins = [*rows_of_time(given[3], 4, h, 4 * h, size), Now(given[4], h), Carried(Out(1), given[2])]
        outs = [*rows_of_time(Out(0), 4, h, 4 * h, size), Carried(Out(1))]
        later, by_state = State(Now(Out(0), 4 * h), 4 * h), Weight(given[5], 1, p)
        if w_hr:
            total = input(0, kind) + input(1, kind) + input(2, kind)
            stages = [
                Stage(later, by_state, 1, p, [total], outside, [Now(Out(2), p)]),
                Stage(State(Now(Out(2), p), p, False), Weight(given[6], 1, h), 1, h, body, ins, outs),
            ]
        else:
            stages = [Stage(later, by_state, 1, h, body, [*outside, *ins], outs)]
        shapes = ((n, 4 * h), (batch, h), (n, p) if w_hr else (0,))
        schedule = recurrence(kind, Sequences(steps, batch, not reverse, given[7]), stages)
        return Result(tuple(layout(s, kind) for s in shapes), schedule)


# -- GRU
class GruLayer(Fused):
    """(hidden states, the last ones; for backward: r, u, n and the hidden share of n, states before)."""

    schema = (
        "gru_layer(Tensor input, Tensor? h0, Tensor w_ih, Tensor w_hh, Tensor? b_ih, Tensor? b_hh, Tensor? starts, "
        "int steps, int batch, bool reverse, bool train) -> (Tensor, Tensor, Tensor, Tensor)"
    )
    paths = ""
    contiguous = True

    @staticmethod
    def kernel(
        x: Layout, h0: Layout | None, w_ih: Layout, w_hh: Layout, b_ih: Layout | None, b_hh: Layout | None, starts: Layout | None,
        steps: int, batch: int, reverse: bool, train: bool,
    ) -> Result:  # fmt: skip
        check(3, x, (h0,), w_ih, w_hh, None, (b_ih, b_hh), (starts, steps, batch))
        n, h, kind, size = x.shape[0], w_hh.shape[1], x.dtype, x.dtype.itemsize
        given = places(x, h0, w_ih, w_hh, b_ih, b_hh, starts)
        shapes = ((n, h), (batch, h), *(((n, 4 * h), (n, h)) if train else ((0,), (0,))))
        kept, pitch = (Out(2), 4 * h) if train else (Work(0), 3 * h)
        gates = rows_of_time(kept, 4, h, pitch, size)
        xr, xu, xn, br, bu, bn, old = (input(3 + k, kind) for k in range(7))
        zn = input(2, kind) + bn
        state, r, u, new = gru_cell(xr, xu, xn, input(0, kind) + br, input(1, kind) + bu, zn, old)
        body, outs = [state, state], [Now(Out(0), h), Carried(Out(1))]
        if train:
            body, outs = [*body, r, u, new, zn], [*outs, *gates]
        ins = [*gates[:3], *(Fixed(w) for w in columns(given[5], 3, h, size)), Carried(Out(1), given[1])]
        before = State(Now(Out(0), h), h, True, given[1], Out(3) if train else 0)
        stages = [Stage(before, Weight(given[3], h, 1), 3, h, body, ins, outs)]
        room = 0 if train else n * 3 * h * size
        product = input_product(x, w_ih, b_ih is not None, (kept, pitch), [given[0], given[2], given[4]], room)
        schedule = together(product, Sequences(steps, batch, reverse, given[6]), kind, stages)
        return Result(tuple(layout(s, kind) for s in shapes), schedule)

    @staticmethod
    def gradient(
        g0: Tensor, g1: Tensor, out2: Tensor, out3: Tensor, input: Tensor, h0: Tensor | None, w_ih: Tensor, w_hh: Tensor,
        b_ih: Tensor | None, b_hh: Tensor | None, starts: Tensor | None, steps: int, batch: int, reverse: bool, needs: Sequence[bool],
    ) -> tuple[Any, ...]:  # fmt: skip
        wanted: dict[str, bool] = dict(zip(("input", "h0", "w_ih", "w_hh", "b_ih", "b_hh"), needs))
        before = out3
        if MODE.grad:
            order = spans(starts, steps, batch, reverse)
            taken = gru_steps(ops.linear(input, w_ih, b_ih), ops.zeros_like(g1) if h0 is None else h0, w_hh, b_hh, order)
            before = in_time((s[0], s[1]) for s in taken)
            dx, dz, dh = gru_steps_back(g0, g1, w_hh, taken)
        else:
            dx, dz, dh = ops.gru_layer_backward(g0, g1, out2, before, w_hh, starts, steps, batch, reverse)
            dh = dh + first_rows(dz, starts, steps, batch, reverse) @ w_hh if wanted["h0"] else None
        by_x, dw_ih, dw_hh, db_ih, db_hh = product_gradients(dx, dz, input, before, w_ih, wanted)
        return by_x, dh, dw_ih, dw_hh, db_ih, db_hh


def gru_steps(x: Tensor, h: Tensor, w_hh: Tensor, b_hh: Tensor | None, order: Sequence[tuple[int, int]]) -> list[tuple[Any, ...]]:
    """The layer in ordinary operators, of each step: (first row, state before, r, u, n, hidden share of n, state)."""
    taken = []
    for at, n in order:
        xr, xu, xn = x[at : at + n].chunk(3, -1)
        zr, zu, zn = ops.linear(h[:n], w_hh, b_hh).chunk(3, -1)
        r, u = (xr + zr).sigmoid(), (xu + zu).sigmoid()
        new = (xn + r * zn).tanh()
        state = new + u * (h[:n] - new)
        taken.append((at, h[:n], r, u, new, zn, state))
        h = renewed(state, h)
    return taken


def gru_steps_back(g: Tensor, dh: Tensor, w_hh: Tensor, taken: Sequence[tuple[Any, ...]]) -> tuple[Tensor, Tensor, Tensor]:
    """GruLayerBackward in ordinary operators, for derivatives of derivatives; (input's gates, state's gates, h0)."""
    by_x, by_state = [], []
    for at, old, r, u, new, zn, _ in reversed(taken):
        n = r.shape[0]
        d = dh[:n] + g[at : at + n]
        dn = d * (1 - u) * (1 - new * new)
        du, dr = d * (old - new) * u * (1 - u), dn * zn * r * (1 - r)
        dz = ops.cat([dr, du, dn * r], -1)
        by_x.append((at, ops.cat([dr, du, dn], -1)))
        by_state.append((at, dz))
        dh = renewed(d * u + dz @ w_hh, dh)
    return in_time(by_x), in_time(by_state), dh


class GruLayerBackward(Fused):
    """Gradients of (the input's gates, the state's gates, what of h0 does not pass the product) from those of all states and the last."""

    schema = (
        "gru_layer_backward(Tensor g, Tensor gh, Tensor kept, Tensor before, Tensor w_hh, Tensor? starts, "
        "int steps, int batch, bool reverse) -> (Tensor, Tensor, Tensor)"
    )
    paths = ""
    contiguous = True

    @staticmethod
    def kernel(
        g: Layout, gh: Layout, kept: Layout, before: Layout, w_hh: Layout, starts: Layout | None, steps: int, batch: int, reverse: bool
    ) -> Result:
        (n, h), kind, size = g.shape, g.dtype, g.dtype.itemsize
        expect((n, h), before)
        expect((n, 4 * h), kept)
        expect((batch, h), gh)
        given = places(g, gh, kept, before, w_hh, starts)
        r, u, new, zn, old, later = (input(2 + k, kind) for k in range(6))
        dh = input(0, kind) + input(1, kind) + later
        dn = dh * (1.0 - u) * (1.0 - new * new)
        du = dh * (old - new) * u * (1.0 - u)
        dr = dn * zn * r * (1.0 - r)
        ins = [Now(given[0], h), *rows_of_time(given[2], 4, h, 4 * h, size), Now(given[3], h), Carried(Out(2), given[1])]
        outs = [*rows_of_time(Out(0), 3, h, 3 * h, size), *rows_of_time(Out(1), 3, h, 3 * h, size), Carried(Out(2))]
        body = [dr, du, dn, dr, du, dn * r, dh * u]
        stages = [Stage(State(Now(Out(1), 3 * h), 3 * h), Weight(given[4], 1, h), 1, h, body, ins, outs)]
        schedule = recurrence(kind, Sequences(steps, batch, not reverse, given[5]), stages)
        return Result(tuple(layout(s, kind) for s in ((n, 3 * h), (n, 3 * h), (batch, h))), schedule)


# -- Elman's network
class RnnLayer(Fused):
    """(hidden states, the last ones; for backward: states before): act(x W_ih^T + b_ih + h W_hh^T + b_hh), act tanh or relu."""

    schema = (
        "rnn_layer(Tensor input, Tensor? h0, Tensor w_ih, Tensor w_hh, Tensor? b_ih, Tensor? b_hh, Tensor? starts, "
        "bool by_relu, int steps, int batch, bool reverse, bool train) -> (Tensor, Tensor, Tensor)"
    )
    paths = ""
    contiguous = True

    @staticmethod
    def kernel(
        x: Layout, h0: Layout | None, w_ih: Layout, w_hh: Layout, b_ih: Layout | None, b_hh: Layout | None, starts: Layout | None,
        by_relu: bool, steps: int, batch: int, reverse: bool, train: bool,
    ) -> Result:  # fmt: skip
        check(1, x, (h0,), w_ih, w_hh, None, (b_ih, b_hh), (starts, steps, batch))
        n, h, kind = x.shape[0], w_hh.shape[1], x.dtype
        given = places(x, h0, w_ih, w_hh, b_ih, b_hh, starts)
        s = input(0, kind) + input(1, kind) + input(2, kind)
        state = relu(s) if by_relu else tanh(s)
        here = Now(Out(0), h)  # the input's share, then the state
        before = State(here, h, True, given[1], Out(2) if train else 0)
        stages = [Stage(before, Weight(given[3], h, 1), 1, h, [state, state], [here, Fixed(given[5])], [here, Carried(Out(1))])]
        product = input_product(x, w_ih, b_ih is not None, (Out(0), h), [given[0], given[2], given[4]])
        schedule = together(product, Sequences(steps, batch, reverse, given[6]), kind, stages)
        shapes = ((n, h), (batch, h), (n, h) if train else (0,))
        return Result(tuple(layout(shape, kind) for shape in shapes), schedule)

    @staticmethod
    def gradient(
        g0: Tensor, g1: Tensor, out0: Tensor, out2: Tensor, input: Tensor, h0: Tensor | None, w_ih: Tensor, w_hh: Tensor,
        b_ih: Tensor | None, b_hh: Tensor | None, starts: Tensor | None, by_relu: bool, steps: int, batch: int, reverse: bool,
        needs: Sequence[bool],
    ) -> tuple[Any, ...]:  # fmt: skip
        wanted: dict[str, bool] = dict(zip(("input", "h0", "w_ih", "w_hh", "b_ih", "b_hh"), needs))
        before = out2
        if MODE.grad:
            order = spans(starts, steps, batch, reverse)
            start = ops.zeros_like(g1) if h0 is None else h0
            taken = rnn_steps(ops.linear(input, w_ih, b_ih), start, w_hh, b_hh, by_relu, order)
            before = in_time((s[0], s[1]) for s in taken)
            dz, dh = rnn_steps_back(g0, g1, w_hh, by_relu, taken)
        else:
            dz = ops.rnn_layer_backward(g0, g1, out0, w_hh, starts, by_relu, steps, batch, reverse)
            dh = first_rows(dz, starts, steps, batch, reverse) @ w_hh if wanted["h0"] else None
        dx, dw_ih, dw_hh, db_ih, db_hh = product_gradients(dz, dz, input, before, w_ih, wanted)
        return dx, dh, dw_ih, dw_hh, db_ih, db_hh


def rnn_steps(
    x: Tensor, h: Tensor, w_hh: Tensor, b_hh: Tensor | None, by_relu: bool, order: Sequence[tuple[int, int]]
) -> list[tuple[Any, ...]]:
    """The layer in ordinary operators, of each step: (first row, state before, state)."""
    taken = []
    for at, n in order:
        s = x[at : at + n] + ops.linear(h[:n], w_hh, b_hh)
        state = s.relu() if by_relu else s.tanh()
        taken.append((at, h[:n], state))
        h = renewed(state, h)
    return taken


def rnn_steps_back(g: Tensor, dh: Tensor, w_hh: Tensor, by_relu: bool, taken: Sequence[tuple[Any, ...]]) -> tuple[Tensor, Tensor]:
    """RnnLayerBackward in ordinary operators, for derivatives of derivatives; (gates, h0)."""
    rows = []
    for at, _, state in reversed(taken):
        n = state.shape[0]
        d = (dh[:n] + g[at : at + n]) * ((state > 0).to(state.dtype) if by_relu else 1 - state * state)
        rows.append((at, d))
        dh = renewed(d @ w_hh, dh)
    return in_time(rows), dh


class RnnLayerBackward(Fused):
    """Gradient of the gates from those of all states and the last ones."""

    schema = (
        "rnn_layer_backward(Tensor g, Tensor gh, Tensor states, Tensor w_hh, Tensor? starts, bool by_relu, "
        "int steps, int batch, bool reverse) -> Tensor"
    )
    paths = ""
    contiguous = True

    @staticmethod
    def kernel(
        g: Layout, gh: Layout, states: Layout, w_hh: Layout, starts: Layout | None, by_relu: bool, steps: int, batch: int, reverse: bool
    ) -> Result:
        (n, h), kind = g.shape, g.dtype
        expect((n, h), states)
        expect((batch, h), gh)
        given = places(g, gh, states, w_hh, starts)
        d, state = input(0, kind) + input(1, kind) + input(2, kind), input(3, kind)
        slope = where(state <= 0.0, 0.0, d) if by_relu else d * (1.0 - state * state)
        ins = [Now(given[0], h), Start(given[1]), Now(given[2], h)]
        stages = [Stage(State(Now(Out(0), h), h), Weight(given[3], 1, h), 1, h, [slope], ins, [Now(Out(0), h)])]
        return Result((layout((n, h), kind),), recurrence(kind, Sequences(steps, batch, not reverse, given[4]), stages))
