"""The words of a matrix product: one layout, read by every kernel of the room and written by `schedule.py`."""

from __future__ import annotations

from ...runtime.ir import Function, Value

POINTERS = ("a", "b", "c", "bias", "packed", "partial")
SIZES = (
    "M", "N", "K",
    "am", "ak", "bk", "bn", "cm", "cn", "um", "un",  # strides in elements; u is bias
    "mr", "mc", "nc", "kc",  # rows of a panel; rows, columns and depth of a block
    "depth", "parts",  # k is cut in `parts` of `depth`
    "row_blocks", "col_blocks",
    "mode", "add", "plain", "use_bias",  # `plain`: nothing to do after the sum but to store it
    "panels", "group", "pack_batch",  # shared packing of b: panels in all, panels of an item, words of a batch (0: one for all)
    "room_b", "room_d",  # bytes from the start of scratch memory to b's panels and to the tile or block of sums
    "free_a", "free_b",  # whether the operand is read in place instead of packed
    "pm", "pn",  # rows and columns of a partial result, padded to whole tiles
)  # fmt: skip
SCALARS = ("alpha", "alpha_imag", "beta", "beta_imag")
NUMBERS = ("number0", "number1", "number2", "number3")  # of the epilogue
BATCH = ("size", "a", "b", "c", "u")  # one row for each batch dimension, after the count
FIELDS = (*POINTERS, *SIZES, *SCALARS, *NUMBERS, "batch_dims")

DIRECT, BUFFERED, PARTIAL = 0, 1, 2  # sums go to the result, to a block in scratch memory, or to workspace for `combine`


class Frame:
    """Words by name: `frame.M` loads one."""

    def __init__(self, f: Function, words: Value) -> None:
        self.f, self.words = f, words

    def __getattr__(self, name: str) -> Value:
        return self.read(name, "ptr" if name in POINTERS else "i64")

    def read(self, name: str, type_: str) -> Value:
        return self.f.load(type_, self.f.at(self.words, FIELDS.index(name), "i64"))

    def batch_offsets(self, index: Value) -> list[Value]:
        """Elements from the start of a, b, c and bias to their matrices of batch `index`."""
        f = self.f
        left, sums = f.var("i64", index), [f.var("i64", 0) for _ in BATCH[1:]]
        dims = self.batch_dims
        with f.range(0, dims) as i:  # the last dimension first
            row = f.at(self.words, (dims - 1 - i) * len(BATCH) + len(FIELDS), "i64")
            size = f.load("i64", row)
            now = left.v.urem(size)
            left.v = left.v.udiv(size)
            for s, total in enumerate(sums):
                total.v = total.v + now * f.load("i64", row, 1 + s)
        return [total.v for total in sums]
