"""The meta device, defaults and devices that are not there. Sentences recorded from PyTorch 2.13."""

from __future__ import annotations

import copy
import gc
import io
import pickle
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import facula
import facula.nn.functional as F
from facula import nn
from facula.core import objects
from facula.io import safetensors

META = facula.device("meta")


def meta(*shape: int, **options: Any) -> Any:
    return facula.empty(*shape, device="meta", **options)


@pytest.fixture(autouse=True)
def unchanged() -> Iterator[None]:
    yield
    assert facula.get_default_device() == facula.device("cpu")


# -- what a meta tensor is
def test_a_tensor_without_memory() -> None:
    m = meta(2, 3)
    assert repr(m) == "tensor(..., device='meta', size=(2, 3))" and m.is_meta and not m.is_cpu and m.device is META
    assert m.data_ptr() == 0 and m.untyped_storage().nbytes() == 24 and m.untyped_storage().data_ptr() == 0
    assert m[1].storage_offset() == 3 and m[1]._base is m and m.type() == "torch.meta.FloatTensor"
    assert repr(m.untyped_storage()) == "...\n[torch.storage.UntypedStorage(device=meta) of size 24]"
    assert facula.empty(3, device="meta:0").device is META


def test_seventy_billion_parameters_take_no_memory() -> None:
    before = facula.memory_stats()["reserved"]
    with facula.device("meta"):
        layers = [nn.Linear(8192, 28672, bias=False) for _ in range(300)]
    assert sum(p.numel() for layer in layers for p in layer.parameters()) > 70e9
    assert facula.memory_stats()["reserved"] - before < 1 << 20


FACTORIES: list[Callable[..., Any]] = [
    lambda **o: facula.empty(2, **o),
    lambda **o: facula.zeros(2, **o),
    lambda **o: facula.ones((2,), **o),
    lambda **o: facula.full((2,), 1.5, **o),
    lambda **o: facula.rand(2, **o),
    lambda **o: facula.randn(2, **o),
    lambda **o: facula.randint(3, (2,), **o),
    lambda **o: facula.randperm(3, **o),
    lambda **o: facula.eye(3, **o),
    lambda **o: facula.arange(3, **o),
    lambda **o: facula.linspace(0, 1, 3, **o),
    lambda **o: facula.logspace(0, 1, 3, **o),
    lambda **o: facula.tensor([1.0, 2.0], **o),
    lambda **o: facula.tensor(1.0, **o),
    lambda **o: facula.as_tensor([1.0], **o),
    lambda **o: facula.asarray([1], **o),
    lambda **o: facula.scalar_tensor(1, **o),
    lambda **o: facula.empty_strided((2, 3), (1, 2), **o),
    lambda **o: facula.tril_indices(3, 3, **o),
]


@pytest.mark.parametrize("make", FACTORIES)
def test_factories(make: Callable[..., Any]) -> None:
    want = make()
    with facula.device("meta"):
        made = make()
    for got in (make(device="meta"), made):
        assert (got.device, got.dtype, got.shape, got.stride()) == (META, want.dtype, want.shape, want.stride())
    with facula.device("meta"):
        assert make(device="cpu").device.type == "cpu"
    with pytest.raises(AssertionError, match=r"^Torch not compiled with CUDA enabled"):
        make(device="cuda")


def test_like_another() -> None:
    x, m = facula.ones(2, 3).t(), meta(3, 2)
    for f in (facula.empty_like, facula.zeros_like, facula.ones_like, facula.rand_like, facula.randn_like):
        assert f(x, device="meta").stride() == (1, 3) and f(m).is_meta and f(m, device="cpu").is_cpu
    assert m.new_zeros(2).is_meta and m.new_tensor([1.0]).is_meta and m.new_empty((2,), device="cpu").is_cpu
    with facula.device("meta"):  # of constructors only
        assert facula.ones_like(x).is_cpu and x.new_ones(2).is_cpu and (x * 2).is_cpu


def test_random_streams_stand_still() -> None:
    before = facula.get_rng_state()
    for x in (meta(5), meta(5, 5).t()[::2]):
        x.normal_().uniform_().exponential_().random_(0, 3).bernoulli_(0.5)
    assert all(
        t.is_meta
        for t in (
            facula.rand(5, device="meta"),
            facula.randperm(5, device="meta"),
            F.dropout(meta(5)),
            facula.bernoulli(meta(5)),
            facula.multinomial(meta(5), 2),
        )
    )
    assert facula.equal(before, facula.get_rng_state())


# -- to and from
def test_moving() -> None:
    x = facula.ones(2, 3).t()
    assert x.to("meta").stride() == (1, 3) and x.to("meta", facula.float64).dtype is facula.float64
    m = meta(3)
    assert m.to("meta") is m and facula.ones(2).type_as(m).is_meta and facula.ones(2).to(m).is_meta
    for leave in (m.cpu, lambda: m.to("cpu"), lambda: facula.ones(3).copy_(m), lambda: m.tolist(), lambda: m.type_as(x)):
        with pytest.raises(NotImplementedError, match=r"^Cannot copy out of meta tensor; no data!"):
            leave()
    assert m.copy_(facula.ones(3)) is m and m.fill_(facula.tensor(1.0)) is m
    with pytest.raises(TypeError, match=r"to\(\) received an invalid combination of arguments - got \(str, str\)"):
        x.to("cpu", "meta")
    leaf = facula.ones(3, requires_grad=True)
    with pytest.raises(NotImplementedError, match=r"Cannot copy out of meta tensor"):
        leaf.to("meta").sum().backward()


def test_copies() -> None:
    m = meta(2, 3).t()
    for got in (copy.copy(m), copy.deepcopy(m), pickle.loads(pickle.dumps(m)), m.clone()):
        assert (got.device, got.shape, got.stride()) == (META, m.shape, m.stride())


VALUES: list[tuple[Callable[[Any], Any], type[Exception], str]] = [
    (lambda m: m[0].item(), RuntimeError, "^Tensor.item\\(\\) cannot be called on meta tensors"),
    (lambda m: bool(m[0]), RuntimeError, "Tensor.item\\(\\) cannot be called on meta tensors"),
    (lambda m: float(m[0]), RuntimeError, "Tensor.item\\(\\) cannot be called on meta tensors"),
    (lambda m: int(m[0]), RuntimeError, "Tensor.item\\(\\) cannot be called on meta tensors"),
    (lambda m: 1.0 in m, RuntimeError, "Tensor.item\\(\\) cannot be called on meta tensors"),
    (lambda m: facula.full((2,), m[0]), RuntimeError, "Tensor.item\\(\\) cannot be called on meta tensors"),
    (lambda m: facula.add(m, 1, alpha=m[0]), RuntimeError, "Tensor.item\\(\\) cannot be called on meta tensors"),
    (lambda m: facula.allclose(m, m), RuntimeError, "Tensor.item\\(\\) cannot be called on meta tensors"),
    (lambda m: F.one_hot(m.long()), RuntimeError, "Tensor.item\\(\\) cannot be called on meta tensors"),
    (lambda m: m.numpy(), TypeError, "^can't convert meta device type tensor to numpy. Use Tensor.cpu\\(\\) to copy"),
    (lambda m: m.__dlpack__(), BufferError, "^Cannot pack tensors on meta"),
    (lambda m: m.__dlpack_device__(), ValueError, "^Unknown device type meta for Dlpack"),
    (
        lambda m: facula.nonzero(m),
        NotImplementedError,
        "^The register_meta function for torch.nonzero\\(\\) raises unimplemented by default",
    ),
    (lambda m: m[m > 0], NotImplementedError, "register_meta function for torch.nonzero"),
    (lambda m: facula.where(m > 0), NotImplementedError, "register_meta function for torch.nonzero"),
    (
        lambda m: facula.masked_select(m, m > 0),
        NotImplementedError,
        "^aten::masked_select: attempted to run this operator with Meta tensors",
    ),
    (lambda m: facula.unique(m), NotImplementedError, "attempted to run this operator with Meta tensors"),
    (lambda m: facula.bincount(m.long()), NotImplementedError, "^aten::bincount: attempted to run"),
    (lambda m: facula.equal(m, m), NotImplementedError, "^aten::equal: attempted to run"),
    (lambda m: facula.repeat_interleave(m, m.long()), RuntimeError, "^cannot repeat_interleave a meta tensor without output_size"),
    (lambda m: m.untyped_storage()[0], NotImplementedError, "^Not available for 'meta' device type"),
    (lambda m: m.share_memory_(), RuntimeError, "^_share_fd_: only available on CPU"),
]


@pytest.mark.parametrize("look, kind, sentence", VALUES)
def test_values_are_refused(look: Callable[[Any], Any], kind: type[Exception], sentence: str) -> None:
    with pytest.raises(kind, match=sentence):
        look(meta(3))


# -- calls
def test_operands_on_two_devices() -> None:
    m, x = meta(3), facula.ones(3)
    for call in (lambda: m + x, lambda: F.mse_loss(m, x), lambda: facula.cat([m, x]), lambda: facula.dot(m, x), lambda: m.add_(x)):
        with pytest.raises(RuntimeError, match=r"^Tensor on device cpu is not on the expected device meta!"):
            call()
    for call in (lambda: x + m, lambda: x.add_(m), lambda: facula.ones(3, 3) @ m, lambda: x[m.long()], lambda: x.add_(meta())):
        with pytest.raises(RuntimeError, match=r"^Tensor on device meta is not on the expected device cpu!"):
            call()
    one = facula.tensor(1.0)
    assert all(t.is_meta for t in (m + one, one + m, meta() + one, facula.where(m > 0, m, one), m.add_(one), facula.clamp(m, one)))
    with pytest.raises(RuntimeError, match=r"^invalid gradient at index 0 - expected device meta but got cpu"):
        meta(3, requires_grad=True).mul(2).backward(x)


def test_indices_come_from_the_processor_too() -> None:
    m = meta(3, 4)
    assert m[facula.tensor([0, 1])].shape == (2, 4) and m[facula.tensor([True, False, True])].shape == (2, 4) and m[[0, 2]].shape == (2, 4)
    m[facula.tensor([0, 1])] = facula.ones(2, 4)
    m[m > 0] = 1.0
    m[0], m[:, 1] = 1.0, facula.ones(3)
    with pytest.raises(IndexError, match=r"index 5 is out of bounds for dimension 0 with size 3"):
        m[5]


def test_out_and_in_place() -> None:
    m, x = meta(3), facula.ones(3)
    assert facula.add(m, m, out=(out := meta(0))) is out and out.shape == (3,)
    for call, source, target in (
        (lambda: facula.add(m, m, out=facula.empty(3)), "meta", "cpu"),
        (lambda: facula.add(x, 1, out=m), "cpu", "meta"),
    ):
        with pytest.raises(RuntimeError, match=f"^Attempting to copy from device {source} to device {target}, but cross-device copies"):
            call()
    version = m._version
    m.mul_(2).add_(1).zero_().relu_()
    assert m._version > version and m.resize_(5).shape == (5,) and m.untyped_storage().nbytes() == 20
    for value in (lambda: m.set_(x), lambda: setattr(m, "data", x), lambda: setattr(x, "data", m)):
        with pytest.raises(RuntimeError, match=r"on different device|incompatible tensor type"):
            value()


def test_views_and_gradients() -> None:
    m = meta(4, 6, requires_grad=True)
    y = (m.view(6, 4).t()[1:, ::2].unfold(0, 2, 1).exp() * 2).as_strided((2, 2), (1, 2)).sum()
    y.backward(create_graph=True)
    assert m.grad.is_meta and m.grad.shape == (4, 6)
    base = meta(4)
    w = meta(4, requires_grad=True)
    base[1:3].mul_(2).add_(w[:2])
    assert base.grad_fn is not None and facula.autograd.grad(base.sum(), w)[0].is_meta
    (g,) = facula.autograd.grad(m.softmax(-1).logsumexp(0).pow(2).sum(), m, create_graph=True)
    assert facula.autograd.grad(g.sum(), m)[0].shape == (4, 6)


def test_compiled_calls() -> None:
    def f(x: Any) -> Any:
        return (x * 2 + 1).relu().sum(0)

    compiled = facula.compile(f)
    for _ in range(3):
        assert compiled(meta(3, 4)).is_meta and compiled(facula.ones(3, 4)).tolist() == [9.0] * 4


# -- defaults
def test_default_device() -> None:
    with facula.device("meta") as where:
        assert where is META and facula.get_default_device() is META
        with facula.device("cpu"):
            assert facula.ones(2).is_cpu
        assert facula.ones(2).is_meta
        seen: list[Any] = []
        thread = threading.Thread(target=lambda: seen.append(facula.ones(2).is_cpu))
        thread.start()
        thread.join()
        assert seen == [True]
    facula.set_default_device("meta")
    assert facula.zeros(1).is_meta
    facula.set_default_device("cuda")
    with pytest.raises(AssertionError, match=r"Torch not compiled with CUDA enabled"):
        facula.ones(2)
    facula.set_default_device(None)
    assert facula.zeros(1).is_cpu


def test_bodies_stay_where_their_operands_are() -> None:
    """A default device moves what a program makes, not what operators make on their way."""
    with facula.device("meta"):
        x = facula.ones(3, 4, device="cpu", requires_grad=True)
        x.cumprod(0)[1:].square().sum().backward()
        assert x.grad.is_cpu and float(x.grad.sum()) == 40.0
        target = facula.tensor([1, 2, 0], device="cpu")
        assert abs(float(F.cross_entropy(x, target)) - 1.3863) < 1e-4 and F.one_hot(target).tolist() == [[0, 1, 0], [0, 0, 1], [1, 0, 0]]
        assert x[target].shape == x[[0, 1, 2]].shape and facula.cov(x).is_cpu
        assert facula.get_rng_state().is_cpu and facula.Generator().device.type == "cpu"
        assert facula.from_numpy(facula.ones(2, device="cpu").numpy()).is_cpu and facula.Tensor(2).is_cpu and facula.FloatTensor(2).is_cpu
        assert facula.as_tensor(facula.ones(2, device="cpu")).is_meta


# -- modules and optimizers
def test_modules() -> None:
    layer = nn.Linear(2, 3, device="meta")
    assert layer.weight.is_meta and layer.double().weight.dtype is facula.float64
    with pytest.raises(
        NotImplementedError, match=r"no data! Please use torch.nn.Module.to_empty\(\) instead of torch.nn.Module.to\(\) when"
    ):
        layer.to("cpu")
    assert layer.to_empty(device="cpu").weight.is_cpu and layer.weight.requires_grad and type(layer.weight) is nn.Parameter
    old = layer.weight
    layer.weight.grad = facula.ones_like(layer.weight)
    layer.to("meta")
    assert layer.weight is not old and old.is_cpu and layer.weight.grad.is_meta
    norm = nn.BatchNorm1d(2, device="meta")
    assert all(b.is_meta for b in norm.buffers()) and all(b.is_cpu for b in norm.to_empty(device="cpu").buffers())
    for move in (layer.cuda, lambda: layer.to("cuda"), lambda: nn.Linear(2, 2, device="cuda"), lambda: layer.to_empty(device="cuda")):
        with pytest.raises(AssertionError, match=r"Torch not compiled with CUDA enabled"):
            move()


def test_loading_into_a_model_without_values() -> None:
    with facula.device("meta"):
        model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    source = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    model.load_state_dict(source.state_dict(), assign=True)
    assert all(p.is_cpu and p.requires_grad and type(p) is nn.Parameter for p in model.parameters())
    assert facula.equal(model(x := facula.ones(4, 2)), source(x))
    empty = nn.utils.skip_init(nn.Linear, 2, 3)
    assert empty.weight.is_cpu and nn.utils.skip_init(nn.Linear, 2, 3, device="meta").weight.is_meta
    with pytest.raises(RuntimeError, match=r"Module must support a 'device' arg to skip initialization"):
        nn.utils.skip_init(nn.ReLU)


def test_a_training_step() -> None:
    with facula.device("meta"):
        model = nn.Sequential(
            nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Dropout(), nn.Linear(72, 5)
        )
        x, target = facula.rand(4, 3, 8, 8), facula.randint(5, (4,))
    for make in (facula.optim.SGD, facula.optim.Adam, facula.optim.AdamW, facula.optim.RMSprop, facula.optim.Adagrad):
        optimizer = make(model.parameters(), lr=0.1)
        loss = F.cross_entropy(model(x), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        for state in optimizer.state.values():
            assert all(v.is_meta or v.ndim == 0 for v in state.values() if isinstance(v, facula.Tensor))
    assert loss.is_meta and all(p.grad.is_meta for p in model.parameters())


# -- devices that are not there
@pytest.mark.parametrize("kind, made, moved", [
    ("cuda", AssertionError, AssertionError), ("cuda:1", AssertionError, AssertionError), ("xpu", AssertionError, AssertionError),
    ("mps", NotImplementedError, RuntimeError), ("xla", NotImplementedError, RuntimeError), ("foo", RuntimeError, RuntimeError),
])  # fmt: skip
def test_absent_devices(kind: str, made: type[Exception], moved: type[Exception]) -> None:
    for door in (lambda: facula.zeros(2, device=kind), lambda: facula.rand(2, device=kind), lambda: nn.Linear(2, 2, device=kind)):
        with pytest.raises(made):
            door()
    for door in (lambda: facula.ones(2).to(kind), lambda: facula.tensor([1.0], device=kind), lambda: nn.Linear(2, 2).to(kind)):
        with pytest.raises(moved):
            door()


def test_device_modules() -> None:
    assert (
        not any(m.is_available() for m in (facula.cuda, facula.xpu, facula.mps, facula.mtia, facula.accelerator))
        and facula.cpu.is_available()
    )
    assert facula.cuda.memory_allocated() == facula.cuda.max_memory_reserved() == 0 and facula.cuda.get_rng_state_all() == []
    assert facula.accelerator.current_accelerator() is None and facula.get_device_module() is facula.cpu
    with pytest.raises(RuntimeError, match=r"Cannot access accelerator device when none is available."):
        facula.accelerator.current_device_index()
    with pytest.raises(RuntimeError, match=r"Tried to instantiate dummy base class Event"):
        facula.cuda.Event(enable_timing=True)
    with (
        facula.cuda.stream(None),
        facula.cuda.device(-1),
        facula.accelerator.device_index(None),
        facula.cpu.stream(facula.cpu.current_stream()),
    ):
        pass
    assert facula.Stream().query() and facula.Event().query() and facula.Stream() == facula.Stream("cpu")
    with pytest.raises(AssertionError, match=r"CUDA"):
        facula.Stream("cuda")
    with pytest.raises(RuntimeError, match=r"Cannot access accelerator device when none is available."):
        facula.ones(2).pin_memory()


def test_saving() -> None:
    file = io.BytesIO()
    facula.save({"m": meta(2, 3).t(), "layer": nn.Linear(2, 2, device="meta").state_dict(), "x": facula.ones(2)}, file)
    file.seek(0)
    got = facula.load(file)
    assert got["m"].is_meta and got["m"].stride() == (1, 3) and got["layer"]["weight"].is_meta and got["x"].tolist() == [1.0, 1.0]
    file.seek(0)
    assert facula.load(file, map_location="meta")["x"].is_meta


def test_functions_of_functions_and_initialisation() -> None:
    m = meta(3, 4)
    assert facula.func.jacrev(facula.sin)(m).shape == facula.func.jacfwd(facula.sin)(m).shape == (3, 4, 3, 4)
    assert facula.func.hessian(lambda x: x.sin().sum())(m).is_meta and facula.vmap(facula.sum)(m).is_meta
    with facula.device("meta"):
        for fill in (nn.init.kaiming_uniform_, nn.init.xavier_normal_, nn.init.orthogonal_, nn.init.trunc_normal_, nn.init.eye_):
            assert fill(m) is m


def test_what_reads_memory_meets_none() -> None:
    gc.collect()  # what other tests left in cycles goes now, not while this one counts
    m, before = meta(1 << 20), facula.memory_stats()["external"]
    kept = [meta(1 << 40), copy.deepcopy(m)]
    assert facula.memory_stats()["external"] == before and kept[1].is_meta
    if objects.NATIVE:  # the twin's tensors are no buffers at all
        with pytest.raises(TypeError, match="meta"):
            memoryview(m)
    for look in (
        lambda: safetensors.save({"m": m}),
        lambda: m.apply_(abs),
        lambda: m.storage().tolist(),
    ):
        with pytest.raises((TypeError, NotImplementedError), match="meta"):
            look()


def test_drawing_on_meta_takes_no_time_whatever_the_size() -> None:
    x = meta(1 << 58)
    start = time.perf_counter()
    for draw in (x.normal_, x.uniform_, x.exponential_, x.random_, x.bernoulli_):
        draw()
    assert facula.randn(1 << 40, 1 << 18, device="meta").is_meta and x._version == 5 and time.perf_counter() - start < 1
