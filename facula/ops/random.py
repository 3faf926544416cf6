"""Random numbers, with PyTorch's CPU streams: a seeded program gives the numbers that its author saw."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from ..base import dtypes as d
from ..base.device import META, device
from ..base.dtypes import dtype as DType
from ..base.errors import refuse
from ..base.settings import SETTINGS
from ..core import writing
from ..core.batching import ACTIVE, STREAM, Examples, bare, extents, roomy
from ..core.copying import fill_in
from ..core.layout import Layout, layout
from ..core.modes import MODE
from ..core.plan import allocate, execute
from ..core.tensor import Tensor
from ..kernel import random as kernels
from ..kernel.launch import Schedule
from ..spec.binder import BINDER
from ..spec.block import Composite, Procedure
from ..spec.registry import ops
from ..spec.samples import normal as normal_sample
from ..spec.samples import sample
from .creation import new, size_of
from .examples import in_own_places


class Generator:
    """A stream of random numbers (Mersenne Twister MT19937, as PyTorch's CPU generator)."""

    __slots__ = ("__weakref__", "device", "state")

    def __init__(self, device: Any = "cpu") -> None:
        self.device = _cpu(device)
        self.state = kernels.State()

    def manual_seed(self, seed: int) -> Generator:
        """Start the stream of a seed."""
        if isinstance(seed, (float, str)) or seed is None:
            raise refuse(
                RuntimeError, f"manual_seed expected a long, but got {type(seed).__name__}", received=f"{seed!r:.60}", expected="int"
            )
        self.state.seed(_seed(seed))
        return self

    def seed(self) -> int:
        """Start the stream of a seed drawn from the system; returns it."""
        value = int.from_bytes(os.urandom(8), "little")
        self.state.seed(value)
        return value

    def initial_seed(self) -> int:
        return self.state.initial_seed

    def get_state(self) -> Tensor:
        """The state as a byte tensor in PyTorch's layout."""
        return ops.frombuffer(bytearray(self.state.get_state()), dtype=d.uint8)

    def set_state(self, new_state: Tensor) -> None:
        if not isinstance(new_state, Tensor):
            raise refuse(TypeError, f"expected a torch.ByteTensor, but got {type(new_state).__name__}", received=f"{new_state!r:.60}")
        if new_state.dtype is not d.uint8:
            raise refuse(TypeError, "RNG state must be a torch.ByteTensor", received=f"a tensor of {new_state.dtype.name}")
        self.state.set_state(bytes(new_state.contiguous().tolist()))

    def clone_state(self) -> Generator:
        out = Generator()
        out.state.set_state(self.state.get_state())
        return out

    def get_offset(self) -> int:
        """Streams of other devices have a place in them."""
        raise refuse(RuntimeError, "CPU Generator does not use offset", hint="get_state()")

    def set_offset(self, offset: int) -> None:
        raise refuse(RuntimeError, "CPU Generator does not use offset", received=f"{offset!r:.60}", hint="set_state(state)")

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (self.state.get_state(),)


def _rebuild(state: bytes) -> Generator:
    out = Generator()
    out.state.set_state(state)
    return out


def _cpu(where: Any) -> Any:
    where = device(where)
    if where.type != "cpu":
        raise refuse(
            RuntimeError,
            f"Device type {where.type.upper()} is not supported for torch.Generator() api.",
            received=str(where),
            expected="cpu",
        )
    return where


def _seed(seed: Any) -> int:
    try:
        value = int(seed)
    except (TypeError, ValueError) as error:
        raise refuse(type(error), str(error), received=f"seed={seed!r:.60}", expected="int") from None
    if not -(1 << 63) <= value < 1 << 64:
        raise refuse(ValueError, "Overflow when unpacking long long", received=f"seed {value}", expected="a seed of 64 bits")
    return value & ((1 << 64) - 1)


default_generator = Generator()
BINDER.generator = Generator
STREAM[:] = [lambda: default_generator.state.get_state(), lambda state: default_generator.state.set_state(state)]


def manual_seed(seed: int) -> Generator:
    """Seeds the default generator."""
    return default_generator.manual_seed(_seed(seed))


def initial_seed() -> int:
    return default_generator.initial_seed()


def seed() -> int:
    return default_generator.seed()


def get_rng_state() -> Tensor:
    return default_generator.get_state()


def set_rng_state(new_state: Tensor) -> None:
    default_generator.set_state(new_state)


RANDOM = (
    "vmap: called random operation while in randomness error mode. Please either use the 'same' or 'different' randomness flags on vmap or perform the "
    "randomness operation out of vmap"
)


def randomness() -> str:
    """How draws behave here: "" outside `vmap`, else "same" or "different"; RuntimeError where they are refused."""
    if not ACTIVE.levels:
        return ""
    how = ACTIVE.levels[-1].randomness
    if how == "error":
        raise RuntimeError(RANDOM)
    return how


def room_to_draw(x: Tensor) -> Tensor:
    """`x`, or under "different" randomness a tensor like it with a place for every example."""
    if randomness() != "different":
        return x
    levels = {**extents([x._layout]), **{level.number: level.size for level in ACTIVE.levels}}
    lay = x._layout
    return allocate(layout(lay.shape, lay.dtype, lay.strides if lay.dense else None, lay.device, roomy(lay.shape, levels)))


def state_of(generator: Generator | None) -> int:
    randomness()
    if MODE.trace is not None:
        MODE.trace.draws()
    return (generator or default_generator).state.address


def draw(target: Tensor, schedule: Any, generator: Generator | None, *numbers: Any, counted: bool = False) -> Tensor:
    """Fill a contiguous tensor; another one by way of a contiguous buffer."""
    execute(schedule, [target], [], [state_of(generator), *numbers], counted)
    return target


def memory_order(x: Tensor) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """(the dims from the widest stride to the narrowest, the permutation that undoes this)."""
    lay = x._layout
    order = list(range(lay.ndim)) if lay.contiguous else sorted(range(lay.ndim), key=lambda k: -lay.strides[k])
    return tuple(order), tuple(sorted(range(lay.ndim), key=order.__getitem__))


def draw_into(self: Tensor, title: str, make: Any, generator: Generator | None, *numbers: Any, counted: bool = True) -> Tensor:
    """The in-place form: refusals, the draw in the order in which the elements lie in memory, the version counter; history ends here.
    `counted` is False for memory that nobody has seen yet."""
    writing.check_target(self, title)
    writing.check_leaf(self)
    lay = self._layout
    if not lay.numel:
        return self
    if ACTIVE.levels and (how := randomness()):
        return _drawn_under_vmap(self, how, title, make, generator, *numbers)
    if lay.contiguous or lay.device is META:  # where nothing is drawn, the launches of a large tensor need not be made either
        draw(self, Schedule(()) if lay.device is META else make(lay), generator, *numbers, counted=counted)
        return _without_history(self)
    order, back = memory_order(self)
    flat = layout(tuple(lay.shape[k] for k in order), lay.dtype, None, lay.device)
    if lay.dense:
        draw(writing.objects.alias(Tensor, self, flat, 0), make(flat), generator, *numbers)
        if counted:
            writing.objects.bump(self)
            self._viewed = writing.objects.version(self)
    else:
        drawn = draw(allocate(flat), make(flat), generator, *numbers)
        (writing.write if counted else fill_in)(self, drawn.permute(back))
    return _without_history(self)


def _without_history(self: Tensor) -> Tensor:
    if self._node is not None and self._root is None:
        self._node, self._flags = None, self._flags & 0xFE
    return self


def _drawn_under_vmap(self: Tensor, how: str, title: str, make: Any, generator: Generator | None, *numbers: Any) -> Tensor:
    """The in-place form for many examples: one draw for all, or a draw that goes through all of them."""
    if how == "different" and not any(k == ACTIVE.levels[-1].number for k, _, _ in self._layout.batch):
        raise RuntimeError(
            "vmap: Cannot ask for different inplace randomness on an unbatched tensor. This will appear like same randomness. If this is necessary for "
            "your usage, please file an issue with functorch."
        )
    levels, ACTIVE.levels = ACTIVE.levels, []
    try:
        if how == "different":
            draw_into(bare(self), title, make, generator, *numbers)
        else:
            lay = self._layout
            writing.write(self, draw_into(allocate(layout(lay.shape, lay.dtype)), title, make, generator, *numbers))
    finally:
        ACTIVE.levels = levels
    self._viewed = writing.objects.version(self)
    return self


def _floating(x: Any, title: str) -> None:
    if not x.dtype.is_floating_point:
        from ..spec.promotion import scalar_type_name

        raise refuse(NotImplementedError, f"\"{title}\" not implemented for '{scalar_type_name(x.dtype)}'", expected="a floating dtype")


def uniform_(self: Tensor, a: float = 0.0, b: float = 1.0, *, generator: Generator | None = None, **names: Any) -> Tensor:
    """Uniform numbers in [from, to)."""
    a, b = names.pop("from", a), names.pop("to", b)
    if names:
        raise TypeError(f"uniform_() got an unexpected keyword argument '{next(iter(names))}'")
    return fill_uniform(self, a, b, generator)


def fill_uniform(self: Tensor, a: float, b: float, generator: Generator | None, counted: bool = True) -> Tensor:
    """`uniform_`, counted as a write or not."""
    if self.dtype.is_complex and (a, b) == (0, 1):
        parts = uniform_(self.new_empty((*self.shape, 2), dtype=self.dtype.real), generator=generator)
        (writing.write if counted else fill_in)(self, ops.view_as_complex(parts))
        return self
    _floating(self, "check_uniform_bounds")
    if a > b:
        raise refuse(RuntimeError, f"uniform_ expects to return a [from, to) range, but found from={float(a):g} > to={float(b):g}")
    return draw_into(self, "uniform_", kernels.uniform, generator, float(a), float(b), counted=counted)


def normal_(self: Tensor, mean: float = 0.0, std: float = 1.0, *, generator: Generator | None = None) -> Tensor:
    """Normal numbers."""
    return fill_normal(self, mean, std, generator)


def fill_normal(self: Tensor, mean: float, std: float, generator: Generator | None, counted: bool = True) -> Tensor:
    """`normal_`, counted as a write or not."""
    if std < 0:
        raise refuse(RuntimeError, f"normal expects std >= 0.0, but found std {float(std):g}")
    if self.dtype.is_complex:
        parts = self.new_empty((*self.shape, 2), dtype=self.dtype.real).normal_(0, std / 2**0.5, generator=generator)
        (writing.write if counted else fill_in)(self, ops.view_as_complex(parts) + mean)
        return self
    _floating(self, "normal_kernel_cpu")

    def make(lay: Layout) -> Any:
        return kernels.normal(lay, None if self._layout.contiguous else False)

    return draw_into(self, "normal_", make, generator, float(mean), float(std), counted=counted)


Tensor.uniform_, Tensor.normal_ = uniform_, normal_


def _options(shape: Sequence[int], dtype: DType | None, where: Any) -> Tensor:
    return room_to_draw(new(shape, dtype or SETTINGS.default_dtype, where, False))


class Rand(Composite):
    """Uniform numbers in [0, 1)."""

    overloaded = True  # in PyTorch
    schema = "rand(int[] size, *, Generator? generator=None, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=False, bool requires_grad=False) -> Tensor"
    paths = "torch"

    @staticmethod
    def compose(
        *size: Any,
        generator: Generator | None = None,
        out: Any = None,
        dtype: DType | None = None,
        layout: Any = None,
        device: Any = None,
        requires_grad: bool = False,
        pin_memory: bool = False,
    ) -> Tensor:
        t = _options(size_of(size, "rand"), dtype, device) if out is None else ops.resize_(out, size_of(size, "rand"))
        return fill_uniform(t, 0.0, 1.0, generator, out is not None).requires_grad_(requires_grad)

    samples = [sample(2, 3)]


class Randn(Composite):
    """Standard normal numbers."""

    overloaded = True  # in PyTorch
    schema = "randn(int[] size, *, Generator? generator=None, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=False, bool requires_grad=False) -> Tensor"
    paths = "torch"

    @staticmethod
    def compose(
        *size: Any,
        generator: Generator | None = None,
        out: Any = None,
        dtype: DType | None = None,
        layout: Any = None,
        device: Any = None,
        requires_grad: bool = False,
        pin_memory: bool = False,
    ) -> Tensor:
        t = _options(size_of(size, "randn"), dtype, device) if out is None else ops.resize_(out, size_of(size, "randn"))
        return fill_normal(t, 0.0, 1.0, generator, out is not None).requires_grad_(requires_grad)

    samples = [sample(2, 3)]


class Randperm(Composite):
    """The integers 0..n-1 in random order."""

    overloaded = True  # in PyTorch
    schema = "randperm(int n, *, Generator? generator=None, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=False, bool requires_grad=False) -> Tensor"
    paths = "torch"

    @staticmethod
    def compose(
        n: int,
        *,
        generator: Generator | None = None,
        out: Any = None,
        dtype: DType | None = None,
        layout: Any = None,
        device: Any = None,
        requires_grad: bool = False,
        pin_memory: bool = False,
    ) -> Tensor:
        if n < 0:
            raise refuse(RuntimeError, f"Trying to create tensor with negative dimension {n}: [{n}]")
        t = new((n,), d.int64, device, False)
        if n:
            draw(t, kernels.permutation(t._layout), generator)
        t = t.to(dtype) if dtype is not None else t
        return out.copy_(t) if out is not None else t.requires_grad_(requires_grad)

    samples = [sample(5)]


def _like(name: str, make: Any) -> None:
    def compose(
        input: Tensor,
        *,
        dtype: DType | None = None,
        layout: Any = None,
        device: Any = None,
        requires_grad: bool = False,
        memory_format: Any = None,
        generator: Any = None,
        pin_memory: bool = False,
    ) -> Tensor:
        into = room_to_draw(ops.empty_like(input, dtype=dtype, device=device, memory_format=memory_format))
        return make(into, 0.0, 1.0, generator, False).requires_grad_(requires_grad)

    schema = f"{name}(Tensor input, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool requires_grad=False, MemoryFormat? memory_format=None, Generator? generator=None) -> Tensor"
    type(name.title().replace("_", ""), (Composite,), {"__doc__": f"`{name[:-5]}` with the shape and type of another tensor.", "__module__": __name__, "schema": schema,
         "paths": "torch", "out": False, "compose": staticmethod(compose), "samples": [sample(normal_sample(2, 3))]})  # fmt: skip


_like("rand_like", fill_uniform)
_like("randn_like", fill_normal)
FUNCTIONS = ("default_generator", "manual_seed", "initial_seed", "seed", "get_rng_state", "set_rng_state", "Generator")


class DropoutForward(Procedure):
    """(x where kept, times 1 / (1 - p); which were kept): PyTorch's draws, one pass."""

    schema = "dropout_forward(Tensor input, any p, any generator=None) -> (Tensor out, Tensor mask)"
    paths = ""

    @staticmethod
    def batch(examples: Examples, input: Tensor, p: float, generator: Any) -> tuple[Tensor, Tensor]:
        if randomness() == "different":
            return ops.dropout_forward(input, p, generator)
        _, mask = ops.dropout_forward(ops.ones(input.shape[1:], dtype=input.dtype), p, generator)
        return input * (mask * (1.0 / (1.0 - p))).to(input.dtype), mask.expand(input.shape)

    @staticmethod
    def run(input: Tensor, p: float, generator: Any) -> tuple[Tensor, Tensor]:
        order, back = memory_order(input)
        x = input.permute(order).contiguous()
        out, mask = ops.empty_like(x), ops.empty_like(x, dtype=d.bool_)
        execute(kernels.dropout(x._layout), [out, mask], [x], [state_of(generator), 1.0 - p, 1.0 - p])
        return out.permute(back), mask.permute(back)

    @staticmethod
    def gradient(g0: Tensor, out1: Tensor, p: float) -> Tensor:
        return g0 * out1.detach() * (1.0 / (1.0 - p))


def own_draws(x: Tensor) -> Tensor:
    """`x`, or under "different" randomness the same values in a place of every example's own."""
    for level in ACTIVE.levels if randomness() == "different" else ():
        x = in_own_places(x, level.number, level.size)
    return x


def without_draw(input: Tensor, p: float, train: bool) -> Tensor | None:
    """What dropout gives where chance has no part in it, else None."""
    if not 0 <= p <= 1:
        raise refuse(RuntimeError, f"dropout probability has to be between 0 and 1, but got {p}")
    if not train or p == 0 or not input._layout.numel:
        return input
    return input * ops.zeros_like(input) if p == 1 else None


class Dropout(Composite):
    """Each element is zero with probability p, else scaled by 1 / (1 - p). Srivastava et al. 2014."""

    schema = "dropout(Tensor input, float p, bool train) -> Tensor"
    out = False
    paths = "torch"

    @staticmethod
    def compose(input: Tensor, p: float = 0.5, train: bool = True) -> Tensor:
        if (settled := without_draw(input, p, train)) is not None:
            return settled
        return ops.dropout_forward(own_draws(input), float(p))[0]

    samples = [sample(normal_sample(3, 4), 0.5, False)]


def dropout_(self: Tensor, p: float = 0.5, train: bool = True) -> Tensor:
    """Dropout written into the tensor."""
    got = ops.dropout(self, p, train)
    return self if got is self else writing.assign(self, got, "dropout_")


ops.dropout_ = dropout_
