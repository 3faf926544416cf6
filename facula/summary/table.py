"""`summarize(model, input)`: one forward pass with hooks, and a table of what it saw."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from .. import ops
from ..base.dtypes import float32
from ..base.errors import refuse
from ..core import Tensor, no_grad
from ..nn import Module


@dataclass(frozen=True)
class Row:
    """One layer's call: where it stands in the model, what it gave, and what it cost. FLOPs for the whole batch, memory in bytes."""

    name: str
    kind: str
    shape: tuple[int, ...]
    parameters: int
    flops: int
    nbytes: int


@dataclass
class Summary:
    """Rows and totals; `str` of it is a plain text table."""

    model: str
    inputs: list[tuple[int, ...]]
    rows: list[Row] = field(default_factory=list)
    parameters: int = 0
    trainable: int = 0
    parameter_bytes: int = 0

    @property
    def flops(self) -> int:
        """Of one forward pass over the batch; a multiplication and an addition are two."""
        return sum(r.flops for r in self.rows)

    @property
    def activation_bytes(self) -> int:
        """All layers' outputs: about what training keeps for backward."""
        return sum(r.nbytes for r in self.rows)

    def __str__(self) -> str:
        head = ("layer", "kind", "output", "parameters", "FLOPs", "memory")
        body = [
            (r.name, r.kind, " x ".join(map(str, r.shape)), f"{r.parameters:,}", short(r.flops), short(r.nbytes, 1024, "B"))
            for r in self.rows
        ]
        widths = [max(len(line[i]) for line in [head, *body]) for i in range(len(head))]
        rule = "-" * (sum(widths) + 2 * len(widths) - 2)

        def line(cells: Sequence[str]) -> str:
            texts = [c.ljust(w) for c, w in zip(cells[:3], widths)] + [c.rjust(w) for c, w in zip(cells[3:], widths[3:])]
            return "  ".join(texts).rstrip()

        frozen = self.parameters - self.trainable
        totals = [
            f"{self.model} on {', '.join(' x '.join(map(str, s)) for s in self.inputs)}",
            f"parameters {self.parameters:,}" + (f" ({frozen:,} frozen)" if frozen else "") + f", {short(self.parameter_bytes, 1024, 'B')}",
            f"one forward pass {short(self.flops)}FLOP, activations {short(self.activation_bytes, 1024, 'B')}",
        ]
        return "\n".join([rule, line(head), rule, *map(line, body), rule, *totals, rule])


def summarize(model: Module, *inputs: Any, dtype: Any = None) -> Summary:
    """Run `model` once, without gradients and in evaluation mode, and tell what each layer did.

    An input is a tensor, or its shape as a tuple (then filled with zeros of `dtype`, float32 by default, on the model's device). Layers are
    modules without children; one that runs twice has two rows, its parameters in the first. The model is left as it was. On the meta device
    nothing is computed, and a model of any size takes no memory.
    """
    if not isinstance(model, Module):
        raise refuse(TypeError, f"summarize expects a Module, but got {type(model).__name__}", hint="summarize(model, (1, 3, 32, 32))")
    where = next((p.device for p in model.parameters()), None)
    values = [v if isinstance(v, Tensor) else ops.zeros(tuple(v), dtype=dtype or float32, device=where) for v in inputs]
    summary = Summary(type(model).__name__, [tuple(v.shape) for v in values if isinstance(v, Tensor)])
    for p in model.parameters():
        summary.parameters += p.numel()
        summary.trainable += p.numel() if p.requires_grad else 0
        summary.parameter_bytes += p.numel() * p.element_size()
    handles = [module.register_forward_hook(_watch(summary, name)) for name, module in _leaves(model)]
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with no_grad():
            model(*values)
    finally:
        for handle in handles:
            handle.remove()
        for module, training in modes:
            module.training = training
    return summary


def _leaves(model: Module) -> Iterator[tuple[str, Module]]:
    for name, module in model.named_modules():
        if next(module.children(), None) is None:
            yield name or type(module).__name__, module


def _watch(summary: Summary, name: str) -> Any:
    def hook(module: Module, args: Any, output: Any) -> None:
        out = next(_tensors(output), None)
        shape = tuple(out.shape) if out is not None else ()
        seen = any(r.name == name for r in summary.rows)
        count = 0 if seen else sum(p.numel() for p in module.parameters(recurse=False))
        nbytes = sum(t.numel() * t.element_size() for t in _tensors(output))
        summary.rows.append(Row(name, type(module).__name__, shape, count, flops_of(module, args, out), nbytes))

    return hook


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _tensors(item)


def flops_of(module: Module, args: Any, out: Tensor | None) -> int:
    """FLOPs of one call: exact for products (convolution, linear, recurrent), one for each output element otherwise, 0 for views."""
    if out is None:
        return 0
    kind = type(module).__name__
    if kind.startswith("ConvTranspose"):
        first = next(_tensors(args))
        return 2 * first.numel() * module.weight[0].numel()
    if kind.startswith("Conv"):
        return 2 * out.numel() * module.weight[0].numel()
    if kind == "Linear":
        return 2 * out.numel() * module.in_features
    if kind in ("LSTM", "GRU", "RNN"):
        first = next(_tensors(args))
        steps = first.numel() // first.shape[-1]
        return 2 * steps * sum(p.numel() for n, p in module.named_parameters() if n.startswith("weight"))
    if kind in ("Identity", "Flatten", "Unflatten", "Dropout", "Embedding"):
        return 0
    return out.numel()


def short(value: float, base: int = 1000, unit: str = "") -> str:
    """A number in at most four digits and a prefix: 1,234,567 -> 1.23 M."""
    prefixes = ("", "k", "M", "G", "T", "P")
    place = 0
    while value >= base and place < len(prefixes) - 1:
        value /= base
        place += 1
    text = f"{value:.0f}" if place == 0 or value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"
    return f"{text} {prefixes[place]}{unit}".rstrip() if prefixes[place] or unit else text


__all__ = ["Row", "Summary", "summarize"]
