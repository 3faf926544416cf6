"""Errors are of PyTorch's kind and of a documented one."""

from __future__ import annotations

import pytest

import facula
from facula import nn
from facula.base.errors import refuse


@pytest.mark.parametrize("kind, documented", [(AssertionError, ValueError), (KeyError, ValueError), (TypeError, TypeError)])
def test_kinds_that_are_not_documented_are_also_of_a_kind_that_is(kind: type[Exception], documented: type[Exception]) -> None:
    error = refuse(kind, "sentence", received="2", hint="3")
    assert isinstance(error, kind) and isinstance(error, documented)
    assert error.received == "2" and error.hint == "3"


def test_absent_devices_raise_what_pytorch_and_what_the_documentation_says() -> None:
    for call in (lambda: facula.ones(2).cuda(), lambda: facula.ones(2).to("cuda"), lambda: facula.cuda.current_device()):
        with pytest.raises(AssertionError) as caught:
            call()
        assert isinstance(caught.value, RuntimeError)


def test_names_that_modules_refuse() -> None:
    with pytest.raises(KeyError) as caught:
        nn.Module().register_buffer("a.b", None)
    assert isinstance(caught.value, ValueError)
