"""A U-Net (Ronneberger et al. 2015, arXiv 1505.04597) that finds discs and squares in noise.

python examples/unet.py            under a minute, writes runs/unet.png
python examples/unet.py --smoke    seconds
"""

import sys
from pathlib import Path

from matplotlib.figure import Figure
from tqdm import trange

import facula as torch
from facula import nn, optim
from facula.core import Tensor

SMOKE = "--smoke" in sys.argv
STEPS, SIDE, BATCH, WIDTH = (3, 16, 2, 4) if SMOKE else (300, 32, 16, 12)
torch.manual_seed(0)


def draw(count: int) -> tuple[Tensor, Tensor]:
    """Noisy images (count, 1, SIDE, SIDE) with a disc and a square each, and the class of each pixel: 0 nothing, 1 disc, 2 square."""
    at = torch.arange(SIDE).float()
    x, y = at.view(1, 1, -1), at.view(1, -1, 1)
    disc_x, disc_y, square_x, square_y = (torch.rand(4, count, 1, 1) * (SIDE - 8) + 4).unbind(0)
    radius, half = (torch.rand(2, count, 1, 1) * (SIDE / 10) + SIDE / 10).unbind(0)
    disc = (x - disc_x) ** 2 + (y - disc_y) ** 2 < radius**2  # (count, SIDE, SIDE)
    square = ((x - square_x).abs() < half) & ((y - square_y).abs() < half)
    target = torch.where(square, 2, torch.where(disc, 1, 0))
    image = (target > 0).float() + 0.5 * torch.randn(count, SIDE, SIDE)
    return image.unsqueeze(1), target


def block(channels: int, width: int) -> nn.Sequential:
    layers = []
    for _ in range(2):
        layers += [nn.Conv2d(channels, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
        channels = width
    return nn.Sequential(*layers)


class UNet(nn.Module):
    """(B, 1, S, S) -> (B, 3, S, S); two halvings."""

    def __init__(self) -> None:
        super().__init__()
        self.down1, self.down2, self.bottom = block(1, WIDTH), block(WIDTH, 2 * WIDTH), block(2 * WIDTH, 4 * WIDTH)
        self.pool = nn.MaxPool2d(2)
        self.raise2 = nn.ConvTranspose2d(4 * WIDTH, 2 * WIDTH, 2, stride=2)
        self.up2 = block(4 * WIDTH, 2 * WIDTH)
        self.raise1 = nn.ConvTranspose2d(2 * WIDTH, WIDTH, 2, stride=2)
        self.up1 = block(2 * WIDTH, WIDTH)
        self.head = nn.Conv2d(WIDTH, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        a = self.down1(x)  # (B, W, S, S)
        b = self.down2(self.pool(a))  # (B, 2W, S/2, S/2)
        c = self.bottom(self.pool(b))  # (B, 4W, S/4, S/4)
        b = self.up2(torch.cat([b, self.raise2(c)], 1))
        return self.head(self.up1(torch.cat([a, self.raise1(b)], 1)))


model = UNet()
optimizer = optim.AdamW(model.parameters(), lr=4e-3)
schedule = optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=STEPS + 1)
losses = []
for _ in (progress := trange(STEPS)):
    image, target = draw(BATCH)
    loss = nn.functional.cross_entropy(model(image), target)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    schedule.step()
    losses.append(loss.item())
    progress.set_postfix(loss=f"{losses[-1]:.3f}")

image, target = draw(32)
model.eval()
with torch.no_grad():
    found = model(image).argmax(1)
for kind, name in ((1, "discs"), (2, "squares")):
    both, either = ((found == kind) & (target == kind)).sum().item(), ((found == kind) | (target == kind)).sum().item()
    print(f"{name}: intersection over union {both / max(1, either):.3f}")

figure = Figure(figsize=(10, 6), layout="constrained")
axes = figure.subplots(3, 5)
for row, (name, pictures) in zip(axes, (("image", image[:, 0]), ("truth", target), ("found", found))):
    for place, picture in zip(row, pictures[:5]):
        place.imshow(picture.numpy(), cmap="viridis")
        place.axis("off")
    row[0].set_title(name)
Path("runs").mkdir(exist_ok=True)
figure.savefig("runs/unet.png")
print("wrote runs/unet.png")
