"""Streams and events of the CPU: calls run in the order in which they are written, so there is nothing to wait for."""

from __future__ import annotations

from typing import Any

from ..base.device import CPU, absent, device
from ..base.errors import refuse


def _home(where: Any) -> device:
    found = CPU if where is None else device(where)
    if found.type != "cpu":
        raise absent(found, copying=True)
    return CPU


class Stream:
    """The one queue of the CPU."""

    device_type, device_index, stream_id = 0, -1, 0

    def __init__(self, device: Any = None, *, priority: int = 0) -> None:
        self.device = _home(device)

    def synchronize(self) -> None:
        """Everything has been done already."""

    def wait_stream(self, stream: Any = None) -> None:
        """Everything has been done already."""

    wait_event = wait_stream

    def query(self) -> bool:
        """Whether everything has been done."""
        return True

    def record_event(self, event: Any = None) -> Any:
        raise refuse(RuntimeError, "cpu backend doesn't support events.")

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *exc: object) -> None:
        pass

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Stream)

    __hash__ = object.__hash__

    def __repr__(self) -> str:
        return "torch.Stream device_type=cpu, device_index=-1, stream_id=0"


class Event:
    """A mark in the one queue of the CPU, which cannot be set."""

    event_id = 0

    def __init__(self, device: Any = None, *, enable_timing: bool = False, blocking: bool = False, interprocess: bool = False) -> None:
        self.device, self.timed = _home(device), bool(enable_timing)

    def record(self, stream: Any = None) -> None:
        raise refuse(RuntimeError, "cpu backend doesn't support events.")

    elapsed_time = record

    def synchronize(self) -> None:
        """Nothing is outstanding."""

    def wait(self, stream: Any = None) -> None:
        """Nothing is outstanding."""

    def query(self) -> bool:
        """Whether what came before the mark has been done."""
        return True

    def __repr__(self) -> str:
        return f"torch.Event device_type=cpu, device_index=-1, event_flag={int(self.timed)}, event_id=0"
