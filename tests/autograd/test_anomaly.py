"""Anomaly mode: NaN gradients are errors unless nobody asks, and errors name the forward line either way."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import pytest

import facula
from facula.autograd import Function, detect_anomaly, set_detect_anomaly


class Failing(Function):
    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        return x.clone()

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        raise RuntimeError("no way back")


@pytest.fixture
def seen() -> Iterator[list[Any]]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield caught


def test_nan_is_an_error(seen: list[Any]) -> None:
    x = facula.zeros(1, requires_grad=True)
    with detect_anomaly():
        y = x.sqrt() * 0
        with pytest.raises(RuntimeError, match="Function 'SqrtBackward0' returned nan values in its 0th output") as error:
            y.sum().backward()
    assert str(error.value) == "Function 'SqrtBackward0' returned nan values in its 0th output."
    assert "Anomaly Detection has been enabled" in str(seen[0].message)
    assert "y = x.sqrt() * 0" in str(seen[1].message)


def test_nan_passes_unchecked(seen: list[Any]) -> None:
    x = facula.zeros(1, requires_grad=True)
    with detect_anomaly(check_nan=False):
        (x.sqrt() * 0).sum().backward()
    assert x.grad.isnan().all()


@pytest.mark.parametrize("check_nan", [True, False])
def test_errors_name_the_forward_line(check_nan: bool, seen: list[Any]) -> None:
    x = facula.ones(2, requires_grad=True)
    with set_detect_anomaly(True, check_nan=check_nan):
        y = Failing.apply(x)
        with pytest.raises(RuntimeError, match="no way back"):
            y.sum().backward()
    assert "Error detected in FailingBackward" in str(seen[0].message)
    assert "y = Failing.apply(x)" in str(seen[0].message)


def test_the_state_is_told_and_put_back() -> None:
    def state() -> tuple[bool, bool]:
        return facula.is_anomaly_enabled(), facula.is_anomaly_check_nan_enabled()

    assert state() == (False, True)
    with set_detect_anomaly(True, check_nan=False):
        assert state() == (True, False)
    assert state() == (False, True)
    facula.set_anomaly_enabled(True, False)
    assert state() == (True, False)
    facula.set_anomaly_enabled(False)
    assert state() == (False, True)
