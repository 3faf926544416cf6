"""Every nest compiles for every target, also those that this machine cannot run."""

from __future__ import annotations

import pytest

from facula.base.dtypes import bfloat16, bool_, complex128, dtype, float16, float32, float64, int8, int64
from facula.base.target import TARGETS, Target
from facula.kernel import compiler
from facula.kernel.coalesce import contiguous
from facula.kernel.ctc import ctc, ctc_backward
from facula.kernel.indexing import count_true, embedding_backward, gather, masked_select, nonzero, symmetric
from facula.kernel.launch import Array, In, Out, Schedule
from facula.kernel.pointwise import copy, pointwise
from facula.kernel.pooling import fractional_max_pool
from facula.kernel.recurrent import Carried, Fixed, Now, Sequences, Stage, Start, State, Weight, recurrence
from facula.kernel.reduction import argmax_of, inner_of, moments_of, reduce, reduce_pairs, sum_of
from facula.kernel.scalar import exp, input
from facula.kernel.scan import scan
from facula.kernel.sorting import begins, sort_rows


def a(d: dtype, *shape: int) -> Array:
    return Array(d, shape, contiguous(shape))


def elman(d: dtype) -> Schedule:
    """h = exp(x + W h + b + a carried state), with every kind of operand."""
    body = [exp(input(0, d) + input(1, d) + input(2, d) + input(3, d) + input(4, d))] * 2
    ins, outs = [Now(In(0), 9), Fixed(In(1)), Carried(Out(1), In(2)), Start(In(2))], [Now(Out(0), 9), Carried(Out(1))]
    stage = Stage(State(Now(Out(0), 9), 9, True, In(2), Out(2)), Weight(In(3), 9, 1), 1, 9, body, ins, outs)
    return recurrence(d, Sequences(3, 5, True, In(4)), [stage])


SCHEDULES: dict[str, Schedule] = {
    "recurrence": elman(float32),
    "recurrence in double": elman(float64),
    "ctc": ctc(a(float32, 9, 2, 5), 3, 0),
    "ctc backward": ctc_backward(a(float64, 9, 2, 5), 3, 0, True),
    "rows of halves": sort_rows(a(bfloat16, 9000, 3)),
    "rows of integers": sort_rows(a(int64, 9000, 3)),
    "begins": begins(a(float16, 9, 3)),
    "flat": pointwise([a(float32, 99)], [a(float32, 99)] * 2, [input(0) + exp(input(1))]),
    "blocks": pointwise([a(float32, 9, 10**7)], [Array(float32, (9, 10**7), (0, 1))], [input(0)]),
    "tiles": copy(a(float32, 99, 99), Array(float32, (99, 99), (1, 99))),
    "halves": copy(a(float16, 99), a(bfloat16, 99)),
    "rows": reduce([a(float32)], [a(float32, 999, 999)], (0, 1), moments_of(float32)),
    "columns": reduce([a(int64, 99)], [a(float32, 99, 99)], (0,), argmax_of(float32)),
    "pairs": reduce_pairs(a(bfloat16, 36), a(bfloat16, 9, 5), inner_of(bfloat16)),
    "symmetric": symmetric(a(float16, 9, 9), a(float16, 36)),
    "windows at random places": fractional_max_pool(a(float16, 3, 4, 4), a(float16, 3, 9, 9), kernel=(2, 2), order=(1, 0)),
    "scan": scan([a(float32, 200000)], [a(float32, 200000)], 0, sum_of(float32)),
    "put": embedding_backward(a(float32, 30, 99), a(float32, 9, 99), a(int64, 9)),
    "take": gather(a(complex128, 3, 3), a(complex128, 4, 4), a(int64, 3, 3), 1),
    "nonzero": nonzero(a(int64, 5, 2), a(bool_, 9, 9)),
    "select": masked_select(a(int8, 5), a(int8, 9, 9), a(bool_, 9, 9)),
    "count": count_true(a(int64, 5), a(float16, 99)),
}


@pytest.mark.parametrize("target", TARGETS.values(), ids=lambda t: t.name)
@pytest.mark.parametrize("name", SCHEDULES)
def test_it_compiles(name: str, target: Target) -> None:
    for launch in SCHEDULES[name].launches:
        assert len(compiler.object_code(launch.kernel, target)) > 100
