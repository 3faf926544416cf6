"""Matrix products: `matmul(out, a, b)` is the schedule of out = a @ b for every dtype and stride."""

from .schedule import matmul

__all__ = ["matmul"]
