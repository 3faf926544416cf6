"""Sequences of different lengths: packed one step after the other without their padding, and padded to one length."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

from ... import ops
from ...base.dtypes import int64
from ...base.errors import refuse
from ...core import Tensor
from ...core.guards import guard

_Fields = namedtuple("PackedSequence", ["data", "batch_sizes", "sorted_indices", "unsorted_indices"], defaults=(None, None, None))


def invert_permutation(permutation: Tensor | None) -> Tensor | None:
    """The permutation that undoes `permutation`."""
    if permutation is None:
        return None
    output = ops.empty_like(permutation)
    output.scatter_(0, permutation, ops.arange(0, permutation.numel(), device=permutation.device))
    return output


class PackedSequence(_Fields):
    """Step t of all sequences that are longer than t, for each t: `data` (sum of lengths, *), `batch_sizes` (T,) how many per step.

    `sorted_indices` orders sequences by falling length; `unsorted_indices` restores the order in which they came.
    """

    def __new__(cls, data: Any, batch_sizes: Any = None, sorted_indices: Any = None, unsorted_indices: Any = None) -> PackedSequence:
        if batch_sizes is None:  # the old form: both in a pair
            if not isinstance(data, (list, tuple)) or len(data) != 2:
                raise refuse(AssertionError, "Expected data to be a tuple of (data, batch_sizes)", received=type(data).__name__)
            data, batch_sizes = data
        if unsorted_indices is None:
            unsorted_indices = invert_permutation(sorted_indices)
        if batch_sizes.device.type != "cpu":
            raise ValueError(
                "batch_sizes should always be on CPU. Instances of PackedSequence should never be created manually. They should be "
                "instantiated by functions like pack_sequence and pack_padded_sequences in nn.utils.rnn. https://pytorch.org/docs/"
                "stable/nn.html#torch.nn.utils.rnn.pack_sequence"
            )
        return super().__new__(cls, data, batch_sizes, sorted_indices, unsorted_indices)

    def pin_memory(self) -> PackedSequence:
        return self

    def to(self, *args: Any, **kwargs: Any) -> PackedSequence:
        """The sequence with its data cast or moved."""
        data = self.data.to(*args, **kwargs)
        if data is self.data:
            return self
        order, back = (None if t is None else t.to(data.device) for t in (self.sorted_indices, self.unsorted_indices))
        return type(self)(data, self.batch_sizes, order, back)

    def cpu(self) -> PackedSequence:
        return self.to(device="cpu")

    def cuda(self, *args: Any, **kwargs: Any) -> PackedSequence:
        return self.to(device="cuda")

    def _cast(self, name: str) -> PackedSequence:
        return type(self)(getattr(self.data, name)(), self.batch_sizes, self.sorted_indices, self.unsorted_indices)

    def double(self) -> PackedSequence:
        return self._cast("double")

    def float(self) -> PackedSequence:
        return self._cast("float")

    def half(self) -> PackedSequence:
        return self._cast("half")

    def long(self) -> PackedSequence:
        return self._cast("long")

    def int(self) -> PackedSequence:
        return self._cast("int")

    @property
    def is_cuda(self) -> bool:
        """Whether the data lie on a GPU."""
        return self.data.device.type == "cuda"

    def is_pinned(self) -> bool:
        return False


def _steps(lengths: list[int]) -> list[int]:
    """How many sequences are longer than t, for each t; `lengths` fall."""
    counts = [0] * lengths[0]
    for length in lengths:
        counts[length - 1] += 1
    for t in range(len(counts) - 2, -1, -1):
        counts[t] += counts[t + 1]
    return counts


def pack_padded_sequence(input: Tensor, lengths: Any, batch_first: bool = False, enforce_sorted: bool = True) -> PackedSequence:
    """Pack (T, B, *), or (B, T, *) with `batch_first`; `enforce_sorted` says that `lengths` fall already."""
    if not isinstance(lengths, Tensor):
        lengths = ops.tensor(list(lengths), dtype=int64, device="cpu")
    sorted_indices = None
    if not enforce_sorted:
        lengths, sorted_indices = ops.sort(lengths, descending=True)
        input = input.index_select(0 if batch_first else 1, sorted_indices)
    if input.numel() == 0:
        raise refuse(RuntimeError, "Cannot pack empty tensors.", received=f"{tuple(input.shape)}")
    padded = input.transpose(0, 1) if batch_first else input  # (T, B, *)
    T, B = padded.shape[:2]
    extents = [int(n) for n in lengths.tolist()]
    if len(extents) != B:
        raise refuse(RuntimeError, f"Expected `len(lengths)` to be equal to batch_size, but got {len(extents)} (batch_size={B})")
    if extents[-1] <= 0:
        raise refuse(RuntimeError, "Length of all samples has to be greater than 0, but found an element in 'lengths' that is <= 0",
                     received=f"{extents}")  # fmt: skip
    if any(a < b for a, b in pairwise(extents)):
        raise refuse(
            RuntimeError,
            "`lengths` array must be sorted in decreasing order when `enforce_sorted` is True. You can pass "
            "`enforce_sorted=False` to pack_padded_sequence and/or pack_sequence to sidestep this requirement if you do not need ONNX "
            "exportability.",
            received=f"{extents}",
        )
    if extents[0] > T:
        raise refuse(RuntimeError, f"Expected all lengths to be at most {T}, but got {extents[0]}", received=f"{extents}")
    counts = _steps(extents)
    rows = ops.tensor([t * B + b for t, n in enumerate(counts) for b in range(n)], dtype=int64, device=input.device)
    data = padded.reshape(T * B, *padded.shape[2:]).index_select(0, rows)
    return PackedSequence(data, ops.tensor(counts, dtype=int64), sorted_indices, None)


def pad_packed_sequence(
    sequence: PackedSequence, batch_first: bool = False, padding_value: float = 0.0, total_length: int | None = None
) -> tuple[Tensor, Tensor]:
    """((T, B, *), lengths), the inverse of `pack_padded_sequence`; `total_length` sets T."""
    data, batch_sizes, _, unsorted_indices = sequence
    counts = batch_sizes.tolist()
    T, B, N = len(counts), counts[0], data.shape[0]
    if total_length is not None and total_length < T:
        raise refuse(ValueError, "Expected total_length to be at least the length of the longest sequence in input, but got "
                     f"total_length={total_length} and max sequence length being {T}")  # fmt: skip
    T = total_length or T
    rows, start = [], 0
    for n in [*counts, *[0] * (T - len(counts))]:
        rows += [*range(start, start + n), *[N] * (B - n)]  # row N is the padding
        start += n
    blank = ops.full((1, *data.shape[1:]), padding_value, dtype=data.dtype, device=data.device)
    index = ops.tensor(rows, dtype=int64, device=data.device)
    padded = ops.cat([data, blank]).index_select(0, index).view(T, B, *data.shape[1:])
    lengths = ops.tensor([sum(n > b for n in counts) for b in range(B)], dtype=int64)
    padded = padded.transpose(0, 1) if batch_first else padded
    if unsorted_indices is not None:
        return padded.index_select(0 if batch_first else 1, unsorted_indices), lengths[unsorted_indices.cpu()]
    return padded, lengths


def pad_sequence(sequences: Any, batch_first: bool = False, padding_value: float = 0.0, padding_side: str = "right") -> Tensor:
    """Sequences (L_i, *) side by side as (T, B, *), or (B, T, *) with `batch_first`."""
    if not isinstance(sequences, Iterable):
        raise RuntimeError(f"pad_sequence: Expected iterable for input sequences, but got arg of type: {type(sequences)}")
    if padding_side not in ("left", "right"):
        raise RuntimeError(f"Expected padding_side to be one of left or right, but got {padding_side}.")
    sequences = list(sequences)  # a tensor gives its rows
    if not sequences:
        raise RuntimeError("received an empty list of sequences")
    longest = max(s.size(0) for s in sequences)
    padded = []
    for s in sequences:
        missing = longest - s.size(0)
        blank = ops.full((missing, *s.shape[1:]), padding_value, dtype=s.dtype, device=s.device) if missing else None
        padded.append(s if blank is None else ops.cat([s, blank] if padding_side == "right" else [blank, s]))
    return ops.stack(padded, 0 if batch_first else 1)


def unpad_sequence(padded_sequences: Tensor, lengths: Tensor, batch_first: bool = False) -> list[Tensor]:
    """The sequences of a padded tensor, each at its own length."""
    if not batch_first:
        padded_sequences = padded_sequences.transpose(0, 1)
    return [s[: int(n)] for s, n in zip(padded_sequences.unbind(0), lengths.tolist(), strict=True)]


def pack_sequence(sequences: Any, enforce_sorted: bool = True) -> PackedSequence:
    """Pack a list of sequences (L_i, *)."""
    lengths = ops.tensor([s.size(0) for s in sequences], dtype=int64)
    return pack_padded_sequence(pad_sequence(sequences), lengths, enforce_sorted=enforce_sorted)


def unpack_sequence(packed_sequences: PackedSequence) -> list[Tensor]:
    """The sequences of a packed sequence."""
    padded, lengths = pad_packed_sequence(packed_sequences, batch_first=True)
    return unpad_sequence(padded, lengths, batch_first=True)


__all__ = [
    "PackedSequence",
    "invert_permutation",
    "pack_padded_sequence",
    "pack_sequence",
    "pad_packed_sequence",
    "pad_sequence",
    "unpack_sequence",
    "unpad_sequence",
]

guard(globals(), __all__)
