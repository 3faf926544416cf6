"""Nodes, text, simplification and tracing."""

from __future__ import annotations

import gc
import math
import pickle

import pytest

from facula.base.dtypes import bfloat16, bool_, complex64, float32, float64, int64, uint8
from facula.kernel.scalar import Scalar, cast, const, erf, exp, input, number, order, parse, pow, simplify, substitute, text, trace, where
from facula.kernel.scalar.node import _NODES


def gelu(x: Scalar) -> Scalar:
    return 0.5 * x * (1.0 + erf(x * math.sqrt(0.5)))


def test_equal_expressions_are_one_object_and_die_with_their_users() -> None:
    gc.collect()
    x = input(0)
    assert x + 1 is x + 1.0 and exp(x) is exp(input(0)) and const(0.0) is not const(-0.0)
    before = len(_NODES)
    y = exp(x * 17.25) + 3.625  # constants that nothing else holds
    assert len(_NODES) == before + 5
    del y
    gc.collect()
    assert len(_NODES) == before


def test_python_numbers_take_the_other_operands_type() -> None:
    assert (input(0, uint8) + 300).args[1].attr == 44
    assert (input(0) * 0.1).args[1].attr == pytest.approx(0.1, rel=1e-7) and (input(0) * 0.1).args[1].attr != 0.1
    assert (1 - input(0, float64)).args[0].attr == 1.0
    assert input(0, bfloat16).dtype is float32
    for build in (lambda: input(0, int64) + 0.5, lambda: input(0) + 1j, lambda: input(0) + input(1, float64), lambda: input(0, int64) / 2):
        with pytest.raises(TypeError, match="cast"):
            build()


def test_bool_follows_pytorch() -> None:
    a, b = input(0, bool_), input(1, bool_)
    assert (a + b).op == "or" and (a * b).op == "and" and (a ^ b).op == "xor" and (~a).op == "not"
    with pytest.raises(TypeError, match="bool"):
        a - b
    with pytest.raises(TypeError, match="where"):
        bool(a)


def test_nodes_are_immutable_and_pickle_to_themselves() -> None:
    x = gelu(input(0))
    with pytest.raises(AttributeError, match="immutable"):
        x.op = "add"
    assert pickle.loads(pickle.dumps(x)) is x


def test_text_comes_back_as_the_same_nodes() -> None:
    z = input(2, complex64)
    body = (gelu(input(0)), where(input(1) > -0.0, math.inf, number(0)), z * (1 - 2j), cast(input(1), uint8) >> 3)
    assert all(a is b for a, b in zip(parse(text(body)), body))
    assert text(parse(text(body))) == text(body)
    assert text(trace(gelu, [float32])).startswith("input float32 0;const float32 0x1.0000000000000p-1;")


def test_shared_parts_are_written_once() -> None:
    x = input(0)
    for _ in range(200):
        x = x * x + 1
    assert len(text([x])) < 10_000 and len(repr(x)) < 3_000


def test_deep_expressions_do_not_recurse() -> None:
    x = input(0)
    for i in range(20_000):
        x = x + float(i % 7 + 1)
    assert simplify([x])[0] is x and parse(text([x]))[0] is x and len(order([x])) == 20_008
    assert substitute([x], {input(0): input(1)})[0] is not x


def test_repr_reads_like_the_formula() -> None:
    assert repr(gelu(input(0))) == "mul(mul(0.5, input), add(1, erf(mul(input, 0.707107))))".replace("1, erf", "1.0, erf")


@pytest.mark.parametrize(
    ("build", "want"),
    [
        (lambda x: x * 1, lambda x: x),
        (lambda x: x + -0.0, lambda x: x),
        (lambda x: -(x * 1 * -1), lambda x: x),
        (lambda x: x * -1, lambda x: -x),
        (lambda x: x + (-x), lambda x: x - x),
        (lambda x: x / 4, lambda x: x * 0.25),
        (lambda x: pow(x, 2), lambda x: x * x),
        (lambda x: pow(x, 0.5), lambda x: Scalar("sqrt", (x,), float32)),
        (lambda x: where(~(x > 0), x, 2.0), lambda x: where(x > 0, 2.0, x)),
        (lambda x: x * (const(2.0) * 3.0), lambda x: x * 6.0),
        (lambda x: cast(cast(x, float64), float32), lambda x: x),
    ],
)
def test_rules(build, want) -> None:  # type: ignore[no-untyped-def]
    assert simplify([build(input(0))])[0] is want(input(0))


@pytest.mark.parametrize("build", [lambda x: x + 0.0, lambda x: x * 0.0, lambda x: x - x, lambda x: x / 3])
def test_what_would_change_a_bit_stays(build) -> None:  # type: ignore[no-untyped-def]
    assert simplify([build(input(0))])[0] is build(input(0))


def test_trace_takes_numbers_by_position_or_name_and_static_arguments() -> None:
    (a,) = trace(lambda x, alpha: x * alpha, [float32], [float32])
    (b,) = trace(lambda x, alpha: x * alpha, [float32], {"alpha": float32})
    (c,) = trace(lambda x, kind: x if kind == "same" else -x, [float32], static={"kind": "other"})
    assert a is b is input(0) * number(0) and c is -input(0)
    assert trace(lambda x: (x, 2), [bfloat16])[1] is const(2.0)
