"""The command line: training end to end, resuming to the same bits, prediction, and one line for every mistake."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from facula import ops
from facula.cli.commands import main
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
    import facula.cli.training as training

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


def damaged(folder: Path) -> None:
    (folder / CHECKPOINT).write_bytes(b"PK\3\4" + bytes(100))


@pytest.mark.parametrize(
    ("arguments", "prepare", "words"),
    [
        (["train", "--data", "{tmp}/none"], None, "the data folder does not exist"),
        (["train", "--data", "{tmp}"], one_class, "does not hold images of at least two classes"),
        (["train", "--data", "{tmp}"], bad_image, "cannot read an image"),
        (["train", "--data", "{tmp}", "--workers", "1"], bad_image, "cannot read an image (received: "),
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


@pytest.mark.parametrize("arguments", [[], ["fly"], ["train", "--epochs", "0"], ["train", "--lr", "-1"], ["train", "--model", "gpt"]])
def test_options_are_checked(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2 and "usage" in capsys.readouterr().err


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
