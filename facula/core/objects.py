"""The Tensor object and what is done to its memory: emitted natively, or the Python twin (FACULA_NATIVE=0), behind the same names.

Tensor                           the class; Python adds its methods
make(layout, nbytes)             a new tensor on a fresh block, None when there is no memory
alias(cls, source, layout, delta)  another tensor on the same storage, `delta` bytes further
adopt(cls, layout, block)        a tensor that owns a block of the allocator
borrow(layout, nbytes, owner)    a tensor on the memory of an object with the buffer protocol, None where it has none
rebind(tensor, source, layout, delta)  the tensor takes the source's storage
version(t), bump(t)              how often the storage was written to
run(plan, queue, operands...)    a plan's allocation, launches and recording; with a recorder's queue the launches wait
call(entry, arguments...)        the road: plan table, then `entry.handler`
insert(entry, names, n, arguments, plan)  a row of the plan table
"""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any

NATIVE = os.environ.get("FACULA_NATIVE", "1") != "0"


class Entry:
    """What the plan table is keyed on. `handler(arguments, keyword names or None)` serves a miss, or, where there is one, `plain`, called as the
    user called; `tracer`, like `handler`, the second miss of a key. Bit i of `mask`: argument i, if an int, is an operand."""

    __slots__ = ("__weakref__", "handler", "home", "mask", "owner", "plain", "tracer")

    def __init__(self, handler: Any, mask: int, owner: Any, plain: Any = None, tracer: Any = None) -> None:
        self.handler, self.mask, self.owner, self.plain, self.tracer = handler, mask, owner, plain, tracer
        self.home = ""  # the module, or the class, of which the public function is an attribute

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled functions are `getattr(entry, name)`: what has that attribute stands for the entry."""
        return home, (self.home,)


def home(place: str) -> Any:
    """A module of this package by PyTorch's name, or the class of tensors."""
    package = __name__.partition(".")[0]
    return Tensor if place == "Tensor" else importlib.import_module(package if place in ("", "torch") else f"{package}.{place}")


def _check_interpreter() -> None:
    """Emitted code calls Linux, and counts references where CPython with its lock keeps them; elsewhere it would write over something else."""
    if sys.platform != "linux":
        raise ImportError(f"facula runs on Linux, this is {sys.platform}")
    if sys.implementation.name != "cpython" or "t" in sys.abiflags:
        kind = "a free-threaded build" if sys.implementation.name == "cpython" else sys.implementation.name
        raise ImportError(
            f"facula needs CPython with its global lock, but this Python {sys.version.split()[0]} is {kind} ({sys.executable}). "
            "Install facula under the ordinary build; FACULA_NATIVE=0 makes its objects in plain Python, which is untested here and slower."
        )


def install(node: type, rule: type, numbers: tuple[str, ...]) -> None:
    """Builds the objects; `node` and `rule` are the tape's classes, `numbers` the operators that get a slot of the type."""
    if NATIVE:
        _check_interpreter()
        from .native.build import build
    else:
        from .twin import build
    globals().update(build(node, rule, Entry, numbers))

    def unknown(arguments: tuple[Any, ...], names: Any) -> Any:
        return NotImplemented

    nobody = Entry(unknown, 0, None)
    for slot in numbers:  # until an operator takes the slot
        set_slot(slot, nobody)


# filled by install()
Tensor: Any = None
make: Any = None
alias: Any = None
adopt: Any = None
borrow: Any = None
rebind: Any = None
version: Any = None
bump: Any = None
run: Any = None
call: Any = None
insert: Any = None
recorded: Any = None  # (queue): a hash of what waits in it, 0 for nothing; says what is still held of it
play: Any = None  # (queue, programs): runs what waits by the program with its hash; False when there is none
enter: Any = None  # (queue or 0): calls are noted there from now on; False: tell the modes first
drop: Any = None  # (queue): forgets what waits
waiting: Any = None  # (queue, tensor): 0 no waiting call knows its memory, 1 one reads it, 2 one writes it
branch: Any = None  # (): the table of branches that lacks the value a chain has just met, and that value; 0: none
next_sequence: Any = None
set_slot: Any = None  # (operator, entry)
set_exporter: Any = None  # (function): tensor -> array, for the buffer protocol
set_parameter: Any = None  # (class): a subclass that takes the fast road too
set_array: Any = None  # (class): of NumPy's arrays, once there is one
set_members: Any = None  # (name=function, ...): what attributes ask, see fields.STATE
read: frozenset[str] = frozenset()  # attributes that the class has already
method: Any = None  # (entry, name, doc) -> descriptor for the class
public: Any = None  # (entry, name, doc) -> function
clear_table: Any = None
memory: Any = None  # (tensor) -> (block address, storage address, storage bytes)
