"""An LSTM that remembers: the sum of two marked numbers among many (Hochreiter & Schmidhuber 1997, experiment 4).

python examples/lstm.py            under a minute, writes runs/lstm.png
python examples/lstm.py --smoke    seconds
"""

import sys
from pathlib import Path

from matplotlib.figure import Figure
from tqdm import trange

import facula as torch
from facula import nn, optim
from facula.core import Tensor

SMOKE = "--smoke" in sys.argv
STEPS, LENGTH, BATCH, HIDDEN = (10, 10, 8, 8) if SMOKE else (800, 30, 64, 32)
torch.manual_seed(0)


def draw(count: int) -> tuple[Tensor, Tensor]:
    """Sequences (count, LENGTH, 2) of numbers and marks, and the sums (count,) of the two marked numbers."""
    numbers = torch.rand(count, LENGTH)
    first = torch.randint(0, LENGTH // 2, (count,))
    second = torch.randint(LENGTH // 2, LENGTH, (count,))
    rows = torch.arange(count)
    marks = torch.zeros(count, LENGTH)
    marks[rows, first] = 1.0
    marks[rows, second] = 1.0
    return torch.stack([numbers, marks], 2), (numbers * marks).sum(1)


class Adder(nn.Module):
    """(B, L, 2) -> (B,)"""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(2, HIDDEN, batch_first=True)
        self.head = nn.Linear(HIDDEN, 1)

    def forward(self, x: Tensor) -> Tensor:
        y, _ = self.lstm(x)  # (B, L, H)
        return self.head(y[:, -1]).squeeze(1)


model = Adder()
optimizer = optim.Adam(model.parameters(), lr=1e-2)
schedule = optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
losses = []
for _ in (progress := trange(STEPS)):
    x, y = draw(BATCH)
    loss = nn.functional.mse_loss(model(x), y)
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    schedule.step()
    losses.append(loss.item())
    progress.set_postfix(loss=f"{losses[-1]:.4f}")

x, y = draw(256)
with torch.no_grad():
    guess = model(x)
print(f"mean squared error {(guess - y).square().mean().item():.5f}; always guessing 1 gives 0.167")

figure = Figure(figsize=(10, 4), layout="constrained")
(left, right) = figure.subplots(1, 2)
left.semilogy(losses)
left.axhline(1 / 6, color="gray", linestyle=":", label="always 1")
left.set(xlabel="step", ylabel="squared error")
left.legend()
right.scatter(y.tolist(), guess.tolist(), s=8)
right.plot([0, 2], [0, 2], color="gray", linestyle=":")
right.set(xlabel="sum", ylabel="guess")
Path("runs").mkdir(exist_ok=True)
figure.savefig("runs/lstm.png")
print("wrote runs/lstm.png")
