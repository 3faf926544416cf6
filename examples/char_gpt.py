"""A GPT over characters (Radford et al. 2019) that learns to write like Python's documentation: its text ships with Python.

python examples/char_gpt.py                     under a minute, writes runs/char_gpt.png and some text
python examples/char_gpt.py --text FILE         another text
python examples/char_gpt.py --smoke             seconds
"""

import importlib
import inspect
import sys
from pathlib import Path

from matplotlib.figure import Figure
from tqdm import trange

import facula as torch
from facula import nn, optim
from facula.core import Tensor
from facula.nn import functional as F

SMOKE = "--smoke" in sys.argv
STEPS, BATCH, LENGTH, WIDTH, HEADS, LAYERS = (3, 4, 16, 16, 2, 1) if SMOKE else (800, 24, 64, 64, 4, 2)
MODULES = "argparse ast asyncio collections csv ctypes datetime decimal difflib functools heapq inspect io itertools json logging os pathlib pickle random re shutil socket statistics string subprocess tempfile textwrap threading typing unittest urllib.request zipfile"
torch.manual_seed(0)


def documentation() -> str:
    """Docstrings of a part of the standard library, about 300,000 characters."""
    parts = []
    for name in MODULES.split():
        module = importlib.import_module(name)
        for _, member in sorted(vars(module).items()):
            if (inspect.isclass(member) or inspect.isroutine(member)) and (getattr(member, "__module__", "") or "").startswith(
                name.split(".")[0]
            ):
                parts.append(inspect.getdoc(member) or "")
    return "\n\n".join(p for p in parts if p)


text = Path(sys.argv[sys.argv.index("--text") + 1]).read_text(encoding="utf-8") if "--text" in sys.argv else documentation()
letters = sorted(set(text))
number = {letter: i for i, letter in enumerate(letters)}
tokens = torch.tensor([number[letter] for letter in text])
print(f"{len(text):,} characters, {len(letters)} different ones")


class Block(nn.Module):
    """Attention, then a network of two layers, both added to x: (B, L, E) -> (B, L, E)."""

    def __init__(self) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.qkv = nn.Linear(WIDTH, 3 * WIDTH, bias=False)
        self.out = nn.Linear(WIDTH, WIDTH, bias=False)
        self.mlp = nn.Sequential(nn.Linear(WIDTH, 4 * WIDTH), nn.GELU(), nn.Linear(4 * WIDTH, WIDTH))

    def forward(self, x: Tensor) -> Tensor:
        B, L, E = x.shape
        q, k, v = self.qkv(self.norm1(x)).view(B, L, 3, HEADS, -1).permute(2, 0, 3, 1, 4)  # 3 x (B, H, L, E / H)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)  # (B, H, L, E / H)
        x = x + self.out(y.transpose(1, 2).reshape(B, L, E))
        return x + self.mlp(self.norm2(x))


class GPT(nn.Module):
    """Logits of the next character: (B, L) -> (B, L, letters)."""

    def __init__(self) -> None:
        super().__init__()
        self.letter, self.place = nn.Embedding(len(letters), WIDTH), nn.Embedding(LENGTH, WIDTH)
        self.blocks = nn.Sequential(*[Block() for _ in range(LAYERS)])
        self.norm, self.head = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, len(letters))

    def forward(self, x: Tensor) -> Tensor:
        y = self.letter(x) + self.place(torch.arange(x.shape[1]))  # (B, L, E)
        return self.head(self.norm(self.blocks(y)))


def batch() -> tuple[Tensor, Tensor]:
    """Pieces of the text and the same one character later, both (BATCH, LENGTH)."""
    start = torch.randint(0, len(tokens) - LENGTH - 1, (BATCH, 1))
    at = start + torch.arange(LENGTH)
    return tokens[at], tokens[at + 1]


model = GPT()
optimizer = optim.AdamW(model.parameters(), lr=4e-3)
schedule = optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=STEPS + 1)
losses = []
for _ in (progress := trange(STEPS)):
    x, y = batch()
    loss = F.cross_entropy(model(x).view(-1, len(letters)), y.view(-1))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    schedule.step()
    losses.append(loss.item())
    progress.set_postfix(loss=f"{losses[-1]:.3f}")

line = [number.get("R", 0)]
with torch.no_grad():
    for _ in range(10 if SMOKE else 300):
        logits = model(torch.tensor([line[-LENGTH:]]))[0, -1]
        line.append(int(torch.multinomial(F.softmax(logits / 0.8, 0), 1)))
print("".join(letters[i] for i in line))

figure = Figure(figsize=(7, 4), layout="constrained")
axes = figure.subplots()
axes.plot(losses)
axes.set(xlabel="step", ylabel="loss (nats a character)")
Path("runs").mkdir(exist_ok=True)
figure.savefig("runs/char_gpt.png")
print("wrote runs/char_gpt.png")
