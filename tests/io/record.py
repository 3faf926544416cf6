"""Writes recorded/pytorch.pt and recorded/sequential.pt, checkpoints by PyTorch. Run once, with torch installed: `python tests/io/record.py`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch


def contents() -> dict:
    torch.manual_seed(0)
    shared = torch.arange(6.0)
    model = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.5)
    model(torch.randn(4, 3)).sum().backward()
    optimizer.step()
    return {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "parameter": model[0].weight,
        "shared": [shared, shared[2:], shared.view(2, 3).t()],
        "kinds": [torch.ones(2).to(kind) for kind in (torch.bool, torch.uint8, torch.int16, torch.int64, torch.bfloat16, torch.complex64)],
        "late": torch.tensor([0, 1, 2], dtype=torch.uint16),
        "scalar": torch.tensor(2.5),
        "empty": torch.zeros(0, 3),
        "plain": [1, -2, 2**70, 1.5, True, None, "text", b"bytes", 1j, (1, (2,)), {3}, torch.Size([1, 2]), torch.float32],
        "array": np.arange(6, dtype=np.int32).reshape(2, 3),
        "number": np.float32(0.5),
    }


def older_contents() -> dict:
    x = torch.arange(6.0).reshape(2, 3)
    halves = torch.tensor([1.5, -2.0], dtype=torch.bfloat16)
    return {"x": x, "t": x.t(), "b": torch.tensor([True, False]), "h": halves, "n": [1, (2.5, "s")]}


if __name__ == "__main__":
    folder = Path(__file__).parent / "recorded"
    torch.save(contents(), folder / "pytorch.pt")
    torch.save(older_contents(), folder / "sequential.pt", _use_new_zipfile_serialization=False)
