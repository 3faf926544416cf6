"""The picture of a run: loss and accuracy curves, confusion matrix, and the worst mistakes."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any

from ..core import Tensor
from ..utils.data import TensorDataset
from .pictures import Pictures

SHOWN = 12  # mistakes
WORDS = 20  # classes whose names still fit beside the matrix


def write_report(path: Path, history: Any, data: Pictures, test: TensorDataset, probabilities: Tensor) -> None:
    """Write the PNG; an old one is replaced when the new one is complete."""
    from matplotlib.figure import Figure  # without pyplot: no window system is asked for, nothing global changes

    labels = test.tensors[1].tolist()
    classes = [name.replace("$", r"\$") for name in data.classes]  # two of them would begin and end a formula
    figure: Any = Figure(figsize=(13, 9), layout="constrained")
    upper, lower = figure.subfigures(2, 1, height_ratios=[1, 1.1])
    curves = upper.subplots(1, 2)
    _curve(curves[0], "loss", history.train_loss, history.test_loss)
    _curve(curves[1], "accuracy", history.train_accuracy, history.test_accuracy)
    left, right = lower.subfigures(1, 2)
    _confusion(left.subplots(), labels, probabilities.argmax(1).tolist(), classes)
    _mistakes(right, test.tensors[0], labels, probabilities.tolist(), classes)
    temporary = path.with_name(f".{path.stem}-{os.getpid()}.png")
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Glyph .* missing")  # names in scripts that the font lacks show as boxes
            figure.savefig(temporary, dpi=110)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _curve(axes: Any, name: str, train: list[float], test: list[float]) -> None:
    epochs = range(1, len(train) + 1)
    axes.plot(epochs, train, marker=".", label="training")
    axes.plot(epochs, test, marker=".", label=f"test, last {test[-1]:.4g}")
    if name == "loss":
        axes.set_yscale("log")
    axes.set(xlabel="epoch", ylabel=name, title=name)
    axes.grid(alpha=0.3)
    axes.legend()


def _confusion(axes: Any, labels: list[int], guesses: list[int], classes: list[str]) -> None:
    count = len(classes)
    matrix = [[0] * count for _ in range(count)]
    for label, guess in zip(labels, guesses):
        matrix[label][guess] += 1
    shares = [[n / max(1, sum(row)) for n in row] for row in matrix]
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    if count <= WORDS:
        axes.set_xticks(range(count), classes, rotation=45 if max(map(len, classes)) > 3 else 0)
        axes.set_yticks(range(count), classes)
        for i, row in enumerate(matrix):
            for j, n in enumerate(row):
                if n:
                    axes.text(j, i, n, ha="center", va="center", fontsize=8, color="white" if shares[i][j] > 0.5 else "black")
    right = sum(label == guess for label, guess in zip(labels, guesses))
    axes.set(xlabel="predicted", ylabel="true", title=f"test set: {right} of {len(labels)} right")


def _mistakes(figure: Any, images: Tensor, labels: list[int], rows: list[list[float]], classes: list[str]) -> None:
    """Images whose own class got the least probability: mistakes first, then what was nearly one."""
    order = sorted(range(len(labels)), key=lambda i: rows[i][labels[i]])[:SHOWN]
    wrong = sum(max(rows[i]) != rows[i][labels[i]] for i in order)
    figure.suptitle(f"least sure: {wrong} mistakes" + (" and near ones" if wrong < len(order) else ""))
    axes = figure.subplots(3, 4).ravel()
    for place in axes:
        place.axis("off")
    for place, i in zip(axes, order):
        pixels = images[i].numpy().transpose(1, 2, 0)
        place.imshow(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels, cmap="gray", vmin=0, vmax=255)
        guess = max(range(len(classes)), key=rows[i].__getitem__)
        color = "black" if guess == labels[i] else "firebrick"
        place.set_title(f"{classes[labels[i]]} as {classes[guess]} {rows[i][guess]:.0%}", fontsize=9, color=color)


__all__ = ["write_report"]
