"""What code is generated for: an instruction set as plain data. No part of the compiler asks the host what it is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Target:
    """An instruction set. `lanes` float32 values fill a vector; the GEMM register tile is `tile_rows` x `tile_vectors` vectors."""

    name: str
    triple: str
    cpu: str
    features: str
    lanes: int
    tile_rows: int
    tile_vectors: int
    masked: bool  # has instructions that load and store under a mask for every element size
    bfloat16: bool = False  # dot products of bfloat16 pairs
    int8: bool = False  # dot products of uint8 x int8 quads

    @property
    def registers(self) -> int:
        """Vector registers."""
        return 32 if self.masked or self.name.startswith("aarch64") else 16


LINUX = "x86_64-unknown-linux-gnu"
X86_64_V3 = Target("x86-64-v3", LINUX, "x86-64-v3", "", 8, 6, 2, masked=False)
X86_64_V4 = Target("x86-64-v4", LINUX, "x86-64-v4", "-prefer-256-bit", 16, 14, 2, masked=True)
X86_64_V4_BF16 = Target(
    "x86-64-v4-bf16", LINUX, "x86-64-v4", "-prefer-256-bit,+avx512bf16,+avx512vnni", 16, 14, 2, masked=True, bfloat16=True, int8=True
)
AARCH64 = Target("aarch64", "aarch64-unknown-linux-gnu", "generic", "+neon", 4, 8, 3, masked=False)
WASM32 = Target("wasm32", "wasm32-unknown-unknown", "generic", "+simd128", 4, 4, 2, masked=False)

TARGETS = {t.name: t for t in (X86_64_V3, X86_64_V4, X86_64_V4_BF16, AARCH64, WASM32)}
