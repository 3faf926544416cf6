"""Public functions, constructors and modules in plain Python, outside the operators: a wrong argument is refused by the name that was called."""

from __future__ import annotations

import functools
import re
import sys
from collections.abc import Callable, Iterable
from types import FunctionType, ModuleType
from typing import Any

from .annotations import refused_by_annotation
from .misuse import PACKAGE, blame, guarded, stumbled

BY_PYTHON = re.compile(r"[\w.<>]+\(\) (missing|takes|got)\b")  # Python's own sentence about a call says which argument


def guard(room: dict[str, Any], names: Iterable[str]) -> None:
    """Guard the public functions and classes of a room; the module that defines a function has the same object, which pickling asks for."""
    for name in names:
        found = room.get(name)
        if isinstance(found, type):
            guard_class(found)
        elif isinstance(found, FunctionType) and not hasattr(found, "__wrapped__"):
            room[name] = made = guarded(found, name, False)
            home: ModuleType | None = sys.modules.get(found.__module__)
            if getattr(home, name, None) is found:
                setattr(home, name, made)


def guard_class(cls: type) -> None:
    """Refuse wrong arguments of the constructor."""
    init: Any = cls.__init__
    if not cls.__module__.startswith(PACKAGE) or not isinstance(init, FunctionType) or hasattr(init, "guards"):
        return
    init = getattr(init, "__wrapped__", init)

    @functools.wraps(init)
    def construct(self: Any, *args: Any, **kwargs: Any) -> None:
        try:
            init(self, *args, **kwargs)
            return
        except Exception as error:
            if _outermost(self) is not cls:
                raise
            blame(error, cls.__name__, args, kwargs)
            refusal = refused(error, init, cls.__name__, (self, *args), kwargs)
            if refusal is None:
                raise
        raise refusal

    setattr(construct, "guards", cls)
    setattr(cls, "__init__", construct)


def _outermost(made: object) -> type | None:
    """The guarded class whose constructor the user called, or called through `super`."""
    for cls in type(made).__mro__:
        guards = getattr(vars(cls).get("__init__"), "guards", None)
        if guards is not None:
            return guards
    return None


def refused(error: Exception, function: Callable[..., Any], name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> TypeError | None:
    """What a wrong call of a constructor or of `forward` is told, when its code stumbled over an argument. `args` begins with the object."""
    stumble = stumbled(error, name, (*args[1:], *kwargs.values()))
    if stumble is None:
        return None
    if BY_PYTHON.match(str(error)):  # a constructor that is inherited from a private class has that class's name
        owner, _, rest = str(error).partition(".__init__()")
        return TypeError(f"{name}.__init__(){rest}") if rest and owner.startswith("_") else None
    found = refused_by_annotation(function, name, args, kwargs, True) or stumble
    found.__cause__ = error
    blame(found, name, args[1:], kwargs)
    return found
