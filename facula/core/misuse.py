"""What a wrong call of a function in plain Python is told: the sentence of the binder, as if the function had been called through it."""

from __future__ import annotations

import dis
import functools
import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from types import FunctionType, TracebackType
from typing import Any

import facula.core.writing as writing

from ..base.device import device as Device
from ..base.dtypes import dtype as DType
from ..base.errors import fold, refuse
from ..base.narrow import is_sequence
from ..base.size import Size
from ..spec.binder import BINDER, ordinary_memory
from ..spec.promotion import scalar_type_name
from ..spec.registry import Op
from ..spec.schema import REQUIRED
from .annotations import refused_by_annotation
from .batching import by_example
from .modes import MODE
from .overrides import PLAIN, dispatch_override, overridden
from .placing import PLACES, frame
from .tensor import Tensor

# what code meets when an argument is of no use to it; ValueError from int("abc")
STUMBLES = (AttributeError, KeyError, StopIteration, TypeError, UnboundLocalError, ValueError)
PACKAGE = __name__.partition(".")[0] + "."
SIMPLE: set[type] = {*PLAIN, Tensor, Size}  # types of arguments that never take a call over


def stumbled(error: BaseException, name: str, arguments: Sequence[Any]) -> TypeError | None:
    """The refusal that a user understands, when this package's code stumbled; None for its own refusals and for errors of the user's code."""
    trace = _last(error)
    if trace is None or _through_user(error):
        return None
    if not isinstance(error, STUMBLES) or hasattr(error, "received") or (isinstance(error, (TypeError, ValueError)) and _raised(trace)):
        return None
    if isinstance(error, ValueError) and not any(isinstance(a, str) for a in arguments):
        return None
    kinds = ", ".join(type(a).__name__ for a in arguments)
    refusal = refuse(
        TypeError, f"{name}() received an invalid combination of arguments - got ({kinds})", received=f"{type(error).__name__}: {error}"
    )
    refusal.__cause__ = error
    return refusal


def _through_user(error: BaseException) -> bool:
    """Whether code that is neither ours nor Python's own stands between the catching frame and the error."""
    trace = error.__traceback__
    while trace is not None and (trace := trace.tb_next) is not None:
        name = str(trace.tb_frame.f_globals.get("__name__", ""))
        if not name.startswith(PACKAGE) and name.partition(".")[0] not in sys.stdlib_module_names:
            return True
    return False


def _last(error: BaseException) -> TracebackType | None:
    """Where the error arose."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace


def _raised(trace: TracebackType | None) -> bool:
    """Whether the error comes from a `raise` statement of this package, not from an expression or from Python's library."""
    ours = trace is not None and str(trace.tb_frame.f_globals.get("__name__", "")).startswith(PACKAGE)
    return trace is not None and ours and dis.opname[trace.tb_frame.f_code.co_code[trace.tb_lasti]] == "RAISE_VARARGS"


def blame(error: Exception, name: str, args: Sequence[Any], kwargs: dict[str, Any] | None = None) -> None:
    """Note which public function was called and with what, below the sentence; the outermost call is the one that the user wrote, unless
    the error comes from a function of the user's that was handed in."""
    fold(error)
    if _through_user(error):
        return
    given = [_brief(a) for a in args] + [f"{k}={_brief(v)}" for k, v in (kwargs or {}).items()]
    line = f"  call:     {name}({', '.join(given)})"
    notes = getattr(error, "__notes__", None)
    if notes and notes[-1].startswith("  call:"):
        notes[-1] = line
    elif hasattr(error, "add_note"):  # Python 3.11
        error.add_note(line)


def _brief(value: Any, depth: int = 3) -> str:
    """Shape and type of a tensor, the text of a short value, else what it is."""
    if isinstance(value, Tensor):
        return f"{tuple(value._layout.shape)} {value._layout.dtype.name}"
    if is_sequence(value) and depth:
        rest = ["..."] if len(value) > 4 else []
        return f"[{', '.join([_brief(v, depth - 1) for v in value[:4]] + rest)}]"
    if value is None or isinstance(value, (bool, int, float, complex, str, DType)):
        return f"{value!r:.40}"
    return type(value).__name__


def refused_by(schemas: Sequence[Any], args: Sequence[Any], kwargs: dict[str, Any], name: str, method: bool) -> TypeError | None:
    try:
        BINDER.choose(schemas, args, kwargs, name, method)
    except TypeError as error:
        return error.with_traceback(None)
    return None


OPTIONS = {"requires_grad", "out", "layout", "pin_memory"}


def explained(compose: Callable[..., Any], op: Op, name: str, method: bool) -> Any:
    """The public function of a composite: `compose`, whose stumbling over an argument becomes the binder's refusal of it, and which writes
    into out= where the block takes one and `compose` does not."""
    block = op.block
    parameters: Mapping[str, inspect.Parameter] = inspect.signature(compose).parameters if block.out and op.tensors else {}
    delivers = bool(parameters) and "out" not in parameters
    expected = _kinds(op, compose)
    if block.by_example:
        whole = compose
        compose = functools.wraps(whole)(lambda *args, **kwargs: by_example(op, whole, args, kwargs))

    @functools.wraps(compose)
    def function(*args: Any, **kwargs: Any) -> Any:
        if (kwargs or MODE.functions or not SIMPLE.issuperset(map(type, args))) and not MODE.overrides_off:
            found = overridden([*args, *kwargs.values()], MODE.functions)
            if found is not None:
                return dispatch_override(found, getattr(function, "public", function), args, kwargs)
        if (PLACES.several or "device" in kwargs) and (inside := frame(op, (*args, *kwargs.values()), kwargs.get("device"))) is not None:
            with inside:
                return function(*args, **kwargs)
        for value, kinds in zip(args, expected.values()):
            if kinds is not None and type(value) not in kinds:
                _check(op, name, method, args, kwargs)
        if kwargs:
            for key, value in kwargs.items():
                if (kinds := expected.get(key)) is not None and type(value) not in kinds:
                    _check(op, name, method, args, kwargs)
            if not OPTIONS.isdisjoint(kwargs):
                _check_options(op, name, method, args, kwargs)
        out = kwargs.pop("out", None) if delivers and "out" in kwargs else None
        try:
            if out is not None:
                return writing.delivered(block, _tensors([*args, *kwargs.values()]), lambda: compose(*args, **kwargs), out, name)
            return compose(*args, **kwargs)
        except Exception as error:
            blame(error, name, args, kwargs)
            if not isinstance(error, STUMBLES) and (out is not None or "Boolean value of Tensor" in str(error)):
                refusal = None if _through_user(error) else _refusal(op, name, method, args, kwargs)
                if refusal is None:
                    raise
                raise refusal from None  # arguments come before what out= is, and before what the code made of them
            if not isinstance(error, STUMBLES) or (str(error).startswith(name + "(") and _raised(_last(error))):
                raise
            refusal = _refusal(op, name, method, args, kwargs) or stumbled(error, name, (*args, *kwargs.values()))
            if refusal is None:
                raise
        raise refusal

    if delivers:
        shown = [p for p in parameters.values() if p.kind is not inspect.Parameter.VAR_KEYWORD]
        rest = [p for p in parameters.values() if p.kind is inspect.Parameter.VAR_KEYWORD]
        out_ = inspect.Parameter("out", inspect.Parameter.KEYWORD_ONLY, default=None)
        setattr(function, "__signature__", inspect.Signature([*shown, out_, *rest]))
    return function


# types that need no second look; a tensor in the place of an int is looked at by `compose`
TYPES: dict[str, set[type]] = {
    "bool": {bool}, "int": {int, Tensor}, "float": {float, int}, "str": {str}, "Tensor": {Tensor}, "ScalarType": {DType},
    "Device": {str, Device},
}  # fmt: skip


def _kinds(op: Op, compose: Callable[..., Any]) -> dict[str, set[type] | None]:
    """By parameter, in their order: the types that need no second look; None where the schema leaves the type to `compose`."""
    given = inspect.signature(compose).parameters
    named = {p.name: p for p in op.schema.params}
    kinds: dict[str, set[type] | None] = {}
    for key, parameter in given.items():
        if parameter.kind is parameter.VAR_POSITIONAL:
            return {}
        p = named.get(key)
        several = p is not None and p.default is REQUIRED and parameter.default is not parameter.empty  # `compose` tells overloads apart
        if p is None or several or key in OPTIONS or p.is_list or p.type not in TYPES:
            kinds[key] = None
            continue
        none = p.optional or p.default is None or parameter.default is None
        kinds[key] = TYPES[p.type] | {type(None)} if none else TYPES[p.type]
    return kinds


def _check(op: Op, name: str, method: bool, args: Sequence[Any], kwargs: dict[str, Any]) -> None:
    """Raises the binder's refusal, if it has one: an argument is of none of the usual types."""
    refusal = _refusal(op, name, method, args, kwargs)
    if refusal is not None:
        raise refusal


def _refusal(op: Op, name: str, method: bool, args: Sequence[Any], kwargs: dict[str, Any]) -> TypeError | None:
    """What the binder says of these arguments; of an operator that has overloads in PyTorch, what they all are."""
    refusal = refused_by([op.schema], args, {k: v for k, v in kwargs.items() if k != "out"}, name, method)
    return BINDER.no_fit([op.schema], args, kwargs, name, method) if refusal is not None and op.block.overloaded else refusal


def _check_options(op: Op, name: str, method: bool, args: Sequence[Any], kwargs: dict[str, Any]) -> None:
    """Whether there is an out= here; what factory functions ask of requires_grad=, of dtype= beside out=, and of other kinds of memory."""
    if "out" in kwargs and (method or not (op.block.out or "out" in op.schema.index)):
        if op.block.overloaded:
            raise BINDER.no_fit([op.schema], args, kwargs, name, method)
        raise TypeError(f"{name}() got an unexpected keyword argument 'out'")
    ordinary_memory(name, kwargs.get("layout"), kwargs.get("pin_memory"))
    flag, out, kind = kwargs.get("requires_grad"), kwargs.get("out"), kwargs.get("dtype")
    if flag is None:  # PyTorch takes it for the default
        kwargs.pop("requires_grad", None)
    if flag is not None and not isinstance(flag, bool) and type(flag).__name__ != "bool":  # NumPy's is called so too
        if op.block.overloaded:
            raise BINDER.no_fit([op.schema], args, kwargs, name, method)
        raise refuse(
            TypeError,
            f"{name}(): argument 'requires_grad' must be bool, not {type(flag).__name__}",
            received=f"requires_grad={flag!r:.60}",
            expected="True or False",
        )
    if out is None or op.tensors:
        return
    if not isinstance(out, Tensor):
        raise TypeError(f"{name}(): argument 'out' must be Tensor, not {type(out).__name__}")
    if isinstance(kind, DType) and kind is not out.dtype:
        sentence = f"dtype {scalar_type_name(kind)} does not match dtype of out parameter ({scalar_type_name(out.dtype)})"
        raise refuse(RuntimeError, sentence, received=f"dtype={kind.name}, out= of {out.dtype.name}", hint="leave one of them out")


def _tensors(arguments: Sequence[Any]) -> list[Any]:
    """The tensors among arguments and in their lists."""
    flat = [w for v in arguments for w in (v if is_sequence(v) else (v,))]
    return [t for t in flat if isinstance(t, Tensor)]


def _meant(error: Exception, function: FunctionType) -> bool:
    """Whether the function itself refuses: an operator that it calls speaks of arguments that the user has not written."""
    last = _last(error)
    if not isinstance(error, TypeError):
        return hasattr(error, "received") or (isinstance(error, ValueError) and _raised(last))
    return last is not None and last.tb_frame.f_globals is function.__globals__ and _raised(last)


def guarded(function: FunctionType, name: str, method: bool) -> Any:
    """A public function that has no block: a wrong argument is refused by its name, as the annotations of `function` say."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except Exception as error:
            blame(error, name, args, kwargs)
            if not isinstance(error, STUMBLES) or _meant(error, function) or _through_user(error):
                raise
            said = isinstance(error, TypeError) and str(error).startswith(name + "(")
            if said and not str(error).startswith(f"{name}() received an invalid combination") or "expected one of" in str(error):
                raise
            refusal = refused_by_annotation(function, name, args, kwargs, method)
            if refusal is None and not said:
                refusal = stumbled(error, name, (*args, *kwargs.values()))
            if refusal is None:
                raise
        raise refusal

    return call
