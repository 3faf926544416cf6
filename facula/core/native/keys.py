"""The key of a call: identities of what decides its plan, word by word."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import facula.core.native.fields as F

from ...runtime.ir import Function, Value

# The low three bits of a word of a key say what it is: an address (0, with room for the gradient bit), or a number's kind. Above TAG_FLOAT
# and TAG_INT stands 0, or what data is made of.
TAG_FLOAT, TAG_INT, TAG_CONSTANT, TAG_SEQUENCE, TAG_SLICE, TAG_ITEM, TAG_VALUE = 1, F.TAG_INT, 3, 4, 5, F.TAG_ITEM, 7
# after TAG_VALUE: the float's bits
TAG_SAME = TAG_SLICE  # with a number above: this argument, or this tensor of the sequences, again
LIST = 8  # bit of a sequence's word; its length stands above
FLAT = 64  # words for a call's arguments and the tensors in its sequences


class Key:
    """Writes a key word by word inside `f`, which returns -1 at once where a value does not fit."""

    def __init__(self, f: Function, words: Value, n: int) -> None:
        self.f, self.words, self.n = f, words, f.var("i64", n)
        self.overflow = Value(f, "ptr", f.alloca("i32"))

    def push(self, word: Value) -> None:
        self.f.store(word, self.words, self.n.v)
        self.n.v = self.n.v + 1

    def integer(self, obj: Value) -> Value:
        """The value of an int, if 64 bits hold it."""
        value = self.f.call("i64", "PyLong_AsLongLongAndOverflow", obj, self.overflow)
        with self.f.when(self.f.load("i32", self.overflow).ne(0)):
            self.f.ret(-1)
        return value

    def value(self, obj: Value) -> None:
        """Push a float: two words."""
        self.push(self.f.i64(TAG_VALUE))
        self.push(self.f.cast("bitcast", self.f.call("double", "PyFloat_AsDouble", obj), "i64"))

    def packed(self, obj: Value, tag: int) -> None:
        """Push value and tag as one word, if 61 bits hold the value."""
        value = self.integer(obj)
        word = value << 3
        with self.f.when(word.ashr(3).ne(value)):
            self.f.ret(-1)
        self.push(word | tag)


def emit_key(core: Any) -> None:
    """facula_key(entry, args, nargs, kwnames, words, flat) -> length, or -1 when the call cannot be keyed by identities. Tensors in
    sequences go to `flat`: their number, room for the arguments, then they."""
    params = "ptr entry, ptr args, i64 nargs, ptr kwnames, ptr words, ptr flat"
    with core.m.function("facula_key", params, "i64", internal=True) as (f, entry, args, nargs, kwnames, words, flat):
        mode = core.state(f, "mode", "i64")
        with f.when((mode & F.MODE_SLOW).ne(0)):
            f.ret(-1)
        mask = f.call("i64", "PyLong_AsLongLong", core.get(f, entry, core.entry["mask"]))
        f.store(core.address(f, entry) + mode, words, 0)
        f.store(f.i64(0), flat)
        named = f.var("i64", 0)
        with f.when(kwnames.ne(0)):
            named.v = f.call("i64", "PyTuple_Size", kwnames)
        total = f.var("i64", nargs + named.v)
        f.store(nargs << 32 | named.v, words, 1)
        key = Key(f, words, 2)
        with f.when(named.v > F.ROW_KEY_MAX - 4):
            f.ret(-1)
        with f.range(0, named.v) as i:  # a call with ** has another tuple every time; the names in it are the same
            key.push(core.address(f, f.call("ptr", "PyTuple_GetItem", kwnames, i)))
        traced = core.get(f, entry, core.entry["tracer"]).ne(core.state(f, "none"))
        extents = f.array("i64", F.DATA_DIMS + 1)
        with f.range(0, total.v) as i:
            with f.when(key.n.v > F.ROW_KEY_MAX - 2):
                f.ret(-1)
            obj = f.load("ptr", f.at(args, i, "ptr"))
            after = f"K{f.tick()}"
            with f.when(core.is_tensor(f, obj)):
                with f.when(traced), f.range(0, i) as j, f.when(f.load("ptr", f.at(args, j, "ptr")).eq(obj)):
                    key.push(((j + 1) << 3) | TAG_SAME)
                    f.leave(after)
                _tensor(core, key, obj, mode)
                f.leave(after)
            marked = ((mask >> f.smin(i, 63)) & 1).ne(0)
            with f.when(marked & ((mask >> F.MASK_DATA) & 1).ne(0)):
                _data(core, key, obj, extents, after)
            _number(core, key, obj, marked, ((mask >> F.MASK_FLOATS) & 1).ne(0), after)
            _constant(core, key, obj, after)
            kind = core.get(f, obj, F.TYPE)
            is_list = _is_a(core, f, obj, "PyList_Type")
            with f.when(_is_a(core, f, obj, "PyTuple_Type") | kind.eq(core.state(f, "size")) | is_list):
                _sequence(core, key, obj, mode, f.bytes(flat, (total.v + 1) * 8), flat)
                f.leave(after)
            f.ret(-1)
            f.do(f"br label %{after}")
            f.label(after)
        f.ret(key.n.v)


def _is_a(core: Any, f: Function, obj: Value, symbol: str) -> Value:
    return core.get(f, obj, F.TYPE).eq(core.symbol(f, symbol))


def _is_identity(core: Any, f: Function, obj: Value) -> Value:
    """Whether `obj` is one of those that are equal only when they are the same: None, a bool, a name, an element type, ..."""
    same = _is_a(core, f, obj, "PyUnicode_Type") | _is_a(core, f, obj, "PyBool_Type") | obj.eq(core.state(f, "none"))
    for name in ("dtype", "memory_format", "device"):
        same = same | core.get(f, obj, F.TYPE).eq(core.state(f, name))
    return same | obj.eq(core.state(f, "ellipsis"))


def _constant(core: Any, key: Key, obj: Value, after: str) -> None:
    """What is known by its address, and slices of ints."""
    f = key.f
    with f.when(_is_identity(core, f, obj)):
        key.push(core.address(f, obj))
        f.leave(after)
    with f.when(core.get(f, obj, F.TYPE).eq(core.state(f, "slice"))):
        with f.when(key.n.v > F.ROW_KEY_MAX - 6):
            f.ret(-1)
        key.push(f.i64(TAG_SLICE))
        for offset in core.slice:
            bound = core.get(f, obj, offset)
            absent = bound.eq(core.state(f, "none"))
            with f.when(absent):
                key.push(core.address(f, bound))
            with f.when(~absent):
                with f.when(~_is_a(core, f, bound, "PyLong_Type")):
                    f.ret(-1)
                key.packed(bound, TAG_ITEM)
        f.leave(after)


def _tensor(core: Any, key: Key, obj: Value, mode: Value) -> None:
    """Its layout, and whether a gradient is wanted of it; a view whose history is stale is Python's business."""
    f = key.f
    node, flags = core.held(f, obj, "node"), core.get(f, obj, F.TENSOR["flags"], "i64")
    wanted = f.cast("zext", node.ne(0), "i64") | (flags & F.REQUIRES_GRAD)
    with f.when(core.held(f, obj, "base").ne(0)):
        block = core.get(f, obj, F.TENSOR["block"])
        stale = core.get(f, obj, F.TENSOR["viewed"], "i64").ne(core.get(f, block, F.BLOCK_VERSION, "i64"))
        late = core.wants(f, core.get(f, obj, F.TENSOR["base"])) & wanted.eq(0)  # the base wants a gradient since after the view was made
        with f.when(stale | (((flags & F.VIEWED_WITHOUT_GRAD).ne(0) | late) & (mode & F.MODE_GRAD).ne(0))):
            f.ret(-1)
    with f.when(((flags & F.INFERENCE & ~(mode & F.MODE_INFERENCE)) | (flags & F.READ_ONLY)).ne(0)):
        f.ret(-1)
    key.push(core.get(f, obj, F.TENSOR["layout"], "i64") | (wanted & mode))


def _data(core: Any, key: Key, obj: Value, extents: Value, after: str) -> None:
    """Of nested lists of numbers: which numbers, and how long the lists are; the form of an array."""
    f = key.f
    for depth in range(F.DATA_DIMS + 1):
        f.store(f.i64(-1), extents, depth)
    with f.when(core.get(f, obj, F.TYPE).eq(core.state(f, "array"))):
        end = f.call("i64", "facula_form", obj, key.words, key.n.v)
        with f.when(end < 0):
            f.ret(-1)
        key.n.v = end
        f.leave(after)
    kind = f.call("i64", "facula_measure", obj, extents, f.i64(0))
    with f.when(kind.ne(0)):
        with f.when(key.n.v > F.ROW_KEY_MAX - F.DATA_DIMS - 2):
            f.ret(-1)
        key.push((kind << 3) | TAG_FLOAT)
        for depth in range(F.DATA_DIMS):
            n = f.load("i64", extents, depth)
            with f.when(n <= 0):
                f.leave(after)
            key.push((n << 3) | TAG_ITEM)
        f.leave(after)


def _number(core: Any, key: Key, obj: Value, operand: Value, floats_decide: Value, after: str) -> None:
    """A float or int: as an operand its type alone (the plan reads the value when it runs), else its value where that decides something."""
    f = key.f
    with f.when(_is_a(core, f, obj, "PyFloat_Type")):
        with f.when(floats_decide & ~operand):
            key.value(obj)
            f.leave(after)
        key.push(f.i64(TAG_FLOAT))
        f.leave(after)
    with f.when(_is_a(core, f, obj, "PyLong_Type")):
        with f.when(operand):
            key.integer(obj)  # it must fit
            key.push(f.i64(TAG_INT))
            f.leave(after)
        key.packed(obj, TAG_CONSTANT)
        f.leave(after)


def _sequence(core: Any, key: Key, obj: Value, mode: Value, found: Value, count: Value) -> None:
    """A tuple or list of tensors, numbers, constants, and lists of ints; any other is not for the table."""
    f = key.f
    with _items(core, key, obj) as x:
        after = f"K{f.tick()}"
        with f.when(_is_a(core, f, x, "PyLong_Type")):
            key.packed(x, TAG_ITEM)
            f.leave(after)
        with f.when(_is_a(core, f, x, "PyFloat_Type")):
            key.value(x)
            f.leave(after)
        with f.when(core.is_tensor(f, x)):
            n = f.load("i64", count)
            f.store(x, f.at(found, n, "ptr"))
            f.store(n + 1, count)
            with f.range(0, n) as k, f.when(f.load("ptr", f.at(found, k, "ptr")).eq(x)):
                key.push(((k + 1) << 3) | TAG_SAME)
                f.leave(after)
            _tensor(core, key, x, mode)
            f.leave(after)
        _constant(core, key, x, after)
        with f.when(_is_a(core, f, x, "PyList_Type") | _is_a(core, f, x, "PyTuple_Type")):
            with _items(core, key, x) as number:
                with f.when(~_is_a(core, f, number, "PyLong_Type")):
                    f.ret(-1)
                key.packed(number, TAG_ITEM)
            f.leave(after)
        f.ret(-1)
        f.do(f"br label %{after}")
        f.label(after)


@contextmanager
def _items(core: Any, key: Key, obj: Value) -> Generator[Value, None, None]:
    """A loop over a tuple or list, behind the word that says which of them it is and how long."""
    f = key.f
    size = f.call("i64", "PySequence_Size", obj)
    with f.when((key.n.v + size) > F.ROW_KEY_MAX - 2):
        f.ret(-1)
    listed = _is_a(core, f, obj, "PyList_Type")
    key.push((size << 4) | f.select(listed, f.i64(LIST), f.i64(0)) | TAG_SEQUENCE)
    with f.range(0, size) as j:
        with f.when(key.n.v > F.ROW_KEY_MAX - 2):
            f.ret(-1)
        item = f.var("ptr", f.const("ptr", 0))
        with f.when(listed):
            item.v = f.call("ptr", "PyList_GetItem", obj, j)
        with f.when(~listed):
            item.v = f.call("ptr", "PyTuple_GetItem", obj, j)
        yield item.v
