"""`info`: what this installation is and what it runs on."""

from __future__ import annotations

import platform
import sys
from importlib import metadata

PACKAGES = ("llvmlite", "numpy", "scipy", "ml_dtypes", "safetensors", "scikit-learn", "matplotlib", "tqdm", "pillow")


def info() -> str:
    """Versions, processor, threads and kernel cache, as lines of text."""
    import facula

    from ..runtime import host
    from ..runtime.cache import cache, default_folder
    from ..runtime.native import get_num_threads

    target = host.target()
    folder = cache()
    rows = [
        ("facula", f"{facula.__version__} at {facula.__path__[0]}"),
        ("python", f"{platform.python_version()} ({platform.python_implementation()}), {sys.executable}"),
        ("system", platform.platform()),
        ("target", f"{target.name}, {target.lanes} float32 lanes"),
        ("cores", f"{host.cores()}, {get_num_threads()} threads in use"),
        ("memory", f"{host.memory() / 2**30:.1f} GiB"),
        ("kernel cache", f"{default_folder()}" + ("" if folder.usable else " (not usable: kernels are compiled anew)")),
        *((name, _version(name)) for name in PACKAGES),
    ]
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name.ljust(width)}  {text}" for name, text in rows)


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


__all__ = ["info"]
