"""Where things lie: the fields of a Tensor object, of a native plan, of the plan table and of the state shared with Python.

All are 8-byte words. Of CPython's own layout only the size of the object header is used, and that ob_type is its last word.
"""

from __future__ import annotations

HEADER = object.__basicsize__  # 16 bytes on ordinary builds
TYPE = HEADER - 8  # ob_type

# Tensor object, byte offsets
TENSOR_FIELDS = ("layout", "data", "block", "node", "grad", "base", "flags", "viewed", "hooks", "weak", "dict")
TENSOR = {name: HEADER + 8 * i for i, name in enumerate(TENSOR_FIELDS)}
TENSOR_SIZE = HEADER + 8 * len(TENSOR_FIELDS)
TENSOR_OBJECTS = ("layout", "node", "grad", "base", "hooks", "dict")  # references that the garbage collector follows

# flags of a tensor
REQUIRES_GRAD = 1  # a leaf that wants a gradient
RETAINS_GRAD = 2
INFERENCE = 4
UNTRACKED = 8  # from `.data`: writes do not count as versions
READ_ONLY = 16  # the memory lies in pages that nobody may write to
VIEWED_WITHOUT_GRAD = 32  # a view of what wants a gradient, made while none was recorded
VIEWED_IN_INFERENCE = 64  # such a view, made in inference mode
OUTPUT_SHIFT = 8  # from here: which result of its node this is

# block header (facula/runtime/allocator.py)
BLOCK_REFS, BLOCK_BYTES, BLOCK_VERSION, BLOCK_DATA, BLOCK_FLAGS = 0, 24, 32, 40, 48

# state shared with Python, word numbers
STATE = {
    name: i
    for i, name in enumerate(
        (
            "mode",
            "thread",
            "tensor",
            "parameter",
            "table",
            "node",
            "sequence",
            "none",
            "dtype",
            "memory_format",
            "not_implemented",
            "device",
            "misses",
            "parallel",
            "exporter",
            "size",
            "queue",
            "stamps",
            "slice",
            "ellipsis",
            "branch",
            "met",
            "array",
            "refresh",
            "set_requires_grad",
            "warn_grad",
            "set_grad",
        )
    )
}
STATE_SLOTS = 32  # entries of the number slots start here
STATE_WORDS = 128
MASK_DATA = (
    61  # bit of an entry's mask: an argument in a place with a bit is data: what is part of the key is of which type and shape it is
)
MASK_FLOATS = 62  # bit of an entry's mask: floats in places without a bit are part of the key
MODE_GRAD, MODE_SLOW, MODE_INFERENCE, MODE_VMAP = (
    1,
    2,
    INFERENCE,
    8,
)  # mode word: gradient recording on; everything must pass Python; results are inference tensors; inside `vmap`

# plan table
ROWS = 8192
ROW_WORDS = 40
ROW_KEY = 1  # word 0: length of the key, 0 when the row is free
ROW_KEY_MAX = 36
ROW_PLAN = 38
TAG_INT, TAG_ITEM = 2, 6  # words of a key that data has too; all of them are in native/keys.py
ROW_SEEN, ROW_NEVER = 1, 2  # instead of a plan: a call with this key was seen once; it has to pass Python

# native plan, word numbers
PLAN = {
    name: i
    for i, name in enumerate(
        (
            "kind",
            "outs_n",
            "words_n",
            "patches_n",
            "launches_n",
            "workspace",
            "words",
            "patches",
            "launches",
            "outs",
            "rule",
            "saved_n",
            "saved",
            "edges_n",
            "edges",
            "wrap",
            "source",
            "delta",
            "owner",
            "reads_n",
            "reads",
            "how",
            "cost",
            "steps_n",
            "steps",
            "result",
            "root",
            "into_root",
            "history",
        )
    )
}
# how a plan is recorded: not at all, it runs; it may write all of its operands; it runs if nothing it reads waits; it may fuse with a neighbour;
# and what its results come from is the new history of the argument it overwrites
AT_ONCE, WRITES, SOON, FUSES, RECORDS = 1, 2, 4, 8, 16
PLAN_WORDS_MAX = 8192  # words of all launches together; larger plans stay in Python
KIND_KERNEL, KIND_VIEW, KIND_CHAIN, KIND_RECORD, KIND_TUPLE, KIND_ASSIGN, KIND_VALUES, KIND_DETACH, KIND_LEAF, KIND_DATA = range(10)
STEP_WORDS, STEPS_MAX, STEP_OPERANDS_MAX = (
    4,
    24,
    32,
)  # of a chain: plan, mode word, how many operands, where each is found; or 0, a value, 1 and what it is compared with
FROM_ARGUMENT, FROM_STEP, FROM_ITEM, FROM_CONSTANT = range(4)  # where: two words, this and an index (or an object's address)
# what a chain looks at: whether an int64 is negative, the value of a bool, of an int64; behind where it is found: this, and a table of branches
LOOK_NEGATIVE, LOOK_BOOL, LOOK_INT = range(3)
LOOKS = 1  # bit of a chain's "how": values decide
# branches of a chain: how many, then rows of a value and the chain (or ROW_NEVER) that goes on where it was met
BRANCHES_MAX, BRANCHES_MISSED, BRANCH_ROWS = 64, 512, 128
PATCH_IN, PATCH_OUT, PATCH_WORK, PATCH_FLOAT, PATCH_DOUBLE, PATCH_INT = range(6)
# an output is a new tensor, or the argument it overwrites; no operand may share that one's memory; memory made here, whose version stays
OUT_NEW, OUT_ARGUMENT, OUT_APART, OUT_QUIET = range(4)

# element types that become Python numbers: whether signed, and LLVM's type; what they become
ELEMENTS = {
    "float32": (True, "float"), "float64": (True, "double"), "int64": (True, "i64"), "int32": (True, "i32"), "int16": (True, "i16"), "int8": (True, "i8"),
    "uint8": (False, "i8"), "uint16": (False, "i16"), "uint32": (False, "i32"), "uint64": (False, "i64"), "bool": (False, "i8"),
}  # fmt: skip
AS_IS, AS_FLOAT, AS_INT, AS_BOOL, AS_LIST = range(5)
# Python's numbers, and what becomes of them: LLVM's type, and of which of them such elements are made
DATA_FLOAT, DATA_INT, DATA_BOOL = 1, 2, 3
DATA_DIMS = 4  # depth of the lists in which they stand
DATA_TYPES = {
    "float32": ("float", (DATA_FLOAT, DATA_INT)), "float64": ("double", (DATA_FLOAT, DATA_INT)), "int64": ("i64", (DATA_INT,)), "bool": ("i8", (DATA_BOOL,)),
}  # fmt: skip

# a recording: words of its queue (native/recording.py), of a row of its blocks, and of a program
QUEUE = {
    name: i
    for i, name in enumerate(
        (
            "base",
            "entries_n",
            "blocks_n",
            "signature_n",
            "words_n",
            "bytes",
            "cost",
            "work",
            "work_bytes",
            "entries",
            "blocks",
            "signature",
            "words",
        )
    )
}
ENTRIES_MAX, BLOCKS_MAX, QUEUE_WORDS_MAX = 1 << 13, 1 << 14, 1 << 17
QUEUE_BYTES_MAX = 1 << 30  # of results that are kept until the end, held or not
QUEUE_COST_MAX = (
    1 << 30
)  # estimated nanoseconds, on the long side: from here on what waits is run, so that an interrupt is not kept waiting
BLOCK_ROW = 4  # block, address at which it was first seen, bit 0 written and bit 1 made here, bit 0 alive at the end
WRITTEN, MADE = 1, 2
PROGRAM = {
    name: i
    for i, name in enumerate(
        ("signature_n", "signature", "blocks_n", "alive", "rows_n", "rows", "template_n", "template", "patches_n", "patches")
    )
}
