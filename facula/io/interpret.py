"""From a pickle to objects without running anything: an interpreter of the opcodes that checkpoints need, over a table of allowed names.

A pickle is a program. This interpreter knows values, containers, a memo, and four ways to make an object; what those four may make is
decided by `find`, which knows names and never imports. Attributes are not looked up, the stack and the memo are bounded by the bytes that
are there, keys must be plain values, and containers may be nested LEVELS deep.
"""

from __future__ import annotations

import pickle
import struct
from collections.abc import Callable
from typing import Any

from ..base.errors import LoadError, refuse

LEVELS = 500  # nesting of containers in the result: what Python's own repr, copy and comparison survive
INT_BYTES = 256  # longest integer
PLAIN = (str, int, float, bool, type(None), bytes, complex)


class UntrustedError(LoadError, pickle.UnpicklingError):
    """A file that names a class or function which this load does not trust; nothing was run."""


class Maker:
    """What an allowed name stands for: how its object is made from arguments, and how it takes a state."""

    def __init__(
        self,
        name: str,
        make: Callable[..., Any],
        build: Callable[[Any, Any], Any] | None = None,
        token: Any = None,
    ) -> None:
        self.name, self.make, self.build, self.token = name, make, build, token


class Constant:
    """An allowed name that stands for a value, such as a dtype."""

    def __init__(self, value: Any) -> None:
        self.value = value


class _Mark:
    pass


MARK = _Mark()


def malformed(reason: str, received: str = "") -> LoadError:
    """The error for a pickle that no writer of checkpoints makes."""
    return refuse(
        LoadError,
        f"malformed checkpoint: {reason}",
        received=received,
        expected="the structure that save() writes",
        hint="the file is damaged, hostile, or of another program",
    )


def plain_key(value: Any, extra: tuple[type, ...], depth: int = 4) -> bool:
    """Whether a value may be a dict's key: hashing it runs no one's code and ends soon."""
    if type(value) in PLAIN or type(value) in extra:
        return True
    return isinstance(value, (tuple, frozenset)) and depth > 0 and all(plain_key(v, extra, depth - 1) for v in value)


class Interpreter:
    """Runs one pickle: `find(module, name)` gives a Maker or Constant, `persistent(identifier)` an object of the file."""

    def __init__(
        self,
        data: bytes,
        find: Callable[[str, str], Maker | Constant],
        persistent: Callable[[Any], Any],
        keys: tuple[type, ...] = (),
        start: int = 0,
    ) -> None:
        self.data, self.find, self.persistent, self.keys = data, find, persistent, keys
        self.position = start
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.makers: dict[int, Maker] = {}
        self.made: list[Any] = []  # keeps the ids in `makers` valid

    def run(self) -> Any:
        """The object; LoadError for every pickle that is not a checkpoint's."""
        try:
            return self._run()
        except (IndexError, struct.error, UnicodeDecodeError) as error:
            raise malformed("it ends early or its stack runs empty", f"{type(error).__name__} at byte {self.position}") from None

    def _run(self) -> Any:
        head = self.data[self.position : self.position + 2]
        if head[:1] != b"\x80" or not 2 <= head[1] <= 5:
            raise malformed("unknown protocol", repr(head))
        while True:
            code = self.data[self.position]
            self.position += 1
            if code == 0x2E:
                break
            step = STEPS.get(code)
            if step is None:
                raise malformed("an opcode that checkpoints do not use", f"{bytes([code])!r} at byte {self.position - 1}")
            step(self)
        if len(self.stack) != 1:
            raise malformed("several results", f"{len(self.stack)} values on the stack")
        result = self._finished(self.stack[0])
        _require_shallow(result)
        return result

    # -- reading ------------------------------------------------------------------------------------------------------------

    def take(self, count: int) -> bytes:
        end = self.position + count
        if end > len(self.data):
            raise malformed("a length that reaches past the end", f"{count} bytes at {self.position} of {len(self.data)}")
        piece = self.data[self.position : end]
        self.position = end
        return piece

    def number(self, form: str) -> int:
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def line(self) -> str:
        end = self.data.index(b"\n", self.position, self.position + 512) if b"\n" in self.data[self.position : self.position + 512] else -1
        if end < 0:
            raise malformed("a name without an end")
        return self.take(end + 1 - self.position)[:-1].decode("utf-8")

    def pop(self) -> Any:
        value = self.stack.pop()
        if value is MARK:
            raise malformed("a mark where a value should be")
        return value

    def since_mark(self) -> list[Any]:
        """The values above the last mark, which goes too."""
        for place in range(len(self.stack) - 1, -1, -1):
            if self.stack[place] is MARK:
                values = self.stack[place + 1 :]
                del self.stack[place:]
                return values
        raise malformed("no mark")

    def _finished(self, value: Any) -> Any:
        """A value as part of the result: a bare constructor is not one, unless it stands for a trusted class."""
        if isinstance(value, Constant):
            return value.value
        if isinstance(value, Maker):
            if value.token is None:
                raise malformed("a constructor in the place of a value", value.name)
            return value.token
        if value is MARK:
            raise malformed("a mark in the place of a value")
        return value

    # -- making objects -----------------------------------------------------------------------------------------------------

    def call(self, function: Any, args: Any) -> Any:
        """REDUCE and NEWOBJ: only Makers can be called."""
        if not isinstance(function, Maker) or not isinstance(args, tuple):
            raise malformed("a call of something that is no constructor", type(function).__name__)
        try:
            value = function.make(*args)
        except LoadError:
            raise
        except (TypeError, ValueError, OverflowError, AttributeError, KeyError, IndexError, RuntimeError, MemoryError) as error:
            raise malformed(f"{function.name} does not take these arguments", f"{type(error).__name__}: {error}") from error
        if function.build is not None:
            self.makers[id(value)] = function
            self.made.append(value)
        return value

    def build(self) -> None:
        state = self._finished(self.pop())
        value = self.pop()
        maker = self.makers.get(id(value))
        if maker is None or maker.build is None:
            raise malformed("a state for an object that takes none", type(value).__name__)
        try:
            self.stack.append(maker.build(value, state))
        except (TypeError, ValueError, AttributeError, KeyError) as error:
            if isinstance(error, LoadError):
                raise
            raise malformed(f"{maker.name} does not take this state", f"{type(error).__name__}: {error}") from error

    def reduce(self) -> None:
        args = self.pop()
        self.stack.append(self.call(self.pop(), args))

    def key(self, value: Any) -> Any:
        value = self._finished(value)
        if not plain_key(value, self.keys):
            raise malformed("a key that is not a plain value", type(value).__name__)
        return value

    def set_items(self, pairs: list[Any]) -> None:
        target = self.stack[-1]
        if not isinstance(target, dict) or len(pairs) % 2:
            raise malformed("items for something that is no dict", type(target).__name__)
        for place in range(0, len(pairs), 2):
            target[self.key(pairs[place])] = self._finished(pairs[place + 1])

    def append(self, values: list[Any]) -> None:
        target = self.stack[-1]
        if type(target) is not list:
            raise malformed("items for something that is no list", type(target).__name__)
        target.extend(self._finished(v) for v in values)

    def add(self, values: list[Any]) -> None:
        target = self.stack[-1]
        if type(target) is not set:
            raise malformed("members for something that is no set", type(target).__name__)
        target.update(self.key(v) for v in values)

    def put_tuple(self, values: list[Any]) -> None:
        # inside arguments a constructor may stand (a class to rebuild, a storage's kind); it is refused where it stays in the result
        self.stack.append(tuple(v.value if isinstance(v, Constant) else v for v in values))

    def remember(self, number: int) -> None:
        if number > len(self.data):
            raise malformed("a memo larger than the file", str(number))
        self.memo[number] = self.stack[-1]

    def recall(self, number: int) -> None:
        if number not in self.memo:
            raise malformed("a memo entry that was never written", str(number))
        self.stack.append(self.memo[number])

    def long(self, size: int) -> None:
        if not 0 <= size <= INT_BYTES:
            raise malformed("an integer of too many bytes", str(size))
        self.stack.append(int.from_bytes(self.take(size), "little", signed=True))

    def text(self, form: str) -> None:
        self.stack.append(self.take(self.number(form)).decode("utf-8", "surrogatepass"))

    def raw(self, form: str) -> None:
        self.stack.append(self.take(self.number(form)))

    def find_name(self, module: Any, name: Any) -> None:
        if type(module) is not str or type(name) is not str:
            raise malformed("a name that is no text")
        self.stack.append(self.find(module, name))


def _require_shallow(result: Any) -> None:
    """LoadError when containers are nested deeper than LEVELS. Iterative: the nesting is what must not be recursed into."""
    level, seen, depth = [result], {id(result)}, 0
    while level:
        depth += 1
        if depth > LEVELS:
            raise malformed(f"containers nested deeper than {LEVELS} levels")
        inner: list[Any] = []
        for value in level:
            if isinstance(value, dict):
                parts: Any = value.values()
            elif isinstance(value, (list, tuple)):
                parts = value
            else:
                continue
            for part in parts:
                if isinstance(part, Maker):
                    raise malformed("a constructor in the place of a value", part.name)
                if isinstance(part, (dict, list, tuple)) and id(part) not in seen:
                    seen.add(id(part))
                    inner.append(part)
        level = inner


def _steps() -> dict[int, Callable[[Interpreter], Any]]:
    """What each allowed opcode does, by its byte (Python's `pickletools` describes them)."""

    def push(make: Callable[[], Any]) -> Callable[[Interpreter], None]:
        return lambda i: i.stack.append(make())

    def tuple_of(count: int) -> Callable[[Interpreter], None]:
        def step(i: Interpreter) -> None:
            values = [i.pop() for _ in range(count)]
            i.put_tuple(values[::-1])

        return step

    def set_item(i: Interpreter) -> None:
        value, key = i.pop(), i.pop()
        i.set_items([key, value])

    def append_one(i: Interpreter) -> None:
        value = i.pop()
        i.append([value])

    def stack_global(i: Interpreter) -> None:
        name, module = i.pop(), i.pop()
        i.find_name(module, name)

    def persistent(i: Interpreter) -> None:
        i.stack.append(i.persistent(i.pop()))

    def discard(i: Interpreter) -> None:
        i.stack.pop()

    return {
        pickle.PROTO[0]: lambda i: i.take(1),
        pickle.FRAME[0]: lambda i: i.take(8),
        pickle.MARK[0]: push(lambda: MARK),
        pickle.POP[0]: discard,
        pickle.POP_MARK[0]: lambda i: i.since_mark(),
        pickle.NONE[0]: push(lambda: None),
        pickle.NEWTRUE[0]: push(lambda: True),
        pickle.NEWFALSE[0]: push(lambda: False),
        pickle.BININT[0]: lambda i: i.stack.append(i.number("<i")),
        pickle.BININT1[0]: lambda i: i.stack.append(i.number("<B")),
        pickle.BININT2[0]: lambda i: i.stack.append(i.number("<H")),
        pickle.LONG1[0]: lambda i: i.long(i.number("<B")),
        pickle.LONG4[0]: lambda i: i.long(i.number("<i")),
        pickle.BINFLOAT[0]: lambda i: i.stack.append(i.number(">d")),
        pickle.SHORT_BINUNICODE[0]: lambda i: i.text("<B"),
        pickle.BINUNICODE[0]: lambda i: i.text("<I"),
        pickle.BINUNICODE8[0]: lambda i: i.text("<Q"),
        pickle.SHORT_BINBYTES[0]: lambda i: i.raw("<B"),
        pickle.BINBYTES[0]: lambda i: i.raw("<I"),
        pickle.BINBYTES8[0]: lambda i: i.raw("<Q"),
        pickle.BYTEARRAY8[0]: lambda i: i.stack.append(bytearray(i.take(i.number("<Q")))),
        pickle.EMPTY_LIST[0]: push(list),
        pickle.EMPTY_DICT[0]: push(dict),
        pickle.EMPTY_TUPLE[0]: push(tuple),
        pickle.EMPTY_SET[0]: push(set),
        pickle.APPEND[0]: append_one,
        pickle.APPENDS[0]: lambda i: i.append(i.since_mark()),
        pickle.ADDITEMS[0]: lambda i: i.add(i.since_mark()),
        pickle.SETITEM[0]: set_item,
        pickle.SETITEMS[0]: lambda i: i.set_items(i.since_mark()),
        pickle.FROZENSET[0]: lambda i: i.stack.append(frozenset(i.key(v) for v in i.since_mark())),
        pickle.TUPLE[0]: lambda i: i.put_tuple(i.since_mark()),
        pickle.TUPLE1[0]: tuple_of(1),
        pickle.TUPLE2[0]: tuple_of(2),
        pickle.TUPLE3[0]: tuple_of(3),
        pickle.BINPUT[0]: lambda i: i.remember(i.number("<B")),
        pickle.LONG_BINPUT[0]: lambda i: i.remember(i.number("<I")),
        pickle.MEMOIZE[0]: lambda i: i.remember(len(i.memo)),
        pickle.BINGET[0]: lambda i: i.recall(i.number("<B")),
        pickle.LONG_BINGET[0]: lambda i: i.recall(i.number("<I")),
        pickle.GLOBAL[0]: lambda i: i.find_name(i.line(), i.line()),
        pickle.STACK_GLOBAL[0]: stack_global,
        pickle.REDUCE[0]: lambda i: i.reduce(),
        pickle.NEWOBJ[0]: lambda i: i.reduce(),
        pickle.BUILD[0]: lambda i: i.build(),
        pickle.BINPERSID[0]: persistent,
    }


STEPS = _steps()
