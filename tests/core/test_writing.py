"""Recorded writes: values, versions and gradients as PyTorch 2.13 gives them."""

from __future__ import annotations

from typing import Any

import pytest

import facula
import facula.core.native.fields as fields
import facula.core.objects as objects
from facula.base.settings import SETTINGS


@pytest.fixture
def pair() -> tuple[Any, Any]:
    return facula.tensor([1.0, -2.0, 3.0], requires_grad=True), facula.tensor([2.0, 3.0, 4.0], requires_grad=True)


def test_a_chain(pair: tuple[Any, Any]) -> None:
    w, y = pair
    x = w * 1
    x.add_(y, alpha=2).mul_(3.0).sub_(w).div_(y).relu_()
    x.sum().backward()
    assert x.tolist() == pytest.approx([7.0, 4.666666507720947, 7.5])
    assert w.grad.tolist() == pytest.approx([1.0, 0.6666667461395264, 0.5])
    assert y.grad.tolist() == pytest.approx([-0.5, 0.4444444179534912, -0.375])
    assert x._version == 5


def test_the_target_as_operand(pair: tuple[Any, Any]) -> None:
    w, _ = pair
    x = w * 1
    x.add_(x).add_(x)
    x.sum().backward()
    assert w.grad.tolist() == [4.0, 4.0, 4.0]
    x = w * 1
    x.mul_(x)  # its derivative reads what was overwritten
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        x.sum().backward()


def test_a_retained_gradient(pair: tuple[Any, Any]) -> None:
    w, y = pair
    x = w * 1
    x.retain_grad()
    x.add_(y)
    (x * x).sum().backward()
    assert x.grad.tolist() == [6.0, 2.0, 14.0]
    assert w.grad.tolist() == [6.0, 2.0, 14.0]


def test_through_a_view(pair: tuple[Any, Any]) -> None:
    w, y = pair
    x = w * 1
    x[1:].add_(y[1:])
    (x * x).sum().backward()
    assert x.tolist() == [1.0, 1.0, 7.0]
    assert w.grad.tolist() == [2.0, 2.0, 14.0]


def test_a_saved_result_that_is_overwritten(pair: tuple[Any, Any]) -> None:
    w, _ = pair
    x = (w * 1).relu_()
    x.add_(1.0)
    with pytest.raises(RuntimeError, match="output 0 of Relu, is at version 2; expected version 1 instead"):
        x.sum().backward()


def test_nothing_is_copied(pair: tuple[Any, Any]) -> None:
    """The kernel writes where the target is, and the history grows by one node."""
    w, y = pair
    x = w * 1
    place, before = x.data_ptr(), x.grad_fn
    x.add_(y)
    assert x.data_ptr() == place
    assert x.grad_fn.name() == "AddBackward0"
    assert x.grad_fn.next_functions[0][0] is before


# -- out=: three calls each, as the second is planned and the third comes from the plan table
OUT: list[tuple[Any, tuple[int, ...]]] = [
    (lambda x, y, out: facula.add(x, y, out=out), (3, 3)),
    (lambda x, y, out: facula.add(x, 2.5, alpha=2, out=out), (3, 3)),
    (lambda x, y, out: facula.exp(x, out=out), (3, 3)),
    (lambda x, y, out: facula.mm(x, y, out=out), (3, 3)),
    (lambda x, y, out: facula.sum(x, dim=1, out=out), (3,)),
    (lambda x, y, out: facula.cumsum(x, 0, out=out), (3, 3)),
    (lambda x, y, out: facula.cat([x, y], out=out), (6, 3)),
    (lambda x, y, out: facula.where(x > y, x, y, out=out), (3, 3)),
]


@pytest.mark.parametrize("call, shape", OUT)
def test_out_is_written(call: Any, shape: tuple[int, ...]) -> None:
    for _ in range(3):
        x, y, out = facula.randn(3, 3), facula.randn(3, 3), facula.full(shape, 7.0)
        seen = out.view(-1)
        assert call(x, y, out) is out
        assert facula.equal(out, call(x, y, None)) and facula.equal(seen, out.view(-1))
        assert out._version == 1 and out.grad_fn is None
        with pytest.raises(RuntimeError, match="don't support automatic differentiation"):
            call(x.requires_grad_(), y, out)
        with facula.no_grad():
            assert call(x, y, out) is out and not out.requires_grad


def test_out_is_an_operand() -> None:
    for _ in range(3):
        x, y = facula.randn(4, 4), facula.randn(4, 4)
        want, product, last = x + y, x @ y, x.clone()
        assert facula.equal(facula.add(x, y, out=x), want)
        assert facula.equal(facula.mm(last, y, out=last), product)
        z = facula.arange(12.0)
        assert facula.add(z[:8], 1, out=z[4:]).tolist() == [1.0, 2, 3, 4, 5, 6, 7, 8]  # what is still to be read is not overwritten
        turned = facula.arange(16.0).view(4, 4)
        assert facula.equal(facula.mul(turned.t(), 2, out=turned), facula.arange(16.0).view(4, 4).t() * 2)


def test_out_of_several_results() -> None:
    for _ in range(3):
        x = facula.tensor([[3.0, 1.0, 2.0]])
        values, places = facula.empty(1, 3), facula.empty(1, 3, dtype=facula.int64)
        got = facula.sort(x, out=(values, places))
        assert got.values is values and got.indices is places and type(got).__name__ == "sort_out"
        assert values.tolist() == [[1.0, 2.0, 3.0]] and places.tolist() == [[1, 2, 0]]
        same = facula.empty(1, 3)
        with pytest.raises(RuntimeError):
            facula.sort(x, out=(same, same))


def test_out_of_another_form() -> None:
    for _ in range(2):
        x = facula.arange(6.0).view(2, 3)
        turned = facula.zeros(3, 2).t()
        assert facula.add(x, 1, out=turned).stride() == (1, 2) and facula.equal(turned, x + 1)
        assert facula.add(x, 1, out=facula.empty(0)).shape == (2, 3)
        assert facula.add(x, 1, out=facula.empty(2, 3, dtype=facula.float64)).dtype is facula.float64
        with pytest.raises(RuntimeError, match="single memory location"):
            facula.add(x, 1, out=facula.zeros(3).expand(2, 3))
        with facula.inference_mode():
            fixed = facula.empty(2, 3)
        with pytest.raises(RuntimeError, match="Inplace update to inference tensor"):
            facula.add(x, 1, out=fixed)


SEVERAL: list[tuple[Any, tuple[int, ...], Any]] = [
    (lambda x, out: facula.max(x, 1, out=out), (2,), "int64"),
    (lambda x, out: facula.cummax(x, 1, out=out), (2, 3), "int64"),
    (lambda x, out: facula.sort(x, out=out), (2, 3), "int64"),
    (lambda x, out: facula.kthvalue(x, 2, 1, out=out), (2,), "int64"),
    (lambda x, out: facula.frexp(x, out=out), (2, 3), "int32"),
]


@pytest.mark.parametrize("call, shape, places", SEVERAL)
def test_several_results_come_from_the_plan_table(call: Any, shape: tuple[int, ...], places: str) -> None:
    missed: list[int] = []
    word = fields.STATE["misses"]
    for _ in range(40):  # other keys may have taken the place in the table
        x, out = facula.randn(2, 3), (facula.empty(shape), facula.empty(shape, dtype=getattr(facula, places)))
        seen = [o.view(-1) for o in out]
        want = call(x, None)
        before = objects.state[word] if objects.NATIVE else 0
        got = call(x, out)
        missed.append(objects.state[word] - before if objects.NATIVE else 0)
        assert all(a is b for a, b in zip(got, out)) and type(got).__name__ == type(want).__name__ + "_out"
        assert all(facula.equal(a, b) and facula.equal(s, b.view(-1)) and a._version == 1 for a, b, s in zip(out, want, seen))
        with pytest.raises(RuntimeError, match="don't support automatic differentiation"):
            call(x.requires_grad_(), out)
    assert SETTINGS.check_bounds or 0 in missed[2:]


def test_several_results_over_an_operand() -> None:
    """The key of such a call is that of one on memory apart."""
    for i in range(6):
        x = facula.tensor([[3.0, 1.0, 2.0]])
        places = facula.empty(1, 3, dtype=facula.int64)
        values = x if i % 2 else facula.empty(1, 3)
        facula.sort(x, out=(values, places))
        assert values.tolist() == [[1.0, 2.0, 3.0]] and places.tolist() == [[1, 2, 0]]
        x = facula.tensor([[3, 1, 2]])
        values, places = facula.empty(1, dtype=facula.int64), x[:, 0] if i % 2 else facula.empty(3, dtype=facula.int64)[:1].clone()
        facula.max(x, 1, out=(values, places))
        assert values.tolist() == [3] and places.tolist() == [0] and values._version == 1
        line = facula.tensor([3.0, 1.0, 2.0])
        spot = facula.zeros(1, dtype=facula.int64)
        if i % 2:
            with pytest.raises(RuntimeError, match="single memory location"):
                facula.kthvalue(line, 2, keepdim=True, out=(line[:1], spot))
        else:
            facula.kthvalue(line, 2, keepdim=True, out=(facula.zeros(3)[:1], spot))
            assert spot.tolist() == [2]


# -- writes whose derivative reads what they overwrite
OVER: list[tuple[Any, Any]] = [
    (lambda x, y: x.clamp_(-1.5, 2.5), lambda x, y: x.clamp(-1.5, 2.5)),
    (lambda x, y: x.clamp_(min=0), lambda x, y: x.clamp(min=0)),
    (lambda x, y: x.sin_(), lambda x, y: x.sin()),
    (lambda x, y: x.pow_(3), lambda x, y: x.pow(3)),
    (lambda x, y: x.mul_(y), lambda x, y: x.mul(y)),
    (lambda x, y: x.div_(y), lambda x, y: x.div(y)),
    (lambda x, y: x.abs_(), lambda x, y: x.abs()),
]


@pytest.mark.parametrize("write, compute", OVER)
def test_what_is_overwritten_is_kept(write: Any, compute: Any, pair: tuple[Any, Any]) -> None:
    w, y = pair
    for k in range(5):
        for plain in (False, True):  # the target has a history, or only the other operand has
            start = facula.tensor([1.0, -2.0, 3.0 + k]) if plain else (w + k) * 1
            x = start.clone()
            if not compute(start, y).requires_grad:
                continue
            assert write(x, y) is x and x._version == 1
            leaves = [t for t in (w, y) if not (plain and t is w)]
            want = facula.autograd.grad(compute(start, y).sum(), leaves, create_graph=True, allow_unused=True)
            got = facula.autograd.grad(x.sum(), leaves, create_graph=True, allow_unused=True)
            for a, b, leaf in zip(got, want, leaves):
                assert (a is None) == (b is None)
                if a is not None:
                    assert facula.equal(a, b)
                    if b.requires_grad:
                        second = [facula.autograd.grad(t.sum(), leaf, retain_graph=True, allow_unused=True)[0] for t in (a, b)]
                        assert second[0] is second[1] is None or facula.equal(*second)


def test_the_kept_value_has_its_name(pair: tuple[Any, Any]) -> None:
    w, _ = pair
    for _ in range(4):
        x = (w * 1).sin_()
        assert facula.equal(x.grad_fn._saved_self, w)


FRESH: list[Any] = [
    lambda x, i: facula.randn(3),
    lambda x, i: facula.rand(2, 3, dtype=facula.complex64),
    lambda x, i: facula.randint(0, 5, (3,)),
    lambda x, i: facula.normal(0.0, 1.0, (3,)),
    lambda x, i: facula.normal(x, x.abs()),
    lambda x, i: facula.normal(x, 2.0),
    lambda x, i: facula.normal(0.5, x.abs()),
    lambda x, i: facula.eye(3),
    lambda x, i: facula.randn_like(x.t()),
    lambda x, i: facula.rand_like(x[:, ::2]),
    lambda x, i: facula.randint_like(x, 5),
    lambda x, i: facula.bernoulli(x, 0.5),
    lambda x, i: x.scatter(1, i, 1.0),
    lambda x, i: x.scatter_add(1, i, x),
    lambda x, i: x.scatter_reduce(1, i, x, "amax"),
    lambda x, i: facula.diag(x[0]),
    lambda x, i: facula.slice_scatter(x, x[:1], 0, 1, 2),
    lambda x, i: facula.select_scatter(x, x[0], 0, 1),
    lambda x, i: facula.autograd.grad(facula.clone(x.requires_grad_())[0].sum(), x)[0],
]


@pytest.mark.parametrize("make", FRESH)
def test_results_are_at_version_0(make: Any) -> None:
    for _ in range(4):
        x = facula.tensor([[1.0, -2.0, 3.0], [4.0, 5.0, 6.0]])
        assert make(x, facula.tensor([[0, 2], [1, 1]]))._version == 0
    out = facula.empty(3)
    assert facula.randn(3, out=out)._version == 1 and facula.eye(2, out=facula.zeros(2, 2))._version == 1
