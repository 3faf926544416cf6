"""The command line: training end to end, resuming to the same bits, prediction, and one line for every mistake."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import facula.cli.training as training
from facula import ops
from facula.cli.commands import main
from facula.cli.pictures import read_image
from facula.cli.training import CHECKPOINT, REPORT
from facula.io import load

Image = pytest.importorskip("PIL.Image")
pytest.importorskip("sklearn")
pytest.importorskip("matplotlib")
pytest.importorskip("tqdm")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes that differ in brightness, 10 images of 12 x 10 pixels each."""
    root = tmp_path_factory.mktemp("images")
    draw = np.random.default_rng(0)
    for name, base in (("bright", 160), ("dark", 20)):
        (root / name).mkdir()
        for i in range(10):
            Image.fromarray(draw.integers(base, base + 60, (10, 12, 3)).astype(np.uint8)).save(root / name / f"{i}.png")
    return root


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    code = main([str(a) for a in arguments])
    out = capsys.readouterr()
    return code, out.out, out.err


def test_train_and_predict_a_folder(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(
        capsys,
        "train",
        "--data",
        folder,
        "--size",
        8,
        "--epochs",
        12,
        "--width",
        8,
        "--batch-size",
        4,
        "--out",
        tmp_path / "run",
        "--workers",
        1,
    )
    assert code == 0 and "Conv2d" in out and "test accuracy 100.00%" in out
    assert (tmp_path / "run" / REPORT).read_bytes()[:4] == b"\x89PNG"
    assert sorted(os.listdir(tmp_path / "run")) == [CHECKPOINT, REPORT]
    code, out, _ = run(capsys, "predict", tmp_path / "run" / CHECKPOINT, folder / "dark" / "0.png", folder / "bright" / "1.png")
    assert code == 0 and out.splitlines()[0].split(": ")[1].startswith("dark") and out.splitlines()[1].split(": ")[1].startswith("bright")


def test_a_resumed_run_gives_the_same_bits(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["train", "--data", folder, "--size", 8, "--width", 4, "--batch-size", 8, "--epochs", 3]
    assert run(capsys, *options, "--out", tmp_path / "a")[0] == 0
    whole = training._epochs

    def stopped(job, path):
        job.settings = training.Settings(**{**job.settings.__dict__, "epochs": 2})
        whole(job, path)
        job.settings = training.Settings(**{**job.settings.__dict__, "epochs": 3})
        training.save(job.state(), path)
        raise KeyboardInterrupt

    training._epochs = stopped
    try:
        code, _, err = run(capsys, *options, "--out", tmp_path / "b")
    finally:
        training._epochs = whole
    assert code == 1 and "interrupted: the checkpoint of epoch 2" in err
    assert run(capsys, *options, "--out", tmp_path / "b", "--resume")[0] == 0
    a, b = load(tmp_path / "a" / CHECKPOINT), load(tmp_path / "b" / CHECKPOINT)
    assert a["history"] == b["history"] and all(ops.equal(a["model"][k], b["model"][k]) for k in a["model"])


@pytest.mark.parametrize("model", ["mlp", "resnet"])
def test_other_models_train_on_digits(model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "train", "--model", model, "--width", 8, "--epochs", 1, "--out", tmp_path)
    assert code == 0 and "1438 training and 359 test images" in out
    code, out, _ = run(capsys, "predict", tmp_path / CHECKPOINT, "--digits")
    assert code == 0 and "held-out digits right" in out


def test_a_recorded_step_trains_alike(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["train", "--data", folder, "--size", 8, "--width", 4, "--batch-size", 8, "--epochs", 2]
    assert run(capsys, *options, "--out", tmp_path / "a")[0] == 0
    assert run(capsys, *options, "--out", tmp_path / "b", "--compile")[0] == 0
    a, b = (load(tmp_path / name / CHECKPOINT)["history"] for name in "ab")
    assert a["train_loss"] == pytest.approx(b["train_loss"], rel=1e-4) and a["test_loss"] == pytest.approx(b["test_loss"], rel=1e-3)


@pytest.mark.slow
def test_digits_reach_the_promised_accuracy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "train", "--out", tmp_path)[0] == 0
    assert load(tmp_path / CHECKPOINT)["history"]["test_accuracy"][-1] >= 0.985


def test_info(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "info")
    assert code == 0 and "target" in out and "threads" in out and "numpy" in out


def bad_image(folder: Path) -> None:
    (folder / "a").mkdir()
    (folder / "b").mkdir()
    for place in ("a/1", "a/2", "b/1", "b/2"):
        (folder / f"{place}.png").write_bytes(b"no image")


def one_class(folder: Path) -> None:
    (folder / "a").mkdir()


def one_image(folder: Path) -> None:
    for name, count in (("many", 2), ("alone", 1)):
        (folder / name).mkdir()
        for i in range(count):
            Image.new("L", (4, 4)).save(folder / name / f"{i}.png")


def floats(folder: Path) -> None:
    for name in ("a", "b"):
        (folder / name).mkdir()
        for i in range(2):
            Image.new("F", (4, 4)).save(folder / name / f"{i}.tif")


def damaged(folder: Path) -> None:
    (folder / CHECKPOINT).write_bytes(b"PK\3\4" + bytes(100))


@pytest.mark.parametrize(
    ("arguments", "prepare", "words"),
    [
        (["train", "--data", "{tmp}/none"], None, "the data folder does not exist"),
        (["train", "--data", "{tmp}"], one_class, "does not hold images of at least two classes"),
        (["train", "--data", "{tmp}"], bad_image, "cannot read an image"),
        (["train", "--data", "{tmp}", "--workers", "1"], bad_image, "cannot read an image (received: "),
        (["train", "--data", "{tmp}"], one_image, "a class has a single image (received: alone;"),
        (["train", "--data", "{tmp}"], floats, "its pixels are floating-point numbers"),
        (["train", "--size", "100000"], None, "the images would not fit into memory (received: about 33,4"),
        (["train", "--model", "mlp", "--width", "100000000", "--out", "{tmp}"], None, "training would not fit into memory"),
        (["train", "--device", "cuda"], None, "device 'cuda' is not available"),
        (["train", "--out", "/dev/null/x", "--epochs", "1"], None, "the output folder cannot be made"),
        (["train", "--resume", "--out", "{tmp}"], None, "No such file"),
        (["train", "--resume", "--out", "{tmp}"], damaged, "failed finding central directory"),
        (["predict", "{tmp}/checkpoint.pt", "--digits"], damaged, "failed finding central directory"),
        (["predict", "{tmp}/none.pt", "--digits"], None, "No such file"),
        (["predict", "{tmp}/none.pt"], None, "nothing to predict"),
    ],
)
def test_mistakes_are_one_line(arguments, prepare, words, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if prepare is not None:
        prepare(tmp_path)
    code, _, err = run(capsys, *[a.format(tmp=tmp_path) for a in arguments])
    last = err.strip().splitlines()[-1]
    assert code == 2 and last.startswith("facula: error: ") and words in last and "Traceback" not in err


def test_a_checkpoint_of_other_settings_is_not_resumed(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["train", "--data", folder, "--size", 8, "--width", 4, "--epochs", 1, "--out", tmp_path]
    assert run(capsys, *options)[0] == 0
    code, _, err = run(capsys, *options, "--resume", "--lr", 0.5)
    assert code == 2 and "other settings" in err and "lr=0.005, now 0.5" in err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "the following arguments are required"),
        (["fly"], "invalid choice: 'fly'"),
        (["train", "--epochs", "0"], "must be between 1 and"),
        (["train", "--epochs", "1.5"], "must be a whole number, not '1.5'"),
        (["train", "--seed", str(2**70)], "must be between 0 and"),
        (["train", "--lr", "-1"], "must be a positive number"),
        (["train", "--lr", "fast"], "must be a number, not 'fast'"),
        (["train", "--weight-decay", "-1"], "must be a positive number or 0, not -1"),
        (["train", "--model", "gpt"], "invalid choice: 'gpt'"),
    ],
)
def test_options_are_checked(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    err = capsys.readouterr().err
    assert caught.value.code == 2 and "usage" in err and words in err


def test_help_tells_the_defaults_once(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["train", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert caught.value.code == 0 and "None" not in text and "False" not in text
    assert "images a step (default: 64)" in text and "follow from it (default: 0)" in text and "(default: 8 for digits, 32) --" in text


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGB", "RGBA", "CMYK", "1", "I", "I;16"])
def test_images_of_every_mode_keep_their_brightness(mode: str, tmp_path: Path) -> None:
    for name, level in (("dark", 20), ("light", 250)):
        deep = np.full((5, 6), level * 257)
        plain = Image.new("RGB", (6, 5), (level,) * 3)
        if mode.startswith("I"):
            image = Image.fromarray(deep.astype(np.uint16 if mode == "I;16" else np.int32))
        elif mode == "1":
            image = Image.new("1", (6, 5), level > 127)
        else:
            image = plain.quantize(2) if mode == "P" else plain.convert(mode)
        path = tmp_path / f"{name}.tif"
        image.save(path)
        wanted = 255 * (level > 127) if mode == "1" else level
        assert {tuple(read_image(path, 4, m).unique().tolist()) for m in ("L", "RGB")} == {(wanted,)}


def test_a_palette_that_can_be_seen_through_is_read_without_a_warning(tmp_path: Path) -> None:
    Image.new("RGB", (4, 4), (9, 9, 9)).quantize(2).save(tmp_path / "a.png", transparency=bytes([128, 128]))
    assert read_image(tmp_path / "a.png", 4, "RGB").unique().tolist() == [9]


def test_a_folder_is_predicted_and_any_name_is_shown(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    classes = {"dark": r"$\frac$", "bright": "漢 $x$"}
    for name, new in classes.items():
        shutil.copytree(folder / name, tmp_path / "images" / new)
    Image.new("L", (8, 8)).save(tmp_path / "images" / classes["dark"] / "-gray.png")  # sorts first
    options = ["--size", 8, "--width", 4, "--batch-size", 8, "--epochs", 1, "--out", tmp_path / "run"]
    code, out, err = run(capsys, "train", "--data", tmp_path / "images", *options)
    assert code == 0 and "3 x 8 x 8, 2 classes" in out and "Warning" not in err
    code, out, _ = run(capsys, "predict", tmp_path / "run" / CHECKPOINT, tmp_path / "images")
    assert code == 0 and len(out.splitlines()) == 21 and all(str(tmp_path / "images") in line for line in out.splitlines())
    (tmp_path / "none").mkdir()
    code, _, err = run(capsys, "predict", tmp_path / "run" / CHECKPOINT, tmp_path / "none")
    assert code == 2 and "the folder holds no images" in err


def test_packages_that_are_missing_are_named_before_work_begins(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(training, "find_spec", lambda name: None if name == "matplotlib" else name)
    code, out, err = run(capsys, "train", "--out", tmp_path)
    assert code == 2 and not out and "training needs packages that are not installed (received: no matplotlib; hint: pip install" in err


def test_ctrl_c_keeps_the_last_checkpoint(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "facula", "train", "--epochs", "1000", "--width", "4", "--out", str(tmp_path)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert child.stdout is not None
    for line in child.stdout:
        if line.startswith("epoch   2"):
            break
    child.send_signal(signal.SIGINT)
    _, err = child.communicate(timeout=60)
    assert child.returncode == 1 and "interrupted: the checkpoint of epoch" in err and "Traceback" not in err
    assert load(tmp_path / CHECKPOINT)["epoch"] >= 2
