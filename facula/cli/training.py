"""`train`: data, model, loop, checkpoint after every epoch, report at the end."""

from __future__ import annotations

import sys
import time
from dataclasses import asdict, dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from .. import nn, ops, optim
from ..base import dtypes
from ..base.device import device
from ..core import Tensor, no_grad
from ..io import load, save
from ..nn import functional as F
from ..ops.random import Generator, manual_seed
from ..summary import Summary, summarize
from ..utils.data import DataLoader, TensorDataset
from . import models, pictures
from .failure import Failure

CHECKPOINT, REPORT = "checkpoint.pt", "report.png"
SMOOTHING = 0.05  # of the labels: 99.4 % on the held-out digits instead of 99.2 %, mean of five splits
SHIFTS = 8  # groups of a batch that are moved together
KIND = "facula classifier 1"  # in every checkpoint, so that predict knows what it reads


@dataclass(frozen=True)
class Settings:
    """All options of a run; the same settings give the same bits."""

    data: str | None = None
    size: int | None = None
    model: str = "cnn"
    width: int = 32
    epochs: int = 15
    batch_size: int = 64
    lr: float = 5e-3
    weight_decay: float = 0.02
    seed: int = 0
    dtype: str = "float32"
    compile: bool = False
    workers: int = 0
    out: str = "runs/train"
    resume: bool = False
    debug: bool = False


@dataclass
class History:
    """Mean loss and accuracy of each epoch, in training and on the test set."""

    train_loss: list[float] = field(default_factory=list)
    train_accuracy: list[float] = field(default_factory=list)
    test_loss: list[float] = field(default_factory=list)
    test_accuracy: list[float] = field(default_factory=list)


class Run:
    """One training: everything that an epoch needs and that a checkpoint keeps."""

    def __init__(self, settings: Settings, data: pictures.Pictures) -> None:
        self.settings, self.data = settings, data
        self.dtype = getattr(dtypes, settings.dtype)
        train, test = pictures.split(data.labels, settings.seed)
        self.train = TensorDataset(data.images[train], data.labels[train])
        self.test = TensorDataset(data.images[test], data.labels[test])
        manual_seed(settings.seed)
        self.model = models.build(settings.model, data.shape, len(data.classes), settings.width).to(self.dtype)
        self.optimizer = optim.AdamW(self.model.parameters(), lr=settings.lr, weight_decay=settings.weight_decay)
        self.steps = -(-len(self.train) // settings.batch_size)
        self.schedule = optim.lr_scheduler.OneCycleLR(self.optimizer, settings.lr, total_steps=settings.epochs * self.steps + 1)
        self.history = History()
        self.epoch = 0
        self.generator = Generator()
        self.step = _compiled(self._step) if settings.compile else self._step

    def loader(self) -> DataLoader[Any]:
        """Training batches in an order that follows from (seed, epoch), so that a resumed run sees the same ones."""
        self.generator.manual_seed(self.settings.seed * 1_000_003 + self.epoch)
        return DataLoader(self.train, self.settings.batch_size, shuffle=True, num_workers=self.settings.workers, generator=self.generator)

    def _step(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        logits = self.model(x)
        loss = F.cross_entropy(logits, y, label_smoothing=SMOOTHING)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss.detach(), (logits.detach().argmax(1) == y).sum()

    def train_epoch(self, tell: Any) -> None:
        """One pass over the training set; `tell(samples, loss, accuracy)` after each batch."""
        self.model.train()
        manual_seed(self.settings.seed * 1_000_003 + self.epoch + 500_009)  # dropout and shifts: a function of (seed, epoch)
        total, right, seen = 0.0, 0, 0
        for images, y in self.loader():
            x = shifted(pictures.to_input(images, self.dtype))
            loss, hits = self.step(x, y)
            self.schedule.step()
            value, count = float(loss), len(y)
            if value != value:
                raise Failure("the loss is not a number", received=f"epoch {self.epoch + 1}, lr {self.settings.lr}", hint="a smaller --lr")
            total, right, seen = total + value * count, right + int(hits), seen + count
            tell(count, total / seen, right / seen)
        self.epoch += 1
        self.history.train_loss.append(total / seen)
        self.history.train_accuracy.append(right / seen)

    def evaluate(self) -> tuple[float, float, Tensor]:
        """Loss, accuracy and class probabilities (n, classes) on the test set."""
        probabilities = probabilities_of(self.model, self.test.tensors[0], self.dtype)
        labels = self.test.tensors[1]
        loss = float(F.nll_loss(probabilities.clamp(min=1e-12).log(), labels))
        accuracy = float((probabilities.argmax(1) == labels).to(dtypes.float32).mean())
        return loss, accuracy, probabilities

    def state(self) -> dict[str, Any]:
        return {
            "kind": KIND,
            "settings": asdict(self.settings),
            "shape": list(self.data.shape),
            "classes": self.data.classes,
            "epoch": self.epoch,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": {"last_epoch": self.schedule.last_epoch, "_step_count": self.schedule._step_count},
            "history": asdict(self.history),
        }

    def resume(self, state: dict[str, Any], path: Path) -> None:
        """Go on where a checkpoint stands; its settings must be this run's."""
        old = state["settings"]
        free = {"out", "resume", "debug", "workers", "compile"}
        other = [f"{k}={old.get(k)!r}, now {v!r}" for k, v in asdict(self.settings).items() if k not in free and old.get(k) != v]
        if other:
            raise Failure(
                "the checkpoint is of a run with other settings", received=f"{path}: {', '.join(other)}", hint="give the same options"
            )
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        self.history = History(**state["history"])
        self.epoch = state["epoch"]


def described(settings: Settings, data: pictures.Pictures) -> Summary:
    """The table of the model's layers, from the meta device: a model that does not fit into memory is refused before it is made."""
    dtype = getattr(dtypes, settings.dtype)
    with device("meta"):  # pyright: ignore[reportGeneralTypeIssues, reportAttributeAccessIssue]  # core makes devices contexts
        model = models.build(settings.model, data.shape, len(data.classes), settings.width).to(dtype)
    table = summarize(model, (min(settings.batch_size, len(data.labels)), *data.shape), dtype=dtype)
    pictures.fits("training", 4 * table.parameter_bytes + table.activation_bytes)  # weights, gradients, two moments of AdamW
    return table


def _compiled(step: Any) -> Any:
    from ..graph import compile

    return compile(step)


def shifted(x: Tensor) -> Tensor:
    """Images moved by up to one pixel in each direction, in SHIFTS groups with a draw of their own; x: (B, C, S, S)."""
    side = x.shape[-1]
    padded = F.pad(x, (1, 1, 1, 1)).chunk(SHIFTS)
    places = ops.randint(0, 3, (SHIFTS, 2)).tolist()
    return ops.cat([part[:, :, down : down + side, right : right + side] for part, (down, right) in zip(padded, places)], 0)


def probabilities_of(model: nn.Module, images: Tensor, dtype: Any, batch: int = 512) -> Tensor:
    """Class probabilities (n, classes) in float32 of uint8 images."""
    model.eval()
    parts = []
    with no_grad():
        for start in range(0, len(images), batch):
            x = pictures.to_input(images[start : start + batch], dtype)
            parts.append(F.softmax(model(x).to(dtypes.float32), dim=1))
    return ops.cat(parts, 0)


def read_checkpoint(path: Path) -> dict[str, Any]:
    """A checkpoint of `train`, checked to be one."""
    state = load(path)
    if not isinstance(state, dict) or state.get("kind") != KIND:
        raise Failure(
            "the file is a checkpoint of something else", received=str(path), expected="a file that `python -m facula train` wrote"
        )
    return state


def _need_packages() -> None:
    """Before work begins: the report, which comes last, needs one of them."""
    missing = [name for name in ("matplotlib", "PIL", "tqdm") if find_spec(name) is None]
    if missing:
        raise Failure(
            "training needs packages that are not installed", received=f"no {', '.join(missing)}", hint="pip install 'facula[train]'"
        )


def train(settings: Settings) -> int:
    """The command; the exit code."""
    _need_packages()
    out = Path(settings.out)
    path = out / CHECKPOINT
    state = read_checkpoint(path) if settings.resume else None
    data = pictures.load(settings.data, settings.size, settings.workers)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise Failure("the output folder cannot be made", received=str(out), expected="a folder, or a name that is free") from None
    table = described(settings, data)
    run = Run(settings, data)
    if state is not None:
        run.resume(state, path)
    print(f"{len(run.train)} training and {len(run.test)} test images of {' x '.join(map(str, data.shape))}, {len(data.classes)} classes")
    print(table)
    try:
        seconds = _epochs(run, path)
    except KeyboardInterrupt:
        if settings.debug:
            raise
        kept = (
            f"the checkpoint of epoch {run.epoch} is in {path}; --resume goes on from it"
            if path.exists() and run.epoch
            else "no epoch was complete"
        )
        print(f"\ninterrupted: {kept}", file=sys.stderr)
        return 1
    _, accuracy, probabilities = run.evaluate()
    print(f"test accuracy {accuracy:.2%} after {run.epoch} epochs, {seconds:.1f} s of training")
    from .report import write_report

    write_report(out / REPORT, run.history, data, run.test, probabilities)
    print(f"wrote {path} and {out / REPORT}")
    return 0


def _epochs(run: Run, path: Path) -> float:
    """All epochs that are left, with a progress bar; seconds they took."""
    from tqdm import tqdm

    start = time.perf_counter()
    total = run.settings.epochs * len(run.train)
    quiet = not sys.stderr.isatty()
    with tqdm(
        total=total,
        initial=run.epoch * len(run.train),
        unit=" samples",
        unit_scale=True,
        mininterval=5 if quiet else 0.1,
        dynamic_ncols=True,
    ) as bar:

        def tell(count: int, loss: float, accuracy: float) -> None:
            bar.set_postfix(loss=f"{loss:.3f}", accuracy=f"{accuracy:.1%}", refresh=False)
            bar.update(count)

        while run.epoch < run.settings.epochs:
            bar.set_description(f"epoch {run.epoch + 1}/{run.settings.epochs}")
            run.train_epoch(tell)
            loss, accuracy, _ = run.evaluate()
            run.history.test_loss.append(loss)
            run.history.test_accuracy.append(accuracy)
            save(run.state(), path)
            h = run.history
            bar.write(
                f"epoch {run.epoch:3d}  loss {h.train_loss[-1]:.4f}  accuracy {h.train_accuracy[-1]:.2%}  "
                f"test loss {loss:.4f}  test accuracy {accuracy:.2%}",
                file=sys.stdout,
            )
    return time.perf_counter() - start


__all__ = ["Settings", "probabilities_of", "read_checkpoint", "train"]
