"""Kinds of operator blocks. A block is a class below a kind; what it must hold is checked when it is defined, all at once.

| kind | body | what the plan does |
|---|---|---|
| Pointwise | `scalar(x, ...)` over Scalars | broadcast, promote, one fused loop nest |
| Movement | `view(layout, ...) -> View` or a list | a tensor on the same storage |
| Fused | `kernel(layouts, ...) -> Result(outputs, schedule)` | kernels of our own, one native call |
| Library | `library(arrays, ...)` | NumPy or SciPy, shown as such by explain |
| Procedure | `run(tensors, ...)` | Python that allocates, checks and calls other ops, outside the tape |
| Composite | `compose(...)` | other ops; has no derivative of its own |

`gradient` is "from scalar" (derived), None (not differentiable) or a function. Its parameters are chosen by name: `g` (or `g0`, `g1` for
several results), `out` (or `out0`, ...), any argument of the schema (annotated `Layout` when only its shape and dtype are needed, so that
the values are not kept), `needs` (which tensors want one). It returns one gradient, or a tuple with one per tensor argument (None: no
gradient; for a `Tensor[]` argument a list).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from .registry import Op, enter
from .samples import Refusal, Sample
from .schema import parse

# an out= of a type that does not fit: what several operators say
SAME_TYPE = "Expected out tensor to have dtype {want}, but got {got} instead"
FOUND_TYPE = "Found dtype {Got} but expected {Want}"
SCALAR_TYPE = "expected scalar_type {Want} but found {Got}"


class Block:
    """What every operator declares."""

    kind: ClassVar[str] = ""
    body: ClassVar[str] = ""
    schema: ClassVar[str] = ""
    dims: ClassVar[str] = ""  # the shapes of tensors and result, in words of one letter: "*b m k, *b k n -> *b m n"
    paths: ClassVar[str] = (
        "torch Tensor"  # where the public function appears: torch, Tensor, nn.functional, special, ...; "" for internal ops
    )
    public: ClassVar[str] = ""  # name when it is not the schema's
    aliases: ClassVar[str] = ""  # other names of the same function
    in_place: ClassVar[bool] = False  # has a variant with a trailing underscore
    out: ClassVar[bool] = True  # takes out=
    # an out= of another type: a sentence that refuses it (of {want} and {got} as C++ names, {Want} and {Got} as PyTorch's; or one for each
    # result), "cast" if what loses nothing is converted, "any" if everything is
    out_dtype: ClassVar[str | tuple[str, ...]] = SAME_TYPE
    disjoint: ClassVar[bool] = False  # out= may not share memory with an operand
    overloaded: ClassVar[bool] = False  # PyTorch has several overloads where we have one: its error for a call that fits none lists them
    floats: ClassVar[tuple[str, ...]] = ("float16", "bfloat16", "float32", "float64")  # floating types that it takes
    half_error: ClassVar[float] = 1.0  # error in half precision, as a multiple of what a few roundings give
    needs_values: ClassVar[bool | str] = (
        False  # results, or the way to them, depend on values: refused on the meta device (with this sentence)
    )
    may_look: ClassVar[bool] = False  # some calls look at values: those are refused on the meta device
    by_strides: ClassVar[bool] = False  # what it gives, or whether it works, depends on how the input lies in memory
    batching: ClassVar[str] = (
        ""  # how `vmap` adds a dim (core/batching.py): "front dim +size", "fold input", "rows amax"; "" runs once per example
    )
    batch: ClassVar[Any] = None  # or the rule itself: batch(examples, arguments of the schema...), see core/batching.py:Examples
    gradient: Any = None
    samples: Any = None
    refusals: Any = None
    op: ClassVar[Op]

    def __init_subclass__(cls, kind: str = "", body: str = "", **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if kind:
            cls.kind, cls.body = kind, body
            return
        lacking = [name for name in ("schema", cls.body) if not getattr(cls, name, None)]
        if not cls.__doc__:
            lacking.append("a docstring")
        if cls.paths and not cls.samples:
            lacking.append("samples")
        if lacking:
            raise TypeError(f"op block {cls.__name__} in {cls.__module__} lacks: {', '.join(lacking)}")
        schema = parse(cls.schema)
        cls.op = Op(schema, cls, cls.kind, tuple(i for i, p in enumerate(schema.params) if p.is_tensor))
        enter(cls.op)

    @classmethod
    def all_samples(cls) -> list[Sample]:
        return _listed(cls.samples)

    @classmethod
    def all_refusals(cls) -> list[Refusal]:
        return _listed(cls.refusals)


def _listed(cases: Any) -> list[Any]:
    """What a block declares: a list, nothing, or a function that gives one of them."""
    declared: Callable[[], Any] = cases if callable(cases) else lambda: cases
    return list(declared() or ())


class Pointwise(Block, kind="pointwise", body="scalar"):
    """Element by element with broadcasting.

    `promotion`: words, in any order: `promote` (default) or `first` (the first tensor's type); `float` (integers become the default floating
    type); `bool` or `real` (type of the result); `no_complex`, `no_bool`, `no_integral`, `no_floating` refuse a category of the computed
    type with PyTorch's sentence; `kernel=NAME` is the name in that sentence; `keep=a,b` are arguments that are not promoted; `rounded`:
    Python numbers are rounded to half precision beside half tensors, as wider tensors always are; `unrounded`: but not 0-dim ones. A function of the arguments may choose the words.

    `static` names numbers that are part of the body as Python values; `special` maps a name to a predicate that picks such values, or
    to "integers" (each of them; what is passed as float never is) or "zero" (the integer 0). `check` sees the arguments (layouts for
    tensors) once per plan and refuses; `guard` is the name of a tensor and what looks at it before every run on integers. A `scalar` with
    a parameter `common` is told the promoted type.
    """

    promotion: ClassVar[Any] = "promote"
    static: ClassVar[tuple[str, ...]] = ()
    special: ClassVar[dict[str, Any]] = {}
    check: ClassVar[Any] = None
    guard: ClassVar[Any] = None
    in_place: ClassVar[bool] = True
    out_dtype: ClassVar[str | tuple[str, ...]] = "cast"
    gradient: Any = "from scalar"

    @staticmethod
    def scalar(*args: Any, **kwargs: Any) -> Any: ...


class Movement(Block, kind="movement", body="view"):
    """The same elements seen another way."""

    out: ClassVar[bool] = False

    @staticmethod
    def view(*args: Any, **kwargs: Any) -> Any: ...


class Fused(Block, kind="fused", body="kernel"):
    """Kernels of our own. `contiguous` names the tensors that the kernel wants contiguous (they are copied into workspace otherwise).
    `at_once`: the answer is looked at right away, so a recording does not make it wait."""

    contiguous: ClassVar[tuple[str, ...] | bool] = ()
    at_once: ClassVar[bool] = False

    @staticmethod
    def kernel(*args: Any, **kwargs: Any) -> Any: ...


class Library(Block, kind="library", body="library"):
    """A function of a well-kept library over NumPy arrays. `shapes(...)`, of the same arguments with layouts for tensors, says what comes out
    without running it, for the meta device: one layout per result."""

    shapes: ClassVar[Any] = None

    @staticmethod
    def library(*args: Any, **kwargs: Any) -> Any: ...


class Procedure(Block, kind="procedure", body="run"):
    """Python around other ops and kernels, run outside the tape; the derivative is written."""

    @staticmethod
    def run(*args: Any, **kwargs: Any) -> Any: ...


class Composite(Block, kind="composite", body="compose"):
    """A name for a composition of other ops; `compose` has the public signature itself and is called directly, or, with `through_binder`,
    gets its arguments in schema order and has out= and in-place variants as other kinds. `write(...)`, where given, is the in-place variant
    for calls that are not recorded: the values go straight into the first argument."""

    through_binder: ClassVar[bool] = False
    by_example: ClassVar[bool] = False  # `vmap` runs it once per example, since it looks at values
    by_key: ClassVar[bool] = False  # what it gives follows from the types and shapes of its arguments
    data: ClassVar[str] = ""  # the argument that Python's numbers come in, or lists of them: its values are no part of a call's key

    @staticmethod
    def compose(*args: Any, **kwargs: Any) -> Any: ...


Block.gradient = None
