"""`backward` and `grad`: PyTorch's front doors of the engine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import facula.autograd.engine as engine

from ..base.errors import refuse, warn
from ..core import objects, tape
from ..core.batching import Level, enter, leave
from ..core.tensor import Tensor
from ..core.views import refresh
from ..spec.registry import ops
from .graph import GradientEdge


def _root(t: Any) -> tuple[Any, int]:
    """Where a gradient of `t` arrives: a node and the number of its result, or a leaf and -1."""
    if isinstance(t, GradientEdge):
        return (t.node.variable, -1) if isinstance(t.node, tape.AccumulateGrad) else (t.node, t.output_nr)
    if not isinstance(t, Tensor):
        sentence = f"all inputs have to be Tensors or GradientEdges, but got {type(t).__name__}"
        raise refuse(RuntimeError, sentence, received=f"inputs: {t!r:.60}", expected="Tensor")
    refresh(t)
    return (t._node, t._output_nr) if t._node is not None else (t, -1)


def _seeds(tensors: Sequence[Any], grads: Sequence[Any], create_graph: bool) -> list[tuple[Any, int, Any]]:
    seeds = []
    for i, (t, g) in enumerate(zip(tensors, grads)):
        if isinstance(t, GradientEdge):
            lay = t.node.variable._layout if isinstance(t.node, tape.AccumulateGrad) else t.node.rule.outputs[t.output_nr]
            if g is None and lay.numel != 1:
                raise refuse(
                    RuntimeError,
                    "grad can be implicitly created only for scalar outputs",
                    received="an edge",
                    expected="a gradient argument",
                )
            seeds.append((*_root(t), ops.ones(lay.shape, dtype=lay.dtype) if g is None else g))
            continue
        if not isinstance(t, Tensor):
            raise refuse(TypeError, f"expected Tensor as element {i} of the differentiated tensors, but got {type(t).__name__}",
                         received=f"{t!r:.60}", expected="Tensor")  # fmt: skip
        if not t.requires_grad:
            raise refuse(
                RuntimeError,
                f"element {i} of tensors does not require grad and does not have a grad_fn",
                received=f"a tensor of shape {tuple(t.shape)} with no history",
                expected="the result of a computation with requires_grad=True tensors",
                hint="was it computed under no_grad(), detached, or made from integers?",
            )
        if g is None:
            if t._layout.numel != 1:
                raise refuse(
                    RuntimeError,
                    "grad can be implicitly created only for scalar outputs",
                    received=f"shape {tuple(t.shape)}",
                    expected="one element, or a gradient argument",
                    hint="loss.sum().backward()",
                )
            if not t.dtype.is_floating_point:
                raise RuntimeError(f"grad can be implicitly created only for real scalar outputs but got {t.dtype}")
            g = ops.ones_like(t)
        else:
            if not isinstance(g, Tensor):
                raise TypeError(f"gradients can be either Tensors or None, but got {type(g).__name__}")
            if tuple(g.shape) != tuple(t.shape):
                raise RuntimeError(
                    f"Mismatch in shape: grad_output[{i}] has a shape of {g.shape} and output[{i}] has a shape of {t.shape}."
                )
            if g.device is not t.device:
                raise RuntimeError(f"invalid gradient at index {i} - expected device {t.device} but got {g.device}")
            if g.dtype.is_complex and not t.dtype.is_complex:
                raise RuntimeError(
                    f"For complex Tensors, both grad_output and output are required to have the same dtype. Mismatch in dtype: grad_output[{i}] has a dtype of {g.dtype} and output[{i}] has a dtype of {t.dtype}."
                )
        seeds.append((*_root(t), g if g.dtype is t.dtype else g.to(t.dtype)))
    return seeds


def _list(x: Any) -> list[Any]:
    return list(x) if isinstance(x, (tuple, list)) and not isinstance(x, GradientEdge) else [x]


def backward(
    tensors: Any,
    grad_tensors: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    grad_variables: Any = None,
    inputs: Any = None,
) -> None:
    """Adds the gradient of `tensors` (weighted by `grad_tensors`) to `.grad` of the leaves, or of `inputs` only."""
    if grad_variables is not None:
        warn("`grad_variables` is deprecated. Use `grad_tensors` instead.", FutureWarning)
        if grad_tensors is not None:
            raise refuse(
                RuntimeError,
                "`grad_tensors` and `grad_variables` (deprecated) arguments both passed to `backward()`. Please only use `grad_tensors`.",
            )
        grad_tensors = grad_variables
    if retain_graph is not None and not hasattr(retain_graph, "__index__"):
        sentence = f"'{type(retain_graph).__name__}' object cannot be interpreted as an integer"
        raise refuse(TypeError, sentence, received=f"retain_graph={retain_graph!r:.60}", expected="True or False")
    ts = _list(tensors)
    gs = [None] * len(ts) if grad_tensors is None else _list(grad_tensors)
    if len(gs) != len(ts):
        raise RuntimeError(f"got {len(ts)} tensors and {len(gs)} gradients")
    retain = create_graph if retain_graph is None else retain_graph
    if inputs is None:
        engine.run(_seeds(ts, gs, create_graph), retain, create_graph)
        return
    wanted = _list(inputs)
    if not wanted:
        raise RuntimeError("`inputs` argument to `backward()` cannot be empty.")
    keys = [_root(t) for t in wanted]
    found = engine.run(_seeds(ts, gs, create_graph), retain, create_graph, keys)
    for t, key in zip(wanted, keys):
        if isinstance(t, Tensor) and key[1] >= 0 and key in found and found[key] is not None:  # a result of a node: kept as PyTorch does
            t._grad = found[key] if t._grad is None else t._grad + found[key]


def _many(gs: list[Any], run: Any) -> tuple[Any, ...]:
    """One backward pass for gradients that have one more dim in front."""
    level = Level(gs[0].shape[0], "error")
    got = run([None if g is None else enter(g, level.number, 0) for g in gs])
    return tuple(None if r is None else leave(r, level.number, 0, level.size) for r in got)


def grad(
    outputs: Any, inputs: Any, grad_outputs: Any = None, retain_graph: bool | None = None, create_graph: bool = False, only_inputs: bool = True,
    allow_unused: bool | None = None, is_grads_batched: bool = False, materialize_grads: bool = False,
) -> tuple[Any, ...]:  # fmt: skip
    """Gradients of `outputs` with respect to `inputs`; `.grad` stays as it is."""
    if not only_inputs:
        warn(
            "only_inputs argument is deprecated and is ignored now (defaults to True). To accumulate gradient for other parts of the graph, "
            "please use torch.autograd.backward.",
            FutureWarning,
        )
    ts, wanted = _list(outputs), _list(inputs)
    gs = [None] * len(ts) if grad_outputs is None else _list(grad_outputs)
    if materialize_grads and allow_unused is False:
        raise ValueError("Expected allow_unused to be True or not passed when materialize_grads=True, but got: allow_unused=False.")
    allow_unused = materialize_grads if allow_unused is None else allow_unused
    retain = create_graph if retain_graph is None else retain_graph
    if is_grads_batched:
        return _many(gs, lambda seeds: grad(ts, wanted, seeds, True, create_graph, only_inputs, allow_unused))
    if not wanted:
        raise refuse(RuntimeError, "`inputs` argument to `grad()` cannot be empty.", received=f"inputs={inputs!r:.60}")
    for i, t in enumerate(wanted):
        if isinstance(t, GradientEdge):
            continue
        if not isinstance(t, Tensor):
            sentence = f"all inputs have to be Tensors or GradientEdges, but got {type(t).__name__}"
            raise refuse(RuntimeError, sentence, received=f"inputs[{i}]={t!r:.60}", expected="Tensor")
        if not t.requires_grad:
            raise refuse(
                RuntimeError,
                "One of the differentiated Tensors does not require grad",
                received=f"inputs[{i}] of shape {tuple(t.shape)}",
                hint="x.requires_grad_()",
            )
    keys = [_root(t) for t in wanted]
    found = engine.run(_seeds(ts, gs, create_graph), retain, create_graph, keys, accumulate=False)
    result = []
    for i, (t, key) in enumerate(zip(wanted, keys)):
        g = found.get(key)
        if g is None:
            if not allow_unused:
                raise refuse(
                    RuntimeError,
                    f"The differentiated Tensor at index {i} appears to not have been used in the graph. Set allow_unused=True if this is the desired behavior.",
                    received=f"{'an edge' if isinstance(t, GradientEdge) else f'an input of shape {tuple(t.shape)}'} that no output depends on",
                )
            if materialize_grads and isinstance(t, Tensor):
                g = ops.zeros_like(t)
        result.append(g)
    return tuple(result)


def _tensor_backward(
    self: Any, gradient: Any = None, retain_graph: bool | None = None, create_graph: bool = False, inputs: Any = None
) -> None:
    """The gradient of this tensor is added to `.grad` of the leaves it came from."""
    backward(self, gradient, retain_graph, create_graph, inputs=inputs)


objects.Tensor.backward = _tensor_backward
