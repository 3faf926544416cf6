"""Handwritten digits with a small convolutional network, in one page. `python -m facula train` is the same with all options.

python examples/digits.py            about 10 seconds, writes runs/digits.png
python examples/digits.py --smoke    seconds
"""

import sys
from pathlib import Path

from matplotlib.figure import Figure
from sklearn.datasets import load_digits
from tqdm import trange

import facula as torch
from facula import nn, optim
from facula.nn import functional as F

SMOKE = "--smoke" in sys.argv
EPOCHS = 1 if SMOKE else 15
torch.manual_seed(0)

digits = load_digits()
images = torch.tensor(digits.images, dtype=torch.float32).unsqueeze(1) / 16  # (1797, 1, 8, 8)
labels = torch.tensor(digits.target)  # (1797,)
order = torch.randperm(len(labels))
train, test = order[:1438], order[1438:]

model = nn.Sequential(
    *[nn.Conv2d(1, 32, 3, padding=1, bias=False), nn.BatchNorm2d(32), nn.ReLU()],
    *[nn.Conv2d(32, 64, 3, padding=1, bias=False), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(2)],
    *[nn.Flatten(), nn.Dropout(0.2), nn.Linear(64 * 4 * 4, 10)],
)
optimizer = optim.AdamW(model.parameters(), lr=5e-3, weight_decay=0.02)
schedule = optim.lr_scheduler.OneCycleLR(optimizer, 5e-3, total_steps=EPOCHS * 23 + 1)

losses, accuracies = [], []
for _ in (progress := trange(EPOCHS)):
    model.train()
    for batch in train[torch.randperm(len(train))].split(64):
        loss = F.cross_entropy(model(images[batch]), labels[batch], label_smoothing=0.05)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
    model.eval()
    with torch.no_grad():
        right = (model(images[test]).argmax(1) == labels[test]).sum().item()
    accuracies.append(right / len(test))
    progress.set_postfix(loss=f"{losses[-1]:.3f}", test=f"{accuracies[-1]:.2%}")
print(f"test accuracy {accuracies[-1]:.2%}")

figure = Figure(figsize=(10, 4), layout="constrained")
(left, right_axes) = figure.subplots(1, 2)
left.semilogy(losses)
left.set(xlabel="step", ylabel="loss")
right_axes.plot(accuracies, marker=".")
right_axes.set(xlabel="epoch", ylabel="test accuracy")
Path("runs").mkdir(exist_ok=True)
figure.savefig("runs/digits.png")
print("wrote runs/digits.png")
