"""torch.version: which API this is; no CUDA, no ROCm."""

from __future__ import annotations

__version__ = "2.13.0"
cuda = None
hip = None
xpu = None
debug = False
git_version = ""
