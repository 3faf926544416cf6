"""What `facula.io.safetensors` uses; the package's own module is compiled and says nothing of these names."""

from typing import Any

class SafetensorError(Exception): ...

def deserialize(bytes: bytes) -> list[tuple[str, dict[str, Any]]]: ...
