"""torch.utils.NAME loads when it is named, as after `import torch`."""

from __future__ import annotations

import subprocess
import sys

import pytest

import facula


def test_a_room_loads_when_it_is_named() -> None:
    program = "import facula as torch; print(torch.utils.data.DataLoader.__name__, torch.nn.attention.__name__)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["DataLoader", "facula.nn.attention"]


def test_unknown_names() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = facula.utils.nothing
