"""The commands and their options; errors become one line and an exit code."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from .failure import Failure, code_of, line_of


def parser() -> argparse.ArgumentParser:
    """All commands with their options."""
    top = argparse.ArgumentParser(
        prog="python -m facula", description="Train image classifiers, use them, and see what this installation is."
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="{train,predict,info}")
    _add_train(commands)
    _add_predict(commands)
    info = commands.add_parser("info", help="versions, processor, threads, kernel cache")
    _add_debug(info)
    return top


def _add_debug(command: argparse.ArgumentParser) -> None:
    command.add_argument("--debug", action="store_true", help="show the traceback of an error")


class _Help(argparse.HelpFormatter):
    """Defaults after the help of options that have one; a switch and an option that may be left out say it themselves."""

    def _get_help_string(self, action: argparse.Action) -> str:
        text = action.help or ""
        bare = action.default is None or action.default is False or action.default == argparse.SUPPRESS
        return text if bare else f"{text} (default: %(default)s)".lstrip()


def _count(text: str) -> int:
    return _whole(text, 1)


def _not_negative(text: str) -> int:
    return _whole(text, 0)


def _whole(text: str, least: int) -> int:
    try:
        value = int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be a whole number, not {text!r}") from None
    if not least <= value < 2**32:
        raise argparse.ArgumentTypeError(f"must be between {least} and {2**32 - 1}, not {value}")
    return value


def _rate(text: str) -> float:
    value = _decay(text)
    if value == 0:
        raise argparse.ArgumentTypeError(f"must be a positive number, not {text}")
    return value


def _decay(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be a number, not {text!r}") from None
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"must be a positive number or 0, not {text}")
    return value


def _add_train(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    train = commands.add_parser(
        "train",
        help="train a classifier",
        description="Train an image classifier: by default on the handwritten digits that scikit-learn ships, or on a folder of images with "
        "one sub-folder a class. Writes OUT/checkpoint.pt after every epoch and OUT/report.png at the end.",
        formatter_class=_Help,
    )
    train.add_argument("--data", metavar="FOLDER", help="images in one sub-folder a class; without it, the digits")
    train.add_argument("--size", type=_count, default=None, help="side in pixels that images are resized to (default: 8 for digits, 32)")
    train.add_argument(
        "--model", choices=("cnn", "mlp", "resnet"), default="cnn", help="convolutions, one hidden layer, or residual blocks"
    )
    train.add_argument("--width", type=_count, default=32, help="channels of the first layer")
    train.add_argument("--epochs", type=_count, default=15, help="passes over the training images")
    train.add_argument("--batch-size", type=_count, default=64, help="images a step")
    train.add_argument("--lr", type=_rate, default=5e-3, help="highest learning rate (AdamW, one cycle)")
    train.add_argument("--weight-decay", type=_decay, default=0.02, help="of AdamW")
    train.add_argument("--seed", type=_not_negative, default=0, help="split, initial weights, order and augmentation follow from it")
    train.add_argument("--device", default="cpu", help="where to compute; only cpu exists so far")
    train.add_argument("--dtype", choices=("float32", "float64", "bfloat16"), default="float32", help="element type of weights and images")
    train.add_argument("--compile", action="store_true", help="record the training step and replay it")
    train.add_argument("--workers", type=_not_negative, default=0, help="processes that prepare batches")
    train.add_argument("--threads", type=_count, default=None, help="compute threads (default: all cores)")
    train.add_argument("--out", metavar="DIR", default="runs/train", help="where the checkpoint and the report go")
    train.add_argument("--resume", action="store_true", help="go on from OUT/checkpoint.pt")
    _add_debug(train)


def _add_predict(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    predict = commands.add_parser("predict", help="classify images with a checkpoint of train")
    predict.add_argument("checkpoint", metavar="CHECKPOINT", help="file that train wrote")
    predict.add_argument("images", metavar="IMAGE", nargs="*", help="image files, and folders of them")
    predict.add_argument("--digits", action="store_true", help="classify the digits that training held out, and print the accuracy")
    predict.add_argument("--threads", type=_count, default=None, help="compute threads (default: all cores)")
    _add_debug(predict)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit code."""
    options = parser().parse_args(argv)
    try:
        return _run(options)
    except KeyboardInterrupt:
        if options.debug:
            raise
        print("\ninterrupted", file=sys.stderr)
        return 1
    except BrokenPipeError:
        return 1
    except Exception as error:
        if options.debug:
            raise
        print(f"facula: error: {line_of(error)}", file=sys.stderr)
        return code_of(error)


def _run(options: argparse.Namespace) -> int:
    if options.command == "info":
        from .info import info

        print(info())
        return 0
    if getattr(options, "threads", None):
        from ..runtime.native import set_num_threads

        set_num_threads(options.threads)
    if options.command == "predict":
        from .predict import predict

        return predict(options.checkpoint, options.images, options.digits)
    if options.device != "cpu":
        raise Failure(f"device {options.device!r} is not available", received=f"--device {options.device}", expected="--device cpu")
    from .training import Settings, train

    names = Settings.__dataclass_fields__
    return train(Settings(**{name: value for name, value in vars(options).items() if name in names}))
