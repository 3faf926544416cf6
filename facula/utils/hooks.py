"""The handle that removes a hook, at PyTorch's path."""

from ..nn.modules.module_hooks import RemovableHandle

__all__ = ["RemovableHandle"]
