"""Images: linked from object files, loaded, called; no page is ever writable and executable."""

from __future__ import annotations

import ctypes
import struct
from pathlib import Path

import pytest

from facula.base.target import AARCH64, WASM32, X86_64_V3
from facula.kernel import llvm
from facula.runtime import host, images

HOST = host.target()
x86_only = pytest.mark.skipif(not HOST.name.startswith("x86"), reason="runs x86-64 code")


def linked(text: str, target=HOST) -> images.Image:
    return images.link(llvm.object_code(f'target triple = "{target.triple}"\n{text}', target))


def call(text: str, name: str, *args: int, symbols: dict[str, int] | None = None) -> int:
    at = images.load(linked(text), symbols)
    return ctypes.PYFUNCTYPE(ctypes.c_int64, *[ctypes.c_int64] * len(args))(at[name])(*args)


TABLE = """
@table = private constant [4 x i64] [i64 10, i64 20, i64 30, i64 40], align 64
define i64 @look(i64 %i) {
  %p = getelementptr i64, ptr @table, i64 %i
  %x = load i64, ptr %p
  ret i64 %x
}
"""

SWITCH = (
    "define i64 @choose(i64 %i) {\n switch i64 %i, label %d ["
    + " ".join(f"i64 {i}, label %b{i}" for i in range(12))
    + "]\n"
    + "".join(f"b{i}:\n call void @touch(i64 {i})\n ret i64 {i * i * 7 + i % 3}\n" for i in range(12))
    + "d:\n ret i64 -1\n}\ndeclare void @touch(i64)\n"
)

POINTERS = """
@a = constant i64 5
@b = constant i64 6
@both = constant [2 x ptr] [ptr @a, ptr @b]
define i64 @pick(i64 %i) {
  %p = getelementptr ptr, ptr @both, i64 %i
  %q = load ptr, ptr %p
  %x = load i64, ptr %q
  ret i64 %x
}
"""

STATE = """
@state = external global i64
define i64 @bump() {
  %x = load i64, ptr @state
  %y = add i64 %x, 1
  store i64 %y, ptr @state
  ret i64 %y
}
define i64 @twice() {
  %x = call i64 @bump()
  %y = call i64 @bump()
  ret i64 %y
}
define i64 @where() {
  %x = ptrtoint ptr @bump to i64
  ret i64 %x
}
"""


@x86_only
def test_constants_and_jump_tables() -> None:
    assert [call(TABLE, "look", i) for i in range(4)] == [10, 20, 30, 40]
    seen: list[int] = []
    touch = ctypes.PYFUNCTYPE(None, ctypes.c_int64)(seen.append)
    place = {"touch": ctypes.cast(touch, ctypes.c_void_p).value or 0}
    assert [call(SWITCH, "choose", i, symbols=place) for i in (0, 5, 11, 12)] == [0, 177, 849, -1]
    assert seen == [0, 5, 11]


@x86_only
def test_tables_of_addresses_are_rebased() -> None:
    assert linked(POINTERS).rebase
    assert [call(POINTERS, "pick", i) for i in (0, 1)] == [5, 6]


@x86_only
def test_state_is_outside_and_functions_see_each_other() -> None:
    state = ctypes.c_int64(40)
    at = images.load(linked(STATE), {"state": ctypes.addressof(state)})
    assert ctypes.CFUNCTYPE(ctypes.c_int64)(at["twice"])() == 42 == state.value
    assert ctypes.CFUNCTYPE(ctypes.c_int64)(at["where"])() == at["bump"]


@x86_only
def test_library_functions_are_found() -> None:
    text = "declare i64 @PyLong_AsLong(ptr)\ndefine i64 @get(ptr %o) {\n %x = call i64 @PyLong_AsLong(ptr %o)\n ret i64 %x\n}"
    at = images.load(linked(text))
    assert ctypes.PYFUNCTYPE(ctypes.c_int64, ctypes.py_object)(at["get"])(12345) == 12345
    text = "declare double @lgamma(double)\ndefine double @f(double %x) {\n %y = call double @lgamma(double %x)\n ret double %y\n}"
    assert ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_double)(images.load(linked(text))["f"])(3.0) == pytest.approx(0.6931471805599453)
    with pytest.raises(LookupError, match="no symbol nobody_has_this"):
        images.load(linked("declare void @nobody_has_this()\ndefine void @f() {\n call void @nobody_has_this()\n ret void\n}"))


def test_writable_data_and_other_formats_are_refused() -> None:
    with pytest.raises(images.Unlinkable, match="writable section"):
        linked("@x = global i64 1\ndefine i64 @f() {\n %x = load i64, ptr @x\n ret i64 %x\n}")
    with pytest.raises(images.Unlinkable, match="writable section"):
        linked("@x = global [9 x i64] zeroinitializer\ndefine i64 @f() {\n %x = load i64, ptr @x\n ret i64 %x\n}")
    with pytest.raises(images.Unlinkable, match="ELF"):
        linked("define void @f() {\n ret void\n}", WASM32)
    with pytest.raises(images.Unlinkable):
        images.link(b"MZ" + bytes(100))


def modes() -> list[tuple[int, int, str]]:
    rows = [line.split()[:2] for line in Path("/proc/self/maps").read_text().splitlines()]
    return [(int(r[0].split("-")[0], 16), int(r[0].split("-")[1], 16), r[1]) for r in rows]


@x86_only
def test_no_page_is_writable_and_executable() -> None:
    before = {m for m in modes() if "w" in m[2] and "x" in m[2]}  # closures of libffi, made by other tests
    places = [images.load(linked(TABLE))["look"] for _ in range(3)]
    assert {m for m in modes() if "w" in m[2] and "x" in m[2]} <= before
    assert {m[2] for m in modes() for at in places if m[0] <= at < m[1]} == {"r-xp"}


def test_aarch64_addresses_and_calls() -> None:
    """Decoded by hand (Arm ARM C6.2): adrp and its low part reach the table, the branch reaches the stub, the stub its slot."""
    text = TABLE + "declare i64 @other(i64)\ndefine i64 @both(i64 %i) {\n %a = call i64 @look(i64 %i)\n %b = call i64 @other(i64 %a)\n"
    image = linked(text + " %c = add i64 %a, %b\n ret i64 %c\n}", AARCH64)
    words = struct.unpack(f"<{len(image.code) // 4}I", image.code[: len(image.code) // 4 * 4])
    table = image.code.index(struct.pack("<4q", 10, 20, 30, 40))
    adrp = next(i for i, w in enumerate(words) if w & 0x9F000000 == 0x90000000)
    pages = (words[adrp] >> 29 & 3) | (words[adrp] >> 5 & 0x7FFFF) << 2
    low = next(w for w in words[adrp + 1 :] if w & 0xFFC00000 == 0x91000000) >> 10 & 0xFFF
    assert ((adrp * 4 >> 12) + pages << 12) + low == table
    calls = [(i, w) for i, w in enumerate(words) if w >> 26 == 0b100101]
    targets = [4 * (i + ((w & 0x3FFFFFF) ^ 0x2000000) - 0x2000000) for i, w in calls]
    assert targets[0] == image.exports["look"]
    stub = targets[1] // 4
    assert words[stub + 1] == 0xD61F0200  # br x16
    assert targets[1] + 4 * (((words[stub] >> 5 & 0x7FFFF) ^ 0x40000) - 0x40000) == image.slots["other"]


def test_code_for_an_older_processor_runs() -> None:
    if not host.runs(X86_64_V3):
        pytest.skip("not an x86-64 machine")
    at = images.load(
        linked(
            "define i64 @f(i64 %x) {\n %y = call i64 @llvm.ctlz.i64(i64 %x, i1 false)\n ret i64 %y\n}\ndeclare i64 @llvm.ctlz.i64(i64, i1)",
            X86_64_V3,
        )
    )
    assert ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64)(at["f"])(1) == 63
