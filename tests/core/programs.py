"""Small programs whose meaning PyTorch defines. `expected.txt` is what PyTorch 2.13 prints for them: python programs.py torch > expected.txt.

Each function takes the library and yields what is to be compared: numbers, lists, strings, tensors (as lists). Errors are compared by type
and first line.
"""

from __future__ import annotations

import copy
import gc
import importlib
import pickle
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any

PROGRAMS: list[Callable[[Any], Iterator[Any]]] = []


def program(f: Callable[[Any], Iterator[Any]]) -> Callable[[Any], Iterator[Any]]:
    PROGRAMS.append(f)
    return f


def error(f: Callable[[], Any]) -> str:
    """Type and first line of what it raises."""
    try:
        f()
    except Exception as e:
        return f"{type(e).__name__}: {str(e).splitlines()[0] if str(e) else ''}"
    return "no error"


def show(value: Any) -> Any:
    if hasattr(value, "tolist") and hasattr(value, "dtype"):
        return value.tolist()
    if isinstance(value, (tuple, list)):
        return [show(v) for v in value]
    return value


# -- views and aliasing
@program
def views_share_memory(t: Any) -> Iterator[Any]:
    x = t.arange(12.0).view(3, 4)
    y, z, w = x[1], x.t(), x[:, ::2]
    y[0] = 100.0
    z[3, 2] = -1.0
    w += 1
    yield x
    yield y, z, w
    yield x._version, y._version, x.data_ptr() == z.data_ptr(), y._base is None, y.is_contiguous(), z.stride(), w.storage_offset()
    yield x.detach().data_ptr() == x.data_ptr(), x.reshape(12).data_ptr() == x.data_ptr(), z.reshape(12).data_ptr() == x.data_ptr()


@program
def view_errors(t: Any) -> Iterator[Any]:
    x = t.zeros(2, 3)
    yield error(lambda: x.view(5))
    yield error(lambda: x.t().view(6))
    yield error(lambda: x.expand(2, 4))
    yield error(lambda: x[2])
    yield error(lambda: x[0, 0, 0])
    yield error(lambda: x.expand(4, 2, 3).add_(1))
    yield error(lambda: t.zeros(1).expand(3).add_(1))


@program
def detach_and_data(t: Any) -> Iterator[Any]:
    x = t.ones(3, requires_grad=True)
    d = x.detach()
    d[0] = 5.0
    yield x.detach(), x._version, d._version, d.requires_grad
    y = (x * x).sum()
    x.data.mul_(2)
    yield x._version
    y.backward()
    yield x.grad
    x.data = t.zeros(2)
    yield x.shape == t.Size([2]), x.is_leaf
    z = t.ones(2, requires_grad=True) * 2
    yield z.is_leaf, z.detach_().is_leaf, z.requires_grad, z.grad_fn is None


@program
def versions(t: Any) -> Iterator[Any]:
    x = t.zeros(3)
    y = x[:2]
    x.add_(1)
    y.mul_(2)
    x[0] = 1
    x.zero_()
    x.fill_(3)
    x.copy_(t.ones(3))
    yield x._version, y._version, x.clone()._version, x.detach()._version
    with t.no_grad():
        x.add_(1)
    yield x._version
    x.data.add_(1)
    yield x._version


@program
def saved_tensor_modified(t: Any) -> Iterator[Any]:
    x = t.ones(3, requires_grad=True)
    y = x * 1
    z = y * y
    y.add_(1)
    yield error(lambda: z.sum().backward())
    y = x.exp()
    z = y * 2
    y.mul_(2)
    yield error(lambda: z.sum().backward())
    w = t.ones(3, requires_grad=True)
    z = x * w
    with t.no_grad():
        w.add_(1)
    yield error(lambda: z.sum().backward())
    y = x * 1
    z = y + 1
    y.add_(1)
    z.sum().backward()
    yield x.grad
    y = x * 1
    z = y.sigmoid()
    y.mul_(3)
    (z + y).sum().backward()
    yield x.grad.shape


@program
def second_backward(t: Any) -> Iterator[Any]:
    x = t.ones(2, requires_grad=True)
    y = (x * x).sum()
    y.backward()
    yield error(y.backward)
    y = (x * x).sum()
    y.backward(retain_graph=True)
    y.backward()
    yield x.grad
    z = (x + 1).sum()
    z.backward()
    z.backward()
    yield x.grad


@program
def leaf_errors(t: Any) -> Iterator[Any]:
    x = t.ones(2, requires_grad=True)
    yield error(lambda: x.add_(1))
    yield error(lambda: x[0].add_(1))
    yield error(lambda: x.__setitem__(0, 1))
    yield error(lambda: x.view(2).mul_(2))
    yield error(lambda: x.backward())
    yield error(lambda: t.ones(2).sum().backward())
    yield error(lambda: (x * 2).numpy())
    yield error(lambda: x.numpy())
    yield error(lambda: t.ones(2, dtype=t.int64).requires_grad_())
    y = x * 2

    def off() -> None:
        y.requires_grad = False

    yield error(off)
    yield error(lambda: t.add(x, x, out=t.empty(2)))
    yield error(lambda: setattr(x, "grad", t.ones(3)))
    yield error(lambda: setattr(x, "grad", t.ones(2, dtype=t.float64)))
    yield error(lambda: setattr(x, "grad", x))
    yield error(lambda: (x * 2).register_post_accumulate_grad_hook(print))
    yield error(lambda: t.ones(2).register_hook(print))
    yield error(lambda: t.ones(2).retain_grad())
    with t.no_grad():
        x.add_(1)
        x[0] = 7
    yield x.detach(), x.requires_grad, x.is_leaf


# -- views and in-place with gradients
@program
def setitem_gradient(t: Any) -> Iterator[Any]:
    x = t.arange(4.0, requires_grad=True)
    y = t.ones(2, requires_grad=True)
    z = x * 2
    z[0] += y[0]
    z[1:3] = y * 3
    z.sum().backward()
    yield z.detach(), x.grad, y.grad
    yield type(z.grad_fn).__name__ != ""


@program
def views_of_views(t: Any) -> Iterator[Any]:
    x = t.arange(24.0, requires_grad=True)
    b = x * 1
    v = b.view(2, 3, 4)
    w = v[1]
    u = w[:, 1:3].t()
    u.mul_(3)
    yield b.detach()
    (b * b).sum().backward()
    yield x.grad
    yield b.grad_fn is not None, v._version == b._version


@program
def view_used_after_base_write(t: Any) -> Iterator[Any]:
    x = t.arange(4.0, requires_grad=True)
    b = x * 2
    v = b[1:]
    b.mul_(x)
    (v * v).sum().backward()
    yield v.detach(), x.grad
    x.grad = None
    b = x * 2
    v = b[1:]
    w = b[:3]
    v.mul_(5)
    w.add_(x[:3])
    (b * w.sum() + v.sum()).sum().backward()
    yield b.detach(), w.detach(), v.detach(), x.grad


@program
def inplace_on_view_of_plain_base(t: Any) -> Iterator[Any]:
    x = t.arange(3.0, requires_grad=True)
    b = t.zeros(2, 3)
    b[0] = x
    b[1].add_(x * x)
    yield b.requires_grad, b.detach()
    (b * 2).sum().backward()
    yield x.grad
    c = t.zeros(5)
    v = c[:3]
    c[1] = x[2] * 2
    yield v.requires_grad
    v.sum().backward()
    yield x.grad


@program
def no_grad_views(t: Any) -> Iterator[Any]:
    x = t.arange(4.0, requires_grad=True)
    b = x * 1
    with t.no_grad():
        v = b[:2]
        v.zero_()
    yield b.detach(), b.requires_grad
    (b * 3).sum().backward()
    yield x.grad
    with t.no_grad():
        p = x[1:]
        p.fill_(9)
    yield x.detach(), x._version


@program
def copy_broadcast_gradient(t: Any) -> Iterator[Any]:
    x = t.arange(3.0, requires_grad=True)
    b = t.zeros(2, 3)
    b.copy_(x)
    (b * t.arange(6.0).view(2, 3)).sum().backward()
    yield x.grad
    d = t.zeros(3, dtype=t.float64)
    d.copy_(x)
    (d * d).sum().backward()
    yield x.grad, x.grad.dtype == t.float32


@program
def chunks_and_unbind(t: Any) -> Iterator[Any]:
    x = t.arange(6.0, requires_grad=True)
    a, b, c = (x * 2).chunk(3)
    (a * b + c).sum().backward()
    yield x.grad
    x.grad = None
    p, q = (x.view(2, 3) * 1).unbind(0)
    (p * q).sum().backward()
    yield x.grad
    p, q = (x * 1).split(3)
    yield error(lambda: p.mul_(2)).startswith("RuntimeError: Output 0 of Split")
    r = (x * 1).view(2, 3)[0]
    r.mul_(2)
    r.sum().backward()
    yield x.grad


@program
def masked_and_indexed_writes(t: Any) -> Iterator[Any]:
    x = t.arange(5.0, requires_grad=True)
    y = x * 1
    y[y > 2] = 0.0
    y[t.tensor([0, 1])] = x[3:]
    y.sum().backward()
    yield y.detach(), x.grad
    x.grad = None
    z = x[t.tensor([0, 0, 4])] * t.tensor([1.0, 2.0, 3.0])
    z.sum().backward()
    yield x.grad


# -- hooks
@program
def hooks_order(t: Any) -> Iterator[Any]:
    log: list[Any] = []
    x = t.ones(2, requires_grad=True)
    y = x * 2
    h1 = y.register_hook(lambda g: log.append(("y1", g.tolist())))
    y.register_hook(lambda g: g * 10)
    y.register_hook(lambda g: log.append(("y3", g.tolist())))
    x.register_hook(lambda g: log.append(("x", g.tolist())))
    x.register_post_accumulate_grad_hook(lambda p: log.append(("post", p.grad.tolist())))
    y.grad_fn.register_prehook(lambda gs: log.append("pre"))
    y.grad_fn.register_hook(lambda gi, go: log.append(("node", go[0].tolist())))
    (y * 3).sum().backward()
    yield log[:], x.grad
    log.clear()
    h1.remove()
    x.grad = None
    (y * 3).sum().backward() if False else None
    y = x * 2
    with y.register_hook(lambda g: log.append("with")):
        pass
    y.sum().backward()
    yield log


@program
def hook_on_changed_tensor(t: Any) -> Iterator[Any]:
    log: list[Any] = []
    x = t.ones(2, requires_grad=True)
    y = x * 2
    y.register_hook(lambda g: log.append(("before", g.tolist())))
    y.mul_(3)
    y.register_hook(lambda g: log.append(("after", g.tolist())))
    y.sum().backward()
    yield log, x.grad


@program
def retain_gradients(t: Any) -> Iterator[Any]:
    x = t.ones(2, requires_grad=True)
    y = x * 2
    y.retain_grad()
    y.retain_grad()
    z = (y * y).sum()
    z.retain_grad()
    z.backward()
    yield y.grad, z.grad, x.grad, y.retains_grad, x.retains_grad
    y = x * 2
    y.register_hook(lambda g: g * 10)
    y.retain_grad()
    y.sum().backward()
    yield y.grad
    y = x * 2
    y.retain_grad()
    y.mul_(3)
    y.sum().backward()
    yield y.grad


@program
def hook_changes_gradient(t: Any) -> Iterator[Any]:
    x = t.ones(2, requires_grad=True)
    h = x.register_hook(lambda g: g + 5)
    (x * 2).sum().backward()
    yield x.grad
    h.remove()
    (x * 2).sum().backward()
    yield x.grad
    x.grad = None
    x.register_hook(lambda g: g * 0)
    yield t.autograd.grad((x * 2).sum(), x)
    w = t.ones(2, requires_grad=True)
    w.register_post_accumulate_grad_hook(lambda p: setattr(p, "grad", None))
    (w * 2).sum().backward()
    yield w.grad is None


# -- backward and grad
@program
def backward_inputs(t: Any) -> Iterator[Any]:
    x, y = t.ones(2, requires_grad=True), t.ones(2, requires_grad=True)
    z = x * y
    (z * 2).sum().backward(inputs=[x])
    yield x.grad, y.grad is None
    z = x * y
    w = z * 3
    w.sum().backward(inputs=[z, y])
    yield z.grad, y.grad, x.grad
    yield error(lambda: (x * 2).sum().backward(inputs=[]))


@program
def grad_function(t: Any) -> Iterator[Any]:
    x, y = t.tensor([2.0, 3.0], requires_grad=True), t.tensor([5.0, 7.0], requires_grad=True)
    z = (x * x * y).sum()
    yield t.autograd.grad(z, [x, y])
    u = t.ones(2, requires_grad=True)
    yield error(lambda: t.autograd.grad((x * 2).sum(), [u]))
    yield t.autograd.grad((x * 2).sum(), [u, x], allow_unused=True)[0] is None
    yield t.autograd.grad((x * 2).sum(), [u, x], materialize_grads=True)
    yield error(lambda: t.autograd.grad((x * 2), x))
    yield error(lambda: t.autograd.grad((x * 2).sum(), t.ones(2)))
    yield t.autograd.grad(x * 2, x, t.tensor([1.0, 10.0])), x.grad is None
    yield t.autograd.grad([x * 2, y * 3], [x, y], [t.ones(2), t.ones(2)])
    h = x * 3
    yield t.autograd.grad((h * h).sum(), [h, x])
    yield t.autograd.grad(x * y, [x, y], t.eye(2), is_grads_batched=True)
    yield error(lambda: t.autograd.grad(x * 2, x, t.ones(3)))
    yield error(lambda: t.autograd.backward([x * 2, y * 2], [t.ones(2)]))


@program
def double_backward(t: Any) -> Iterator[Any]:
    x = t.tensor([1.0, 2.0, 3.0], requires_grad=True)
    y = (x**3).sum()
    (g,) = t.autograd.grad(y, x, create_graph=True)
    (h,) = t.autograd.grad(g.sum(), x, create_graph=True)
    (k,) = t.autograd.grad(h.sum(), x)
    yield g.detach(), h.detach(), k
    z = (x * x).sum()
    z.backward(create_graph=True)
    yield x.grad.requires_grad, x.grad.detach()
    penalty = (x.grad * x.grad).sum()
    x.grad = None
    penalty.backward()
    yield x.grad
    a, b = t.ones(2, 2, requires_grad=True), t.full((2, 2), 2.0, requires_grad=True)
    (ga,) = t.autograd.grad((a @ b).sum(), a, create_graph=True)
    (ga * ga).sum().backward()
    yield b.grad, a.grad


@program
def modes(t: Any) -> Iterator[Any]:
    x = t.ones(2, requires_grad=True)
    with t.no_grad():
        yield (x * 2).requires_grad, t.is_grad_enabled()
        with t.enable_grad():
            yield (x * 2).requires_grad
        yield t.ones(1, requires_grad=True).requires_grad

    @t.no_grad()
    def f(a: Any) -> Any:
        return a * 2

    @t.enable_grad()
    def g(a: Any) -> Any:
        return a * 2

    yield f(x).requires_grad, g(x).requires_grad
    with t.no_grad():
        yield g(x).requires_grad

    @t.no_grad()
    def gen() -> Any:
        got = yield t.is_grad_enabled()
        yield got, t.is_grad_enabled()

    it = gen()
    yield next(it), t.is_grad_enabled(), it.send(3), t.is_grad_enabled()
    t.set_grad_enabled(False)
    yield t.is_grad_enabled()
    t.set_grad_enabled(True)
    with t.set_grad_enabled(False):
        yield t.is_grad_enabled()
    yield t.is_grad_enabled()

    @t.set_grad_enabled(False)
    def off() -> Any:
        return t.is_grad_enabled()

    yield off(), t.is_grad_enabled()
    try:
        with t.no_grad():
            raise ValueError
    except ValueError:
        yield t.is_grad_enabled()
    yield f.__name__

    class Some:
        @t.no_grad()
        def method(self, a: Any) -> Any:
            return a * 2

    yield Some().method(x).requires_grad


@program
def inference(t: Any) -> Iterator[Any]:
    x = t.ones(2, requires_grad=True)
    with t.inference_mode():
        y = x * 2
        yield y.requires_grad, y.is_inference(), t.is_inference_mode_enabled(), t.is_grad_enabled()
        y.add_(1)
        v = y[0]
        yield v.is_inference(), t.ones(2).is_inference(), x.is_inference()
        p = x[0]
        yield p.is_inference()
    yield error(lambda: y.add_(1))
    yield error(lambda: (x * y).sum().backward())
    yield error(lambda: y.requires_grad_(True))
    yield (y + 1).is_inference(), y.clone().is_inference()
    yield error(lambda: y._version)
    with t.inference_mode(False):
        yield (x * 2).requires_grad

    @t.inference_mode()
    def f() -> Any:
        return t.ones(1).is_inference()

    yield f(), t.is_inference_mode_enabled()
    z = y.clone().requires_grad_()
    (z * 2).sum().backward()
    yield z.grad


@program
def accumulate(t: Any) -> Iterator[Any]:
    x = t.ones(2, requires_grad=True)
    s = t.ones(2)
    (x * s).sum().backward()
    first = x.grad
    (x * 2).sum().backward()
    yield first is x.grad, x.grad
    y = t.ones(2, requires_grad=True)
    z = x + y
    x.grad = None
    z.backward(s)
    yield x.grad.data_ptr() != y.grad.data_ptr(), x.grad.data_ptr() != s.data_ptr()
    x.grad.zero_()
    yield y.grad, s
    w = t.ones(2, 3).t().requires_grad_()
    (w * 2).sum().backward()
    yield w.grad.stride()
    e = t.ones(3, requires_grad=True)
    e.expand(2, 3).sum().backward()
    yield e.grad
    e.grad = None
    (e[None] + e[:, None]).sum().backward()
    yield e.grad


@program
def same_object_twice(t: Any) -> Iterator[Any]:
    x = t.tensor([2.0, 3.0], requires_grad=True)
    y = t.tensor([5.0, 7.0], requires_grad=True)
    for a, b in ((x, x), (x, y), (y, x), (y, y), (x, x), (x, y)):
        yield t.sub(a, b), t.autograd.grad((a * b).sum(), [x, y], allow_unused=True)[0] is not None
        yield t.sub(input=a, other=b), t.sub(a, other=b), a.sub(b, alpha=2), t.sub(other=b, input=a)
    m = t.ones(2, 2)
    yield m @ m, t.matmul(m, m), m.add_(m), m.mul_(m), m
    yield t.where(m > 3, m, m), t.addcmul(m, m, m), t.cat([m, m])


@program
def positional_and_keyword(t: Any) -> Iterator[Any]:
    x = t.arange(6.0).view(2, 3)
    yield (
        t.sum(x, 0),
        t.sum(x, dim=0),
        t.sum(x, 1),
        t.sum(x, dim=1),
        x.sum(0),
        x.sum(dim=(0,)),
        x.sum(1, True),
        x.sum(dim=1, keepdim=True),
        x.sum(),
    )
    yield t.add(x, 1), t.add(x, 1.0), t.add(x, True), t.add(x, 2), t.add(x, 1, alpha=3), t.add(x, 2, alpha=1)
    yield (
        x.transpose(0, 1),
        x.transpose(1, 0),
        x.transpose(dim0=0, dim1=1),
        x.clamp(1),
        x.clamp(min=1),
        x.clamp(max=1),
        x.clamp(1, 2),
        x.clamp(max=3, min=2),
    )
    yield t.clamp(x, max=2), t.clamp(x, min=2), t.clamp(x, 2), t.clamp(input=x, max=4)
    i = t.arange(6).view(2, 3)
    yield i + 1, i + 1.0, i * True, i / 2, i // 2, i % 2, 7 - i, 2.0 * i, 1 / (i + 1), i**2, 2**i
    yield (i + 1).dtype == t.int64, (i + 1.0).dtype == t.float32, (i + True).dtype == t.int64, (i + 1j).dtype == t.complex64
    for n in (1, 2, 3, 1, 2, 3):
        yield (
            x.narrow(1, 0, n),
            x.roll(n, 1),
            x[:, :n],
            i.bitwise_left_shift(n),
            x.pow(n),
            x.pow(float(n)),
            t.full((2,), n),
            t.full((2,), float(n)),
        )


@program
def nan_and_signed_zero_keys(t: Any) -> Iterator[Any]:
    x = t.tensor([1.0, -2.0])
    yield str((x * 0.0).tolist()), str((x * -0.0).tolist()), str((x * float("nan")).tolist()), str((x * float("inf")).tolist())
    yield (
        str((t.zeros(2) / -0.0).tolist()),
        str(t.full((1,), -0.0).tolist()),
        str(t.full((1,), 0.0).tolist()),
        str(t.full((1,), 0).tolist()),
    )
    yield (
        str(x.clamp(min=-0.0).tolist()),
        str(x.pow(0.5).tolist()),
        str(x.pow(2.0).tolist()),
        str(x.pow(-1.0).tolist()),
        str(x.pow(3).tolist()),
    )
    yield (t.tensor([1, 2]) + 2**40), (t.tensor([1, 2]) * (2**62)), error(lambda: t.tensor([1]) + 2**64)


# -- objects
@program
def copies(t: Any) -> Iterator[Any]:
    x = t.ones(2, 2, requires_grad=True)
    y = copy.deepcopy(x)
    z = copy.copy(x)
    p = pickle.loads(pickle.dumps(x))
    yield (
        y.requires_grad,
        y.is_leaf,
        y.data_ptr() != x.data_ptr(),
        z.data_ptr() == x.data_ptr(),
        z.requires_grad,
        p.requires_grad,
        p.detach(),
    )
    yield error(lambda: copy.deepcopy(x * 2))
    b = t.arange(6.0)
    two = copy.deepcopy([b, b, b[2:]])
    two[0][2] = 9
    yield two[0] is two[1], two[2], b
    v = pickle.loads(pickle.dumps(b[::2]))
    yield v, v.stride()
    x.grad = t.full((2, 2), 3.0)
    yield copy.deepcopy(x).grad
    b.note = "kept"
    yield copy.deepcopy(b).note


@program
def objects_and_memory(t: Any) -> Iterator[Any]:
    x = t.ones(2)
    x.extra = 5
    r = weakref.ref(x)
    d = {x: 1}
    yield d[x], x.extra, r() is x, hash(x) == hash(x), x in [x]
    del d, x
    gc.collect()
    yield r() is None
    y = t.ones(2, requires_grad=True)
    z = y * 2
    z.me = z
    r = weakref.ref(z)
    del z
    gc.collect()
    yield r() is None
    a = t.ones(3)
    f = weakref.ref(a)
    b = a * 2
    del a
    yield f() is None, b
    n = (y * y).grad_fn
    yield n.next_functions[0][0].variable is y, n.name()


@program
def python_values(t: Any) -> Iterator[Any]:
    x = t.tensor([[1, 2], [3, 4]])
    yield int(x[0, 1]), float(x[1, 1]), bool(x[0, 0]), x[0, 1].item(), len(x), [r.tolist() for r in x], 3 in x, 9 in x
    yield (
        error(lambda: bool(x)),
        error(lambda: int(x)),
        error(lambda: len(t.tensor(1))),
        error(lambda: list(t.tensor(1))),
        error(lambda: x.item()),
    )
    yield [10, 20, 30][t.tensor(1)], error(lambda: [1, 2][t.tensor(1.0)]), error(lambda: bool(t.ones(0)))
    yield f"{t.tensor(1.5):.3f}", f"{t.tensor(3)}", str(t.tensor([1.0, 2.5]))
    yield t.tensor(2.0) == 2, t.tensor(2.0) != t.tensor(3.0), (t.tensor([1]) == "a"), (t.tensor([1]) is None)


# -- threads
@program
def thread_modes(t: Any) -> Iterator[Any]:
    seen: list[Any] = []
    x = t.ones(2, requires_grad=True)

    def other() -> None:
        seen.append((t.is_grad_enabled(), (x * 2).requires_grad))
        with t.no_grad():
            seen.append((t.is_grad_enabled(), (x * 2).requires_grad))

    with t.no_grad():
        th = threading.Thread(target=other)
        th.start()
        th.join()
        seen.append((t.is_grad_enabled(), (x * 2).requires_grad))
    yield seen


@program
def threads_accumulate(t: Any) -> Iterator[Any]:
    x = t.zeros(16, requires_grad=True)

    def work() -> None:
        for _ in range(200):
            (x * 2).sum().backward()

    work_threads = [threading.Thread(target=work) for _ in range(4)]
    old = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for th in work_threads:
            th.start()
        for th in work_threads:
            th.join()
    finally:
        sys.setswitchinterval(old)
    yield x.grad[:3]


@program
def threads_switch_modes(t: Any) -> Iterator[Any]:
    x = t.ones(4, requires_grad=True)
    bad: list[Any] = []

    def work(grad: bool) -> None:
        for _ in range(300):
            with t.set_grad_enabled(grad):
                y = x * 3
                if y.requires_grad != grad:
                    bad.append(grad)

    old = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        ts = [threading.Thread(target=work, args=(k % 2 == 0,)) for k in range(4)]
        for th in ts:
            th.start()
        for th in ts:
            th.join()
    finally:
        sys.setswitchinterval(old)
    yield bad


# -- the tape's other doors
@program
def custom_function(t: Any) -> Iterator[Any]:
    class Cube(t.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any, k: Any) -> Any:
            ctx.save_for_backward(x)
            ctx.k = k
            return x * x * x * k

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            (x,) = ctx.saved_tensors
            return 3 * x * x * g * ctx.k, None

    x = t.tensor([1.0, 2.0], requires_grad=True)
    y = Cube.apply(x, 2)
    (g,) = t.autograd.grad(y.sum(), x, create_graph=True)
    (h,) = t.autograd.grad(g.sum(), x)
    yield y.detach(), g.detach(), h, y.grad_fn.name()

    class Two(t.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.set_materialize_grads(False)
            return x * 2, x * 3

        @staticmethod
        def backward(ctx: Any, a: Any, b: Any) -> Any:
            log.append((a is None, b is None))
            return a if b is None else b

    log: list[Any] = []
    _a, b = Two.apply(x)
    b.sum().backward()
    yield log, x.grad

    class Wrong(t.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return x * 2

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return g, g

    yield error(lambda: Wrong.apply(x).sum().backward())

    class Dirty(t.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            x.mul_(2)
            ctx.mark_dirty(x)
            return x

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return g * 2

    z = x * 1
    w = Dirty.apply(z)
    yield w is z, z._version
    x.grad = None
    w.sum().backward()
    yield x.grad


@program
def saved_hooks(t: Any) -> Iterator[Any]:
    log: list[Any] = []

    def pack(x: Any) -> Any:
        log.append("pack")
        return x.detach().clone() * 10

    def unpack(x: Any) -> Any:
        log.append("unpack")
        return x / 10

    a, b = t.tensor([1.0, 2.0], requires_grad=True), t.tensor([3.0, 4.0], requires_grad=True)
    with t.autograd.graph.saved_tensors_hooks(pack, unpack):
        y = a * b
    y.sum().backward()
    yield log, a.grad, b.grad
    with t.autograd.graph.save_on_cpu():
        z = (a * b).exp()
    z.sum().backward()
    yield a.grad.shape
    with t.autograd.graph.disable_saved_tensors_hooks("not here"):
        yield error(lambda: t.autograd.graph.saved_tensors_hooks(pack, unpack).__enter__())


@program
def multi_grad_hooks(t: Any) -> Iterator[Any]:
    log: list[Any] = []
    a, b = t.ones(2, requires_grad=True), t.ones(2, requires_grad=True)
    c, d = a * 2, b * 3
    h = t.autograd.graph.register_multi_grad_hook((c, d), lambda gs: log.append([g is not None for g in gs]))
    (c + d).sum().backward(retain_graph=True)
    c.sum().backward(retain_graph=True)
    yield log
    h.remove()
    (c + d).sum().backward()
    yield len(log)


@program
def anomaly(t: Any) -> Iterator[Any]:
    import warnings

    x = t.tensor([-1.0], requires_grad=True)
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        with t.autograd.detect_anomaly():
            y = x.sqrt()
            yield error(lambda: y.sum().backward())
    text = "".join(str(w.message) for w in seen)
    yield "y = x.sqrt()" in text, t.is_anomaly_enabled()


@program
def requires_grad_flow(t: Any) -> Iterator[Any]:
    x, c = t.ones(2, requires_grad=True), t.ones(2)
    yield (x + c).requires_grad, (c + c).requires_grad, x.long().requires_grad, (x > 0).requires_grad, x.argmax().requires_grad
    v, i = x.max(0)
    yield v.requires_grad, i.requires_grad
    yield c.requires_grad_().requires_grad, c.is_leaf, x.clone().is_leaf, x.detach().requires_grad_().is_leaf
    y = x * 2
    y.requires_grad_(True)
    yield y.is_leaf
    u = t.zeros(2)
    u += x
    yield u.requires_grad, u.is_leaf
    u.sum().backward()
    yield x.grad


# -- subclasses and function modes
@program
def subclasses(t: Any) -> Iterator[Any]:
    class Sub(t.Tensor):
        pass

    x = t.ones(2).as_subclass(Sub)
    yield (
        type(x).__name__,
        type(x + 1).__name__,
        type(1 + x).__name__,
        type(x.sum()).__name__,
        type(x[0]).__name__,
        type(t.add(x, x)).__name__,
    )
    yield (
        type(x.max(0)[0]).__name__,
        type(t.cat([x, x])).__name__,
        x.add_(1) is x,
        type(x.t()).__name__,
        type(x == x).__name__,
        type(-x).__name__,
    )
    y = t.Tensor._make_subclass(Sub, t.ones(2), True)
    z = (y * 3).sum()
    yield type(z).__name__, z.requires_grad
    z.backward()
    yield y.grad, type(pickle.loads(pickle.dumps(t.ones(1)))).__name__

    class Logged(t.Tensor):
        @classmethod
        def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            log.append(func.__name__)
            return super().__torch_function__(func, types, args, kwargs or {})

    log: list[str] = []
    a = t.ones(2).as_subclass(Logged)
    yield type(t.mul(a, 2)).__name__, type(a.exp()).__name__, type(t.stack([a, a])).__name__, type(t.nn.functional.relu(a)).__name__
    yield log

    class Duck:
        @classmethod
        def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            return "duck " + func.__name__

    yield t.mul(Duck(), 2), t.mul(t.ones(1), Duck()), t.cat([Duck(), t.ones(1)]), t.sum(Duck(), dim=0)

    class Never:
        @classmethod
        def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            return NotImplemented

    yield error(lambda: t.mul(t.ones(1), Never()))[:40]


@program
def function_modes(t: Any) -> Iterator[Any]:
    overrides = importlib.import_module(t.__name__ + ".overrides")
    log: list[str] = []

    class Mode(overrides.TorchFunctionMode):
        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            log.append(func.__name__)
            return func(*args, **(kwargs or {}))

    x = t.ones(2)
    with Mode():
        t.add(x, x)
        t.exp(x)
        t.sum(x)
    yield log
    t.add(x, x)
    yield len(log)

    class Twice(overrides.TorchFunctionMode):
        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            out = func(*args, **(kwargs or {}))
            return out * 2 if func is t.exp else out

    with Twice():
        yield t.exp(t.zeros(2)).tolist()
        with Twice():
            yield t.exp(t.zeros(2)).tolist()
    yield t.exp(t.zeros(2)).tolist()
    yield overrides.has_torch_function((x, 1)), overrides.is_tensor_like(x), overrides.is_tensor_like(3)


def render(t: Any, p: Callable[[Any], Iterator[Any]]) -> str:
    """A program's name and what it yields, one line each."""
    lines = [f"== {p.__name__}"]
    try:
        lines += [repr(show(v)) for v in p(t)]
    except Exception as e:
        lines.append(f"STOPPED {type(e).__name__}: {str(e).splitlines()[0] if str(e) else ''}")
    return "\n".join(lines)


if __name__ == "__main__":
    library = importlib.import_module(sys.argv[1])
    chosen = sys.argv[2:]
    for each in PROGRAMS:
        if not chosen or each.__name__ in chosen:
            print(render(library, each), flush=True)
