"""Pictures to train on: scikit-learn's digits, or a folder with one sub-folder a class."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import ops
from ..base.dtypes import float32
from ..core import Tensor
from ..utils.data import DataLoader, Dataset
from .failure import Failure

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm"})
MOST_PIXELS = 64 * 1024 * 1024  # of one image file: beyond, it is a mistake or an attack
GRAY = frozenset({"1", "L", "LA", "I", "I;16", "I;16B", "I;16L"})  # Pillow's modes without colour


@dataclass
class Pictures:
    """Images (n, channels, side, side) in uint8, their labels (n,), and the names of the classes."""

    images: Tensor
    labels: Tensor
    classes: list[str]

    @property
    def shape(self) -> tuple[int, int, int]:
        """(channels, side, side)"""
        _, channels, height, width = self.images.shape
        return channels, height, width


def load(folder: str | None, side: int | None, workers: int) -> Pictures:
    """The digits, or the images of a folder."""
    return digits(side) if folder is None else from_folder(folder, side or 32, workers)


def digits(side: int | None = None) -> Pictures:
    """1,797 handwritten digits of 8 x 8 pixels: UCI ML, "Optical Recognition of Handwritten Digits", as scikit-learn ships them."""
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise Failure(
            "scikit-learn is not installed", expected="the digits that it ships", hint="pip install scikit-learn, or --data FOLDER"
        ) from None
    import numpy as np

    data: Any = load_digits()
    images = np.round(data.images * (255 / 16)).astype(np.uint8)  # (n, 8, 8), values 0 to 16 before
    fits("the images", 2 * len(images) * (side or 8) ** 2)
    if side is not None and side != 8:
        images = np.stack([_resized(image, side) for image in images])
    return Pictures(ops.from_numpy(images[:, None].copy()), ops.tensor([int(t) for t in data.target]), [str(i) for i in range(10)])


def _resized(image: Any, side: int) -> Any:
    import numpy as np
    from PIL import Image

    return np.asarray(Image.fromarray(image).resize((side, side), Image.Resampling.BILINEAR))


class _Files(Dataset[Tensor]):
    """Images of files, decoded one by one: (channels, side, side) in uint8."""

    def __init__(self, paths: Sequence[Path], side: int, mode: str) -> None:
        self.paths, self.side, self.mode = paths, side, mode

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Tensor:
        return read_image(self.paths[index], self.side, self.mode)


def read_image(path: Path, side: int, mode: str) -> Tensor:
    """One image file as (channels, side, side) in uint8, resized to a square; mode "L" has one channel, "RGB" three."""
    import numpy as np
    from PIL import Image

    try:
        with Image.open(path) as image:
            if image.width * image.height > MOST_PIXELS:
                raise Failure(
                    "the image is too large", received=f"{path}: {image.width} x {image.height}", expected=f"{MOST_PIXELS:,} pixels at most"
                )
            pixels = np.asarray(_of_bytes(image).convert(mode).resize((side, side), Image.Resampling.BILINEAR))
    except (Failure, FileNotFoundError, PermissionError, IsADirectoryError):
        raise
    except Exception as error:
        raise Failure(
            "cannot read an image",
            received=f"{path}: {type(error).__name__}: {error}",
            expected="a complete image file",
            hint="remove or replace the file",
        ) from error
    return ops.from_numpy(np.ascontiguousarray(pixels.reshape(side, side, -1).transpose(2, 0, 1)))


def _of_bytes(image: Any) -> Any:
    """An image of one byte a channel: Pillow's own conversion cuts deeper pixels off at 255, and warns of see-through palettes."""
    import numpy as np
    from PIL import Image

    if image.mode == "F":
        raise ValueError("its pixels are floating-point numbers, not 8 or 16 bits a channel")
    if image.mode.startswith("I"):
        deep = np.asarray(image)
        if deep.size and not 0 <= int(deep.min()) <= int(deep.max()) < 2**16:
            raise ValueError("its pixels have more than 16 bits a channel")
        return Image.fromarray((deep >> 8).astype(np.uint8))
    return image.convert("RGBA") if "transparency" in image.info else image


def from_folder(folder: str, side: int, workers: int) -> Pictures:
    """All images below FOLDER/CLASS/, decoded once; classes in alphabetical order."""
    root = Path(folder)
    if not root.is_dir():
        raise Failure("the data folder does not exist", received=str(root.resolve()), expected="a folder with one sub-folder a class")
    if not os.access(root, os.R_OK | os.X_OK):
        raise Failure("the data folder cannot be read", received=str(root.resolve()), hint="check its permissions")
    classes = sorted(p.name for p in root.iterdir() if p.is_dir() and not p.name.startswith("."))
    files = [(p, label) for label, name in enumerate(classes) for p in image_files(root / name)]
    found = {label for _, label in files}
    if len(found) < 2 or len(found) < len(classes):
        empty = [name for label, name in enumerate(classes) if label not in found]
        raise Failure(
            "the data folder does not hold images of at least two classes",
            received=f"{root.resolve()}: {len(classes)} sub-folders, {len(files)} images"
            + (f", none in {', '.join(empty[:5])}" if empty else ""),
            expected="FOLDER/CLASS/*.png (or jpg, bmp, gif, webp, tif)",
        )
    alone = [classes[label] for label, count in Counter(label for _, label in files).items() if count < 2]
    if alone:
        raise Failure("a class has a single image", received=", ".join(alone[:5]), expected="two or more: some are held out for testing")
    paths = [p for p, _ in files]
    mode = "L" if all(map(_is_gray, paths)) else "RGB"
    fits("the images", len(paths) * side * side * (1 if mode == "L" else 3))
    images = _decoded(paths, side, mode, workers)
    return Pictures(images, ops.tensor([label for _, label in files]), classes)


def _decoded(paths: list[Path], side: int, mode: str, workers: int) -> Tensor:
    from tqdm import tqdm

    batches = []
    with tqdm(total=len(paths), desc="reading images", unit="image", disable=None) as bar:
        try:
            for batch in DataLoader(_Files(paths, side, mode), batch_size=64, num_workers=workers):
                batches.append(batch)
                bar.update(len(batch))
        except Failure as error:  # from a worker: with its traceback as text, which is not for the user
            raise (error.__cause__ if isinstance(error.__cause__, Failure) else error) from None
    return ops.cat(batches, 0)


def image_files(folder: Path) -> list[Path]:
    """All image files below a folder, by name."""
    return sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())


def _is_gray(path: Path) -> bool:
    from PIL import Image

    try:
        with Image.open(path) as image:
            return image.mode in GRAY
    except Exception:
        return False  # reading it reports what is wrong


def fits(what: str, nbytes: int) -> None:
    """Refuse work that needs more than this machine's memory: the system would end the process without a word."""
    from ..runtime.host import memory

    if nbytes > memory():
        raise Failure(
            f"{what} would not fit into memory",
            received=f"about {nbytes / 2**30:,.1f} GiB",
            expected=f"at most {memory() / 2**30:,.1f} GiB",
            hint="a smaller --size, --batch-size or --width",
        )


def split(labels: Tensor, seed: int, share: float = 0.2) -> tuple[Tensor, Tensor]:
    """(training, test) indices, `share` of each class for testing; a function of labels and seed alone."""
    import random

    places: dict[int, list[int]] = {}
    for index, label in enumerate(labels.tolist()):
        places.setdefault(label, []).append(index)
    draw = random.Random(seed)
    train: list[int] = []
    test: list[int] = []
    for label in sorted(places):
        order = places[label]
        draw.shuffle(order)
        held = max(1, round(len(order) * share))
        test += order[:held]
        train += order[held:]
    return ops.tensor(sorted(train)), ops.tensor(sorted(test))


def to_input(images: Tensor, dtype: Any = float32) -> Tensor:
    """uint8 images as network input: 0 to 1."""
    return images.to(dtype) / 255


__all__ = ["Pictures", "digits", "fits", "from_folder", "image_files", "load", "read_image", "split", "to_input"]
