"""The classifiers that `train` offers: small ones, for images of 8 to 64 pixels."""

from __future__ import annotations

from .. import nn, ops
from ..core import Tensor
from .failure import Failure

NAMES = ("cnn", "mlp", "resnet")


def build(name: str, shape: tuple[int, int, int], classes: int, width: int = 32) -> nn.Module:
    """A classifier by name, for images of shape (channels, side, side)."""
    channels, side, _ = shape
    if name == "mlp":
        size = channels * side * side
        return nn.Sequential(nn.Flatten(), nn.Linear(size, 8 * width), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8 * width, classes))
    if side < 4 or side % 4:
        raise Failure(f"model {name} needs another image size", received=f"size {side}", expected="a multiple of 4, such as 8, 32 or 64")
    return cnn(channels, side, classes, width) if name == "cnn" else ResNet(channels, side, classes, width)


def _stages(side: int) -> int:
    """How often the image is halved until at most 4 pixels are left."""
    count = 0
    while side > 4 and side % 2 == 0:
        side //= 2
        count += 1
    return count


def _block(channels: int, width: int) -> list[nn.Module]:
    return [nn.Conv2d(channels, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]


def cnn(channels: int, side: int, classes: int, width: int) -> nn.Sequential:
    """Convolutions of 3 x 3 with batch norm, halved by maxima until 4 x 4 are left, then one linear layer."""
    layers = _block(channels, width)
    for _ in range(max(1, _stages(side))):
        layers += [*_block(width, 2 * width), nn.MaxPool2d(2)]
        width, side = 2 * width, side // 2
    layers += [*_block(width, width), nn.Flatten(), nn.Dropout(0.2), nn.Linear(width * side * side, classes)]
    return nn.Sequential(*layers)


class Residual(nn.Module):
    """x + f(x) with two convolutions, He et al. 2015, arXiv 1512.03385, figure 2; halves the image when `stride` is 2."""

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 3, stride=stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        plain = stride == 1 and channels == width
        self.shortcut = nn.Identity() if plain else nn.Conv2d(channels, width, 1, stride=stride, bias=False)
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.norm1(self.conv1(x)))
        return self.relu(self.norm2(self.conv2(y)) + self.shortcut(x))


class ResNet(nn.Module):
    """Residual blocks, two for each halving of the image; x: (B, C, S, S) -> (B, classes)."""

    def __init__(self, channels: int, side: int, classes: int, width: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(*_block(channels, width))
        blocks: list[nn.Module] = [Residual(width, width, 1)]
        for _ in range(max(1, _stages(side))):
            blocks += [Residual(width, 2 * width, 2), Residual(2 * width, 2 * width, 1)]
            width *= 2
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        y = self.blocks(self.stem(x))  # (B, W, S', S')
        return self.head(ops.mean(y, dim=(2, 3)))


__all__ = ["NAMES", "build"]
