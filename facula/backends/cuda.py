"""CUDA is not used."""

from __future__ import annotations


def is_available() -> bool:
    return False


def is_built() -> bool:
    return False


class _Matmul:
    """Settings of products that programs write; products are computed in float32."""

    allow_tf32 = False
    allow_fp16_reduced_precision_reduction = False
    allow_bf16_reduced_precision_reduction = False


matmul = _Matmul()
