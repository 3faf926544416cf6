"""`predict`: classes of image files, or of the digits that training held out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .. import ops
from ..base import dtypes
from . import models, pictures
from .failure import Failure
from .training import probabilities_of, read_checkpoint


def predict(checkpoint: str, images: list[str], use_digits: bool) -> int:
    """The command; the exit code."""
    if not images and not use_digits:
        raise Failure("nothing to predict", expected="image files, or --digits", hint="python -m facula predict CHECKPOINT IMAGE...")
    state = read_checkpoint(Path(checkpoint))
    settings, shape = state["settings"], tuple(state["shape"])
    dtype = getattr(dtypes, settings["dtype"])
    model = models.build(settings["model"], shape, len(state["classes"]), settings["width"]).to(dtype)
    model.load_state_dict(state["model"])
    if images:
        _files(model, images, state, shape, dtype)
    if use_digits:
        _digits(model, state, shape, dtype)
    return 0


def _files(model: Any, images: list[str], state: dict[str, Any], shape: tuple[int, ...], dtype: Any) -> None:
    mode = "L" if shape[0] == 1 else "RGB"
    paths = [path for name in images for path in _paths(Path(name))]
    batch = ops.stack([_as_trained(pictures.read_image(path, shape[1], mode), state) for path in paths], 0)
    for name, row in zip(paths, probabilities_of(model, batch, dtype).tolist()):
        best = sorted(range(len(row)), key=lambda i: -row[i])[:3]
        print(f"{name}: " + ", ".join(f"{state['classes'][i]} {row[i]:.1%}" for i in best))


def _paths(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    found = pictures.image_files(path)
    if not found:
        raise Failure("the folder holds no images", received=str(path), expected="png, jpg, bmp, gif, webp, tif, ppm or pgm files")
    return found


def _as_trained(image: Any, state: dict[str, Any]) -> Any:
    """The digits are white on black; an image with a light border is turned round to match them."""
    if state["settings"]["data"] is not None:
        return image
    border = [image[:, 0], image[:, -1], image[:, :, 0], image[:, :, -1]]
    light = sum(float(part.to(dtypes.float32).mean()) for part in border) / 4 > 127
    return 255 - image if light else image


def _digits(model: Any, state: dict[str, Any], shape: tuple[int, ...], dtype: Any) -> None:
    if state["settings"]["data"] is not None:
        raise Failure(
            "the checkpoint was not trained on the digits", received=f"trained on {state['settings']['data']}", hint="give image files"
        )
    data = pictures.digits(shape[1])
    _, test = pictures.split(data.labels, state["settings"]["seed"])
    labels = data.labels[test].tolist()
    rows = probabilities_of(model, data.images[test], dtype).tolist()
    guesses = [max(range(len(row)), key=row.__getitem__) for row in rows]
    wrong = [i for i in range(len(labels)) if labels[i] != guesses[i]]
    print(f"{len(labels) - len(wrong)} of {len(labels)} held-out digits right: {1 - len(wrong) / len(labels):.2%}")
    for i in wrong:
        print(f"  image {int(test[i])}: a {labels[i]} taken for a {guesses[i]} ({rows[i][guesses[i]]:.0%})")


__all__ = ["predict"]
