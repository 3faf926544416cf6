"""Modules on the meta device: the shapes, types and strides of results and gradients of a run with values, and no values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import facula
from facula import Tensor, nn, rand
from facula.nn.utils import parametrizations

CASES: list[tuple[str, Callable[[], nn.Module], Callable[[], tuple[Any, ...]]]] = [
    ("Linear", lambda: nn.Linear(4, 3), lambda: (rand(2, 4),)),
    ("Bilinear", lambda: nn.Bilinear(4, 3, 2), lambda: (rand(2, 4), rand(2, 3))),
    ("Conv1d", lambda: nn.Conv1d(2, 3, 3), lambda: (rand(2, 2, 8),)),
    ("Conv2d", lambda: nn.Conv2d(2, 4, 3, groups=2, padding=1, padding_mode="reflect"), lambda: (rand(2, 2, 8, 8),)),
    ("Conv3d", lambda: nn.Conv3d(2, 3, 3), lambda: (rand(1, 2, 5, 5, 5),)),
    ("ConvT2d", lambda: nn.ConvTranspose2d(2, 3, 3, stride=2), lambda: (rand(1, 2, 5, 5),)),
    ("BN", lambda: nn.BatchNorm2d(2), lambda: (rand(2, 2, 3, 3),)),
    ("IN", lambda: nn.InstanceNorm2d(2, affine=True, track_running_stats=True), lambda: (rand(2, 2, 3, 3),)),
    ("GN", lambda: nn.GroupNorm(2, 4), lambda: (rand(2, 4, 3),)),
    ("LN", lambda: nn.LayerNorm(4), lambda: (rand(2, 4),)),
    ("RMS", lambda: nn.RMSNorm(4), lambda: (rand(2, 4),)),
    ("LRN", lambda: nn.LocalResponseNorm(2), lambda: (rand(2, 4, 3, 3),)),
    ("RNN", lambda: nn.RNN(4, 3, 2, bidirectional=True), lambda: (rand(5, 2, 4),)),
    ("LSTM", lambda: nn.LSTM(4, 3, 2, batch_first=True, dropout=0.1), lambda: (rand(5, 2, 4),)),
    ("LSTMproj", lambda: nn.LSTM(4, 6, proj_size=3), lambda: (rand(5, 2, 4),)),
    ("GRU", lambda: nn.GRU(4, 3), lambda: (rand(5, 2, 4),)),
    ("LSTMCell", lambda: nn.LSTMCell(4, 3), lambda: (rand(2, 4),)),
    ("GRUCell", lambda: nn.GRUCell(4, 3), lambda: (rand(2, 4),)),
    ("RNNCell", lambda: nn.RNNCell(4, 3), lambda: (rand(2, 4),)),
    ("Emb", lambda: nn.Embedding(5, 3, padding_idx=0, max_norm=1.0), lambda: (facula.randint(5, (2, 3)),)),
    ("Emb2", lambda: nn.Embedding(5, 3), lambda: (facula.randint(5, (2, 3)),)),
    ("EmbBag", lambda: nn.EmbeddingBag(5, 3), lambda: (facula.randint(5, (2, 3)),)),
    ("EmbBagMax", lambda: nn.EmbeddingBag(5, 3, mode="max"), lambda: (facula.randint(5, (6,)), facula.tensor([0, 2]))),
    ("MHA", lambda: nn.MultiheadAttention(8, 2), lambda: (rand(5, 2, 8), rand(6, 2, 8), rand(6, 2, 8))),
    (
        "MHAb",
        lambda: nn.MultiheadAttention(8, 2, batch_first=True, add_bias_kv=True, add_zero_attn=True, kdim=4, vdim=4),
        lambda: (rand(5, 2, 8), rand(5, 6, 4), rand(5, 6, 4)),
    ),
    ("TrEnc", lambda: nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16), 2), lambda: (rand(5, 2, 8),)),
    (
        "TrEncEval",
        lambda: nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), 2).eval(),
        lambda: (rand(5, 2, 8),),
    ),
    ("TrDec", lambda: nn.TransformerDecoderLayer(8, 2, 16), lambda: (rand(5, 2, 8), rand(4, 2, 8))),
    ("Tr", lambda: nn.Transformer(8, 2, 1, 1, 16), lambda: (rand(5, 2, 8), rand(4, 2, 8))),
    ("mask", lambda: nn.Identity(), lambda: (nn.Transformer.generate_square_subsequent_mask(4),)),
    ("Drop", lambda: nn.Dropout2d(), lambda: (rand(2, 2, 3, 3),)),
    ("ADrop", lambda: nn.AlphaDropout(), lambda: (rand(2, 2),)),
    ("FADrop", lambda: nn.FeatureAlphaDropout(), lambda: (rand(2, 2, 3),)),
    ("MaxP", lambda: nn.MaxPool2d(2, return_indices=True), lambda: (rand(1, 2, 4, 4),)),
    ("AvgP", lambda: nn.AvgPool2d(2), lambda: (rand(1, 2, 4, 4),)),
    ("AAP", lambda: nn.AdaptiveAvgPool2d((2, None)), lambda: (rand(1, 2, 5, 4),)),
    ("AMP", lambda: nn.AdaptiveMaxPool2d(2), lambda: (rand(1, 2, 5, 4),)),
    ("LP", lambda: nn.LPPool2d(2, 2), lambda: (rand(1, 2, 4, 4),)),
    ("Frac", lambda: nn.FractionalMaxPool2d(2, output_size=2), lambda: (rand(1, 2, 5, 5),)),
    ("Unpool", lambda: nn.MaxUnpool2d(2), lambda: (rand(1, 2, 2, 2), facula.randint(16, (1, 2, 2, 2)))),
    ("Up", lambda: nn.Upsample(scale_factor=2, mode="bilinear"), lambda: (rand(1, 2, 3, 3),)),
    ("UpN", lambda: nn.Upsample(size=7), lambda: (rand(1, 2, 3),)),
    ("PS", lambda: nn.PixelShuffle(2), lambda: (rand(1, 4, 3, 3),)),
    ("Unfold", lambda: nn.Unfold(2), lambda: (rand(1, 2, 4, 4),)),
    ("Fold", lambda: nn.Fold((4, 4), 2), lambda: (rand(1, 8, 9),)),
    ("Pad", lambda: nn.ReflectionPad2d(1), lambda: (rand(1, 2, 4, 4),)),
    ("CPad", lambda: nn.CircularPad2d(1), lambda: (rand(1, 2, 4, 4),)),
    ("ZPad", lambda: nn.ZeroPad2d(1), lambda: (rand(1, 2, 4, 4),)),
    ("PReLU", lambda: nn.PReLU(), lambda: (rand(2, 3),)),
    ("RReLU", lambda: nn.RReLU(), lambda: (rand(2, 3),)),
    ("GLU", lambda: nn.GLU(), lambda: (rand(2, 4),)),
    ("Softmax", lambda: nn.Softmax(1), lambda: (rand(2, 4),)),
    ("CE", lambda: nn.CrossEntropyLoss(label_smoothing=0.1, weight=rand(4)), lambda: (rand(3, 4), facula.randint(4, (3,)))),
    ("CEprob", lambda: nn.CrossEntropyLoss(), lambda: (rand(3, 4), rand(3, 4))),
    ("NLL", lambda: nn.NLLLoss(), lambda: (rand(3, 4), facula.randint(4, (3,)))),
    ("NLL2", lambda: nn.NLLLoss(), lambda: (rand(3, 4, 2, 2), facula.randint(4, (3, 2, 2)))),
    ("BCE", lambda: nn.BCELoss(), lambda: (rand(3), rand(3))),
    ("BCEL", lambda: nn.BCEWithLogitsLoss(pos_weight=rand(3)), lambda: (rand(3), rand(3))),
    ("MSE", lambda: nn.MSELoss(), lambda: (rand(3), rand(3))),
    ("Huber", lambda: nn.HuberLoss(), lambda: (rand(3), rand(3))),
    ("KL", lambda: nn.KLDivLoss(reduction="batchmean"), lambda: (rand(3, 2), rand(3, 2))),
    ("Poi", lambda: nn.PoissonNLLLoss(full=True), lambda: (rand(3, 2), rand(3, 2))),
    ("Cos", lambda: nn.CosineEmbeddingLoss(), lambda: (rand(3, 2), rand(3, 2), facula.ones(3))),
    ("Trip", lambda: nn.TripletMarginLoss(swap=True), lambda: (rand(3, 2), rand(3, 2), rand(3, 2))),
    ("TripD", lambda: nn.TripletMarginWithDistanceLoss(), lambda: (rand(3, 2), rand(3, 2), rand(3, 2))),
    ("MM", lambda: nn.MultiMarginLoss(), lambda: (rand(3, 4), facula.randint(4, (3,)))),
    ("MLM", lambda: nn.MultiLabelMarginLoss(), lambda: (rand(3, 4), facula.randint(4, (3, 4)))),
    ("MLSM", lambda: nn.MultiLabelSoftMarginLoss(), lambda: (rand(3, 4), rand(3, 4))),
    ("Hinge", lambda: nn.HingeEmbeddingLoss(), lambda: (rand(3, 4), rand(3, 4))),
    ("PD", lambda: nn.PairwiseDistance(), lambda: (rand(3, 8), rand(3, 8))),
    ("CosS", lambda: nn.CosineSimilarity(), lambda: (rand(3, 8), rand(3, 8))),
    ("Flat", lambda: nn.Flatten(), lambda: (rand(3, 8, 2),)),
    ("Unfl", lambda: nn.Unflatten(1, (2, 4)), lambda: (rand(3, 8, 2),)),
    ("LazyL", lambda: nn.LazyLinear(4), lambda: (rand(3, 8),)),
    ("wn", lambda: parametrizations.weight_norm(nn.Linear(3, 4)), lambda: (rand(3, 3),)),
    ("sn", lambda: parametrizations.spectral_norm(nn.Linear(3, 4)), lambda: (rand(3, 3),)),
]


def tensors(value: Any) -> list[Tensor]:
    return [t for v in value for t in tensors(v)] if isinstance(value, (list, tuple)) else [value] if isinstance(value, Tensor) else []


def described(t: Tensor | None) -> Any:
    return t is not None and (tuple(t.shape), t.dtype, t.stride())


def run(make: Callable[[], nn.Module], inputs: Callable[[], tuple[Any, ...]], where: str) -> tuple[list[Any], set[str]]:
    """What results and gradients look like, and where they are, when everything is made there."""
    with facula.device(where):
        module, given = make(), [x.requires_grad_() if x.is_floating_point() else x for x in inputs()]
        results = tensors(module(*given))
        recorded = [t.sum() for t in results if t.requires_grad]
        if recorded:
            facula.autograd.backward(recorded)
    slopes = [leaf.grad for leaf in (*module.parameters(), *given)]
    return [described(t) for t in (*results, *slopes)], {t.device.type for t in (*results, *slopes) if t is not None}


@pytest.mark.filterwarnings("ignore:Lazy modules")
@pytest.mark.parametrize(("make", "inputs"), [row[1:] for row in CASES], ids=[row[0] for row in CASES])
def test_module(make: Callable[[], nn.Module], inputs: Callable[[], tuple[Any, ...]]) -> None:
    want, _ = run(make, inputs, "cpu")
    assert run(make, inputs, "meta") == (want, {"meta"})
