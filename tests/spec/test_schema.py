"""The grammar of schemas: what is read, and what is refused by name."""

from __future__ import annotations

import pytest

from facula.spec.schema import REQUIRED, parse


def test_a_line_in_parts() -> None:
    s = parse("conv2d(Tensor input, Tensor? bias=None, int[2] stride=1, *, float eps=1e-5, str mode='zeros') -> (Tensor out, Tensor)")
    assert (s.name, s.overload, s.returns, s.positional) == ("conv2d", "", ("out", ""), 3)
    bias, stride, eps, mode = s.params[1:]
    assert bias.optional and bias.default is None and s.params[0].default is REQUIRED
    assert stride.is_list and stride.size == 2 and stride.default == 1
    assert eps.keyword_only and eps.is_operand and eps.default == 1e-5 and mode.default == "zeros"


def test_the_signature_is_pythons() -> None:
    assert (
        str(parse("sum.dim(Tensor input, int[]? dim=None, *, bool keepdim=False) -> Tensor").signature)
        == "(input, dim=None, *, keepdim=False)"
    )


@pytest.mark.parametrize(
    ("text", "sentence"),
    [("add Tensor -> Tensor", r"expected name\(arguments\) -> results"), ("add(Matrix x) -> Tensor", "cannot read argument 'Matrix x'")],
)
def test_what_does_not_fit(text: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        parse(text)
