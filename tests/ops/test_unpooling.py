"""Unpooling and random windows: derived checks, and that one undoes the other."""

from __future__ import annotations

import pytest

import facula
from facula.testing import derived

test_declared = derived("facula.ops.unpooling")

F = facula.nn.functional


def test_unpooling_puts_maxima_back() -> None:
    x = facula.randn(2, 3, 6, 4)
    y, where = F.max_pool2d(x, 2, return_indices=True)
    back = F.max_unpool2d(y, where, 2)
    assert facula.equal(F.max_pool2d(back.abs(), 2), y.abs())
    assert facula.equal(back[back != 0], x[back != 0])


def test_an_index_outside_is_refused() -> None:
    with pytest.raises(RuntimeError, match="Found an invalid max index: 16"):
        F.max_unpool2d(facula.ones(1, 1, 1, 1), facula.full((1, 1, 1, 1), 16), 4)


def test_random_windows_hold_their_maxima() -> None:
    x = facula.randn(1, 2, 9, 9)
    y, where = F.fractional_max_pool2d(x, 2, output_ratio=0.5, return_indices=True)
    assert y.shape == (1, 2, 4, 4)
    assert facula.equal(x.flatten(2).gather(2, where.flatten(2)).view(y.shape), y)


RECORDED = {
    0.3: [8, 11, 13, 29, 32, 34, 43, 46, 48],
    1.5: [8, 11, 13, 29, 32, 34, 43, 46, 48],
    30.0: [8, 10, 13, 22, 24, 27, 43, 45, 48],
    -0.5: [8, 10, 13, 22, 24, 27, 43, 45, 48],
    float("nan"): [8, 8, 13, 8, 8, 13, 43, 43, 48],
    1e30: [8, 8, 13, 8, 8, 13, 43, 43, 48],
}


@pytest.mark.parametrize("kind", [facula.float32, facula.float64, facula.float16, facula.bfloat16], ids=str)
@pytest.mark.parametrize("number", RECORDED)
def test_random_windows_begin_where_pytorchs_do(number: float, kind: facula.dtype) -> None:
    """Also of numbers that are none of 0..1, which leave no window outside."""
    if number == 1e30 and kind is facula.float16:
        return  # infinite, as a NaN is
    x = facula.arange(49).to(kind).view(1, 1, 7, 7)
    y, where = F.fractional_max_pool2d(x, 2, output_size=3, return_indices=True, _random_samples=facula.full((1, 1, 2), number).to(kind))
    assert where.flatten().tolist() == RECORDED[number] and facula.equal(y, where.to(kind))


def test_random_windows_in_any_order_of_dims_and_planes() -> None:
    """Each window's maximum is that of a slice from where its plane's numbers say."""
    for n, f in ((2, F.fractional_max_pool2d), (3, F.fractional_max_pool3d)):
        sizes, kernel, result = (9, 11, 14)[-n:], (1, 3, 2)[-n:], (4, 5, 1)[-n:]
        x, numbers = facula.randn(2, 3, *sizes), facula.rand(2, 3, n)
        y, where = f(x, kernel, output_size=result, return_indices=True, _random_samples=numbers)
        for plane, (own, found) in enumerate(zip(x.view(6, *sizes), y.view(6, *result))):
            for at in ([0] * n, [r // 2 for r in result], [r - 1 for r in result]):
                part = own
                for d in range(n):
                    s = numbers.view(6, n)[plane, n - 1 - d if n == 2 else d].item()
                    a = (sizes[d] - kernel[d]) / max(result[d] - 1, 1)
                    begin = sizes[d] - kernel[d] if at[d] == result[d] - 1 else int((at[d] + s) * a) - int(s * a)
                    part = part.narrow(d, begin, kernel[d])
                assert part.max() == found[tuple(at)]
        assert facula.equal(x.flatten(2).gather(2, where.flatten(2)).view(y.shape), y)


def test_random_windows_of_nan_and_of_nothing_but_minus_infinity() -> None:
    """Recorded from PyTorch: the last NaN wins; the first of equals."""
    x, numbers = facula.zeros(1, 1, 4, 4), facula.full((1, 1, 2), 0.3)
    x[0, 0, 0, 0] = x[0, 0, 0, 1] = x[0, 0, 1, 1] = float("nan")
    for data, want in ((x, [5, 2, 8, 10]), (facula.full((1, 1, 4, 4), -float("inf")), [0, 2, 8, 10])):
        y, where = F.fractional_max_pool2d(data, 2, output_size=2, return_indices=True, _random_samples=numbers)
        assert where.flatten().tolist() == want and facula.allclose(y.flatten(), data.flatten()[want], equal_nan=True)
