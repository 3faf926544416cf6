"""The plan table never gives the plan of another call: keys are identities, and what they name stays alive or leaves the table."""

from __future__ import annotations

import gc
import importlib
import math
import random

import pytest

import facula as t
import facula.nn.functional as F
from facula.base.settings import SETTINGS
from facula.core import objects
from facula.core.expression import PLANS
from facula.core.native import fields

layout = importlib.import_module("facula.core.layout")  # the package has the function under this name


def test_more_plans_than_rows() -> None:
    for n in range(1, 3000):
        x = t.ones(n % 700 + 1, 2)
        assert (x + 1.0).shape == x.shape
        assert x.reshape(2, -1).shape == (2, n % 700 + 1)
        assert x.sum(0).tolist() == [n % 700 + 1.0] * 2


def test_trimmed_layouts() -> None:
    x = t.arange(6.0).view(2, 3)
    expected = (x * 2.0).tolist()
    for _ in range(3):
        layout._trim()
        for k in range(50):  # new layouts may lie where old ones lay
            t.ones(k + 1, 3) * 2.0
        gc.collect()
        y = t.arange(6.0).view(2, 3)
        assert (y * 2.0).tolist() == expected
        assert (x * 2.0).tolist() == expected
        assert (x + y).tolist() == expected
        assert x.t().contiguous().tolist() == [[0.0, 3.0], [1.0, 4.0], [2.0, 5.0]]


def test_many_layouts_trim_themselves() -> None:
    before = layout.LIMIT
    layout.LIMIT = 200
    try:
        for k in range(600):
            x = t.ones(k + 1)
            assert (x + x).sum().item() == 2.0 * (k + 1)
    finally:
        layout.LIMIT = before


def test_keyword_names_that_are_made_anew() -> None:
    x = t.arange(6.0).view(2, 3)
    for k in range(200):
        names = "".join(["d", "im"])
        assert x.sum(**{names: k % 2}).tolist() == x.sum(k % 2).tolist()
        options = {"keepdim": bool(k % 2), "dim": 1}
        assert x.sum(**options).ndim == (2 if k % 2 else 1)
        swapped = {"other": x, "alpha": k} if k % 3 else {"alpha": k, "other": x}
        assert t.sub(x, **swapped).tolist() == (x - k * x).tolist()
        gc.collect(0)


def test_random_calls_agree_with_a_cleared_table() -> None:
    """The same call with an empty table and with whatever the table holds."""
    rng = random.Random(3)
    a, b = t.arange(12.0).view(3, 4) + 1, t.arange(12.0).view(4, 3).t() - 3
    i = t.arange(12).view(3, 4)
    operands = [a, b, i, 2, 2.0, -1, 0.5, True, a[0], i[:, :1], a > 3]
    calls = [
        lambda x, y: t.add(x, y), lambda x, y: t.add(y, x), lambda x, y: x - y, lambda x, y: t.sub(x, y, alpha=2), lambda x, y: t.mul(input=x, other=y),
        lambda x, y: t.maximum(t.as_tensor(x), t.as_tensor(y)), lambda x, y: t.as_tensor(x).clamp(max=y), lambda x, y: t.as_tensor(x).clamp(min=y),
        lambda x, y: t.where(t.as_tensor(x) > 0, x, y), lambda x, y: t.as_tensor(x) == y, lambda x, y: t.as_tensor(x).pow(y), lambda x, y: x * y + x,
    ]  # fmt: skip

    def outcome(f: object, x: object, y: object) -> str:
        try:
            got = f(x, y)
        except Exception as e:
            return f"{type(e).__name__} {e}"
        return f"{got.dtype} {tuple(got.shape)} {got.stride()} {got.tolist()}" if isinstance(got, t.Tensor) else repr(got)

    for _ in range(1500):
        f, x, y = rng.choice(calls), rng.choice(operands), rng.choice(operands)
        warm = outcome(f, x, y)
        again = outcome(f, x, y)
        if rng.random() < 0.2:
            objects.clear_table()
            PLANS.clear()
        assert warm == again == outcome(f, x, y)


def test_same_object_in_several_places() -> None:
    a, b = t.tensor([1.0, 2.0]), t.tensor([10.0, 20.0])
    for _ in range(3):
        for x, y, z in ((a, a, a), (a, b, a), (b, a, a), (a, a, b), (b, b, a), (b, a, b)):
            assert t.addcmul(x, y, z).tolist() == [p + q * r for p, q, r in zip(x.tolist(), y.tolist(), z.tolist())]
            assert t.addcmul(x, tensor1=y, tensor2=z).tolist() == t.addcmul(x, tensor2=z, tensor1=y).tolist()
            assert t.lerp(x, y, z).shape == (2,)


def test_requires_grad_is_part_of_the_key() -> None:
    x = t.ones(3)
    for _ in range(3):
        assert not (x * 2.0).requires_grad
        x.requires_grad_()
        assert (x * 2.0).requires_grad
        with t.no_grad():
            assert not (x * 2.0).requires_grad
        x.requires_grad_(False)


def test_inference_results_on_the_fast_road() -> None:
    w = t.ones(3, requires_grad=True)
    with t.inference_mode():
        for _ in range(4):
            y = (w * 2.0) + 1.0
            assert y.is_inference() and y[0].is_inference() and not w[0].is_inference()
    for _ in range(3):
        z = w * 2.0
        assert z.requires_grad and not z.is_inference()
        assert not (y + 1.0).is_inference()


def test_a_history_that_was_cut_is_none() -> None:
    """`detach_` writes None where a tensor's node is: plans made for such a tensor record nothing, and must not serve one with a history."""
    plain = t.ones(3, 1, 5).detach_()
    assert not plain.view(15).requires_grad
    leaf = t.ones(3, 1, 5, requires_grad=True)
    assert (leaf * 2).view(15).requires_grad
    again = t.ones(7).detach_().requires_grad_(True)
    (again * 3).sum().backward()
    assert again.grad.tolist() == [3.0] * 7
    source = t.tensor(5.0, requires_grad=True)
    t.ones(3).put_(t.tensor(0), source).sum().backward()
    assert source.grad.item() == 1


def test_which_argument_is_which_operand() -> None:
    """Given twice, by name, in another order, or left to the default: a row reads what belongs to each operand."""
    x, y = t.tensor([1.0, -2.0]), t.tensor([3.0, 5.0])
    for a in (2, 3, 2.5):
        assert x.add(x, alpha=a).tolist() == [1 + a, -2 - 2 * a]
        assert t.add(alpha=a, other=y, input=x).tolist() == [1 + 3 * a, -2 + 5 * a]
        assert t.add(x, alpha=a, other=2).tolist() == [1 + 2 * a, -2 + 2 * a]
        assert t.add(x, a, alpha=a).tolist() == [1 + a * a, -2 + a * a]
        assert x.addcmul(y, y, value=a).tolist() == [1 + 9 * a, -2 + 25 * a]
    for a in (20, 1, 20, 1, 5, 1):
        soft = F.softplus(x, threshold=a), F.softplus(x, 1, a), F.softplus(x, beta=a), F.softplus(x, a), F.softplus(x)
        want = [
            [math.log1p(math.exp(b * v)) / b if b * v <= c else v for v in (1.0, -2.0)]
            for b, c in ((1, a), (1, a), (a, 20), (a, 20), (1, 20))
        ]
        for got, expected in zip(soft, want):
            assert got.tolist() == pytest.approx(expected, rel=1e-5)


def test_names_of_arguments_and_not_their_tuple_are_the_key() -> None:
    x, misses = t.ones(2, 3), fields.STATE["misses"]
    for asked in ({"dim": 1, "keepdim": True}, {"keepdim": True, "dim": 1}, {"dim": 0}, {"axis": 0}, {"dim": 1, "keepdim": False}):
        want = x.sum(*(asked.get("dim", 0),), keepdim=asked.get("keepdim", False))
        missed = []
        for _ in range(40):  # another key may have taken the place in the table
            before = objects.state[misses] if objects.NATIVE else 0
            got = x.sum(**dict(asked.items()))
            missed.append(objects.state[misses] - before if objects.NATIVE else 0)
            assert got.tolist() == want.tolist()
        assert SETTINGS.check_bounds or 0 in missed[2:]


def test_one_name_for_kernels_and_functions_in_python() -> None:
    """Of overloads some of which are elementwise, numbers are operands; the others still get chains."""
    x, mask = t.tensor([1.0, -2.0, 3.0]), t.tensor([True, False, True])
    for a in (0.0, 5.0, 7, 2, 0.0, 9):
        assert t.where(mask, x, a).tolist() == [1.0, a, 3.0]
        assert [p.tolist() for p in t.where(mask)] == [[0, 2]]
        assert [p.tolist() for p in t.where(x > a)] == [[i for i, v in enumerate((1.0, -2.0, 3.0)) if v > a]]


@pytest.mark.skipif(not objects.NATIVE, reason="there is no plan table")
def test_keys_in_use_find_places_beside_others() -> None:
    """400 keys in use, where 8000 others were: of two that meet in a place, none takes it from the other for ever."""
    x = t.arange(256)
    for i in range(200):
        for j in range(40):
            t.narrow(x, 0, i, j + 1)
    word = fields.STATE["misses"]
    missed = 0
    for _ in range(40):
        before = objects.state[word]
        for k in range(200):
            t.narrow(x, 0, k, 50), t.narrow(x, 0, 0, k)
        missed = objects.state[word] - before
    assert missed < 30
