"""torch.backends: switches of libraries that PyTorch carries. Here there is one compiler; settings are kept, questions are answered."""

from __future__ import annotations

from . import cuda, cudnn, mkl, mkldnn, mps, openmp

__all__ = ["cuda", "cudnn", "mkl", "mkldnn", "mps", "openmp"]
