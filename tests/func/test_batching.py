"""`vmap`: what declarations cannot say: levels that nest, histories that go on outside, randomness, refusals, and that it is one call."""

import pickle

import pytest

import facula as torch
import facula.nn.functional as F
from facula.func import functional_call, grad, hessian, jacfwd, jacrev, jvp, stack_module_state, vmap

close = torch.testing.assert_close


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def test_the_function_runs_once_on_tensors_of_one_example():
    shapes = []

    def f(a, b):
        shapes.append((tuple(a.shape), tuple(b.shape), (a @ b).shape))
        return a @ b

    x, y = torch.randn(6, 2, 3), torch.randn(3, 6, 4)
    close(vmap(f, in_dims=(0, 1))(x, y), torch.stack([x[k] @ y[:, k] for k in range(6)]))
    assert shapes == [((2, 3), (3, 4), (2, 4))]


def test_dims_in_and_out_keywords_trees_and_chunks():
    x, w = torch.randn(3, 5), torch.randn(3)
    assert vmap(lambda a: a, in_dims=1, out_dims=1)(x).shape == (3, 5)
    assert vmap(lambda a, b: a * b, in_dims=(-1, None))(x, w).shape == (5, 3)
    got = vmap(lambda d, *, k: {"sum": d["a"] + d["b"][0], "k": k}, in_dims=({"a": 1, "b": [None]},))(
        {"a": x, "b": [w]}, k=torch.arange(5.0)
    )
    close(got["sum"], (x + w[:, None]).T)
    assert got["k"].shape == (5,)
    close(vmap(lambda a: a.sum(), in_dims=1, chunk_size=2)(x), x.sum(0))
    assert vmap(lambda a: torch.ones(2))(x).shape == (3, 2)  # the same for all examples
    assert vmap(lambda a: a * 2)(torch.zeros(0, 3)).shape == (0, 3)


def test_nested_levels_and_a_history_that_goes_on_outside():
    x, y = torch.randn(3, requires_grad=True), torch.randn(4, requires_grad=True)
    table = vmap(lambda a: vmap(lambda b: (a * b).sin())(y))(x)
    close(table, (x[:, None] * y).sin())
    table.sum().backward()
    close(x.grad, ((x[:, None] * y).cos() * y).sum(1).detach())
    close(y.grad, ((x[:, None] * y).cos() * x[:, None]).sum(0).detach())


def test_a_gradient_inside_is_each_examples_own_and_one_outside_is_their_sum():
    w, x = torch.randn(3), torch.randn(5, 3)
    loss = lambda w, x: (w * x).sin().sum()  # noqa: E731
    each = vmap(grad(loss), in_dims=(None, 0))(w, x)
    close(each, (w * x).cos() * x)
    close(grad(lambda w: vmap(lambda x: loss(w, x))(x).sum())(w), each.sum(0))


def test_derivatives_of_functions_with_vmap_inside():
    x = torch.randn(3, 4, dtype=torch.float64)
    inner = lambda x: vmap(lambda a: (a * x.sum()).sin().sum())(x)  # noqa: E731
    want = torch.autograd.functional.jacobian(inner, x)
    close(jacrev(inner)(x), want)
    close(jacfwd(inner)(x), want)
    close(hessian(lambda x: inner(x).sum())(x), torch.autograd.functional.hessian(lambda x: inner(x).sum(), x))
    one = lambda x: (x**4).sum() * x[0]  # noqa: E731
    close(vmap(hessian(one))(x), torch.stack([hessian(one)(row) for row in x]))


def test_jacobian_in_one_backward_pass():
    x = torch.randn(2, 3, dtype=torch.float64)
    f = lambda x: ((x @ x.T).exp(), x.sum(1))  # noqa: E731
    for got, want in zip(torch.autograd.functional.jacobian(f, x, vectorize=True), torch.autograd.functional.jacobian(f, x)):
        close(got, want)
    with pytest.raises(RuntimeError, match="not supported together"):
        torch.autograd.functional.jacobian(f, x, vectorize=True, strict=True)
    x.requires_grad_()
    rows = torch.autograd.grad(x.square(), x, torch.eye(6, dtype=torch.float64).view(6, 2, 3), is_grads_batched=True)[0]
    close(rows, torch.diag(2 * x.detach().flatten()).view(6, 2, 3))


@pytest.mark.parametrize("reduction, smoothing", [("mean", 0.0), ("sum", 0.1)])
def test_gradients_per_sample_of_a_convolutional_network(reduction, smoothing):
    net = torch.nn.Sequential(
        torch.nn.Conv2d(1, 4, 3),
        torch.nn.GroupNorm(2, 4),
        torch.nn.ReLU(),
        torch.nn.MaxPool2d(2),
        torch.nn.Flatten(),
        torch.nn.Linear(36, 5),
    )
    p = {name: t.detach() for name, t in net.named_parameters()}
    x, y = torch.randn(6, 1, 8, 8), torch.randint(0, 5, (6,))

    def loss(p, x, y):
        out = functional_call(net, p, (x.unsqueeze(0),))
        return F.cross_entropy(out, y.unsqueeze(0), reduction=reduction, label_smoothing=smoothing)

    got = vmap(grad(loss), in_dims=(None, 0, 0))(p, x, y)
    for k in range(6):
        for name, want in grad(loss)(p, x[k], y[k]).items():
            close(got[name][k], want, rtol=1e-4, atol=1e-5)
    with pytest.raises(IndexError, match="Target 9 is out of bounds"):
        vmap(grad(loss), in_dims=(None, 0, 0))(p, x, torch.tensor([0, 1, 2, 3, 4, 9]))


def test_gradients_per_sample_of_attention_and_embedding():
    layer = torch.nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, dropout=0.0)
    p = {name: t.detach() for name, t in layer.named_parameters()} | {"table": torch.randn(7, 8)}
    words = torch.randint(0, 7, (3, 2, 5))

    def loss(p, w):
        rest = {k: v for k, v in p.items() if k != "table"}
        return functional_call(layer, rest, (F.embedding(w, p["table"], padding_idx=0),)).square().sum()

    got = vmap(grad(loss), in_dims=(None, 0))(p, words)
    for k in range(3):
        for name, want in grad(loss)(p, words[k]).items():
            close(got[name][k], want, rtol=1e-4, atol=1e-4)


def test_an_ensemble_of_models_is_one_call():
    models = [torch.nn.Linear(4, 2) for _ in range(3)]
    p, b = stack_module_state(models)
    x = torch.randn(5, 4)
    got = vmap(lambda p, b: functional_call(models[0], (p, b), (x,)))(p, b)
    close(got, torch.stack([m(x) for m in models]))


def test_randomness():
    x = torch.zeros(2, 40)
    got = vmap(lambda x: x + torch.rand(40), randomness="different")(x)
    torch.manual_seed(0)
    close(got, torch.rand(2, 40))
    same = vmap(lambda x: F.dropout(x + 1) + torch.randn(40) + torch.randn_like(x), randomness="same")(x)
    close(same[0], same[1])
    apart = vmap(lambda x: F.dropout(x + 1), randomness="different")(x)
    assert not torch.equal(apart[0], apart[1])
    shared = vmap(lambda x: F.dropout(torch.ones(40)), randomness="different")(x)
    assert not torch.equal(shared[0], shared[1])
    p = torch.full((2, 40), 0.5)
    assert torch.equal(*vmap(torch.bernoulli, randomness="same")(p))
    with pytest.raises(RuntimeError, match="randomness error mode"):
        vmap(torch.bernoulli)(p)
    with pytest.raises(RuntimeError, match="different inplace randomness on an unbatched tensor"):
        vmap(lambda x: torch.zeros(40).normal_() + x, randomness="different")(x)


def test_writing():
    x = torch.randn(3, 4)

    def f(x):
        out = torch.zeros_like(x)
        out[0] = x[0]
        out[1:] += 2 * x[1:]
        return out.mul_(x)

    close(vmap(f)(x), torch.stack([f(row) for row in x]))
    close(vmap(grad(lambda x: f(x).sum()))(x), torch.stack([grad(lambda x: f(x).sum())(row) for row in x]))
    target = torch.zeros(3, 4)
    vmap(lambda t, x: t.add_(x))(target, x)
    close(target, x)
    with pytest.raises(RuntimeError, match=r"vmap: add_\(self, \*extra_args\) is not possible"):
        vmap(lambda x: torch.zeros(4).add_(x))(x)


def test_an_optimizer_trains_many_models_at_once():
    start, x, y = torch.randn(4, 3), torch.randn(20, 3), torch.randn(20)

    def trained(w):
        w = w.clone().requires_grad_()
        optimizer = torch.optim.Adam([w], lr=0.1)
        for _ in range(3):
            optimizer.zero_grad()
            (x @ w - y).square().mean().backward()
            optimizer.step()
        return w.detach()

    close(vmap(trained)(start), torch.stack([trained(w) for w in start]))


LOOKS = [
    lambda x: x if x.sum() > 0 else -x,
    lambda x: x * x[0].item(),
    lambda x: x + sum(x.tolist()),
    lambda x: x + torch.from_dlpack(x),
    lambda x: x + pickle.loads(pickle.dumps(x)),
]


@pytest.mark.parametrize("look", LOOKS)
def test_values_cannot_be_looked_at(look):
    with pytest.raises(RuntimeError, match=r"vmap: It looks like you.re"):
        vmap(look)(torch.randn(3, 4))


def test_what_looks_at_values_runs_once_per_example():
    logits, targets = torch.randn(3, 6, 1, 4).log_softmax(-1), torch.randint(1, 4, (3, 1, 2))
    lengths = torch.tensor([6]), torch.tensor([2])
    got = vmap(lambda a, b: F.ctc_loss(a, b, *lengths))(logits, targets)
    close(got, torch.stack([F.ctc_loss(a, b, *lengths) for a, b in zip(logits, targets)]))


def test_refusals():
    x = torch.randn(3, 4)
    for call, error, text in (
        (lambda: vmap(lambda a: a)(), ValueError, "got no inputs"),
        (lambda: vmap(lambda a: a, in_dims=2)(x), ValueError, "Got in_dim=2"),
        (lambda: vmap(lambda a, b: a)(x, x.T), ValueError, "same size in the mapped dimension"),
        (lambda: vmap(lambda a: None)(x), ValueError, "must only return Tensors"),
        (lambda: vmap(lambda a: a, out_dims=None)(x), ValueError, "can not return a BatchedTensor when out_dim is None"),
        (lambda: vmap(lambda a: a, out_dims=4)(x), IndexError, "Dimension out of range"),
        (lambda: vmap(lambda a: a.sum(1))(x), IndexError, "Dimension out of range"),
    ):
        with pytest.raises(error, match=text):
            call()
    assert torch.ones(2).sum() == 2  # no level is left behind


def test_a_tensor_inside_shows_all_examples():
    seen = []
    vmap(lambda a: (seen.append(repr(a)), a)[1])(torch.ones(2, 1))
    assert seen[0].startswith("BatchedTensor(lvl=") and "tensor([[1.],\n            [1.]])" in seen[0]


def test_options_of_derivatives():
    x = torch.ones(2)
    with pytest.raises(RuntimeError, match="independent of the inputs"):
        jvp(lambda x: torch.ones(3), (x,), (x,), strict=True)
    with pytest.raises(RuntimeError, match="Only allowed values for randomness"):
        jacfwd(torch.sin, randomness="often")
    with pytest.raises(AssertionError, match="forward-mode"):
        torch.autograd.functional.hessian(torch.sum, x, outer_jacobian_strategy="sideways")


def test_a_weight_that_all_examples_share_is_dropped_apart():
    w, x = torch.ones(64), torch.zeros(2, 64)
    got = vmap(grad(lambda w, x: (F.dropout(w) + x).sum()), in_dims=(None, 0), randomness="different")(w, x)
    assert not torch.equal(got[0], got[1])
