"""The state of a random generator: Mersenne Twister MT19937 and PyTorch's caches of second normals, where native code can read it.

Layout of the state (bytes): 0 seed (u64), 8 words left in the block plus one (i32), 12 next word (i32), 16 second normal (f64),
24 whether there is one (i64), 32 second float normal (f32, kept for PyTorch's layout only), 40 whether there is one (i64),
64 the 624 words (u32) with room for vectors that reach past the end.
Source: Matsumoto & Nishimura 1998, "Mersenne Twister", ACM TOMACS 8(1).
"""

from __future__ import annotations

import ctypes
import struct
from typing import TypeVar

from ...base.errors import refuse
from ..launch import Place

WORDS = 624
SEED, LEFT, NEXT, NORMAL, HAS_NORMAL, FLOAT_NORMAL, HAS_FLOAT_NORMAL, TABLE = 0, 8, 12, 16, 24, 32, 40, 64
BYTES = TABLE + (WORDS + 32) * 4
STATE_BYTES = 5056  # PyTorch's ByteTensor: legacy struct (5048 bytes), next float normal and its flag
_TORCH = struct.Struct(f"<QiiQ{WORDS}QdddiifB3x")
DEFAULT_SEED = 67280421310721  # PyTorch's default_rng_seed_val


T = TypeVar("T", ctypes.c_uint64, ctypes.c_int64, ctypes.c_int32, ctypes.c_double, ctypes.c_float)


class State:
    """A generator's state in memory that does not move; `address` goes to kernels as a number."""

    __slots__ = ("_block", "address")

    def __init__(self, seed: int = DEFAULT_SEED) -> None:
        self._block = ctypes.create_string_buffer(BYTES + 64)
        self.address = Place((ctypes.addressof(self._block) + 63) // 64 * 64, BYTES)
        self.seed(seed)

    def _view(self, kind: type[T], offset: int) -> T:
        return kind.from_address(self.address + offset)

    @property
    def words(self) -> ctypes.Array[ctypes.c_uint32]:
        """The 624 words of the current block."""
        return (ctypes.c_uint32 * WORDS).from_address(self.address + TABLE)

    @property
    def initial_seed(self) -> int:
        return self._view(ctypes.c_uint64, SEED).value

    def seed(self, seed: int) -> None:
        """Start the stream of `seed` (64 bits are remembered, the low 32 decide, as in PyTorch)."""
        word = seed & 0xFFFFFFFF
        table = [word]
        for i in range(1, WORDS):
            word = (1812433253 * (word ^ (word >> 30)) + i) & 0xFFFFFFFF
            table.append(word)
        ctypes.memset(self.address, 0, TABLE)
        self.words[:] = table
        self._view(ctypes.c_uint64, SEED).value = seed & 0xFFFFFFFFFFFFFFFF
        self._view(ctypes.c_int32, LEFT).value = 1

    def get_state(self) -> bytes:
        """The state in PyTorch's layout, 5056 bytes."""
        normal = self._view(ctypes.c_double, NORMAL).value
        has, has_float = (self._view(ctypes.c_int64, at).value for at in (HAS_NORMAL, HAS_FLOAT_NORMAL))
        left, following = (self._view(ctypes.c_int32, at).value for at in (LEFT, NEXT))
        second = self._view(ctypes.c_float, FLOAT_NORMAL).value if has_float else 0.0
        return _TORCH.pack(
            self.initial_seed,
            left,
            1,
            following,
            *self.words,
            0.0,
            normal if has else 0.0,
            0.0,
            int(bool(has)),
            0,
            second,
            int(bool(has_float)),
        )

    def set_state(self, state: bytes) -> None:
        """Continue from a state that PyTorch or we wrote."""
        if len(state) != STATE_BYTES:
            raise refuse(
                RuntimeError,
                f"Expected a CPUGeneratorImplState of size {STATE_BYTES} but found the input RNG state size to be {len(state)}",
                received=f"{len(state)} bytes",
                expected=f"{STATE_BYTES} bytes",
                hint="pass what get_rng_state() returned",
            )
        seed, left, seeded, following, *rest = _TORCH.unpack(state)
        table, (_, normal, _, has, _, second, has_float) = rest[:WORDS], rest[WORDS:]
        if not (seeded and 0 < left <= WORDS and 0 <= following <= WORDS):
            raise refuse(RuntimeError, "Invalid mt19937 state", received=f"left={left}, next={following}, seeded={seeded}")
        ctypes.memset(self.address, 0, TABLE)
        self.words[:] = [w & 0xFFFFFFFF for w in table]
        self._view(ctypes.c_uint64, SEED).value = seed
        self._view(ctypes.c_int32, LEFT).value = left
        self._view(ctypes.c_int32, NEXT).value = following
        self._view(ctypes.c_double, NORMAL).value = normal
        self._view(ctypes.c_int64, HAS_NORMAL).value = has
        self._view(ctypes.c_float, FLOAT_NORMAL).value = second
        self._view(ctypes.c_int64, HAS_FLOAT_NORMAL).value = has_float
