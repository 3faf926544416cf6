"""Half precision: operands are widened to float32 in workspace, the float32 kernels run, the result is rounded once."""

from __future__ import annotations

from ...base.dtypes import DTYPES
from ...runtime.ir import Module, vector
from ..lanes import narrow, widen

CHUNK = 1 << 15  # elements of an item
WORDS = {"source": "ptr", "to": "ptr", "count": "i64"}


def emit_convert(m: Module, name: str, half: str, up: bool) -> None:
    """`count` contiguous elements from half precision to float32 (`up`) or back. Items: chunks."""
    d, lanes = DTYPES[half], m.target.lanes
    change, small = (widen, d.llvm) if up else (narrow, "float")
    with m.function(name, "ptr words, i64 lo, i64 hi, i64 worker") as (f, words, lo, hi, _):
        source, to, total = f.words(words, *WORDS.values())
        start, end = lo * CHUNK, f.smin(hi * CHUNK, total)
        whole = start + ((end - start) & -lanes)
        with f.range(start, whole, lanes) as i:
            f.store(change(f, d, f.load(vector(lanes, small), source, i)), to, i)
        with f.range(whole, end) as i:  # one element by itself rounds like a lane of a vector
            f.store(f.extract(change(f, d, f.splat(f.load(small, source, i), 2)), 0), to, i)
