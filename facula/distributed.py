"""torch.distributed of a build without it, as PyTorch has them: programs ask `is_available` and go on in one process."""

from __future__ import annotations

__all__ = [
    "is_available",
    "is_gloo_available",
    "is_initialized",
    "is_mpi_available",
    "is_nccl_available",
    "is_torchelastic_launched",
    "is_ucc_available",
    "is_xccl_available",
]


def is_available() -> bool:
    """Training in several processes is not there yet."""
    return False


is_gloo_available = is_mpi_available = is_nccl_available = is_ucc_available = is_xccl_available = is_available


def is_initialized() -> bool:
    """Whether a group of processes has been made: none can be."""
    return False


def is_torchelastic_launched() -> bool:
    return False
