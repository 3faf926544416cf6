"""Records what PyTorch's modules are: repr, names and initial values from a seed. Needs torch: `python tests/nn/record.py`."""

from __future__ import annotations

import json
from pathlib import Path

CONSTRUCTORS = [
    "Linear(3,4)",
    "Linear(3,4,bias=False)",
    "Bilinear(2,3,4)",
    "Conv1d(4,6,3,groups=2)",
    "Conv2d(3,5,3,padding='same')",
    "Conv3d(2,3,2)",
    "ConvTranspose1d(4,6,3,groups=2)",
    "ConvTranspose2d(3,5,3,output_padding=1,stride=2)",
    "ConvTranspose3d(2,3,2)",
    "BatchNorm1d(3)",
    "BatchNorm2d(3,affine=False)",
    "InstanceNorm2d(3,affine=True)",
    "LayerNorm((2,3))",
    "RMSNorm(4)",
    "GroupNorm(2,4)",
    "Embedding(5,3,padding_idx=2)",
    "EmbeddingBag(5,3,mode='sum')",
    "RNN(3,4,2,bidirectional=True)",
    "RNN(2,3,1,'relu',False)",
    "LSTM(3,4,2,proj_size=2,bidirectional=True)",
    "GRU(3,4,bias=False)",
    "RNNCell(2,3)",
    "LSTMCell(2,3)",
    "GRUCell(2,3)",
    "MultiheadAttention(8,2)",
    "MultiheadAttention(8,2,kdim=3,vdim=5,add_bias_kv=True)",
    "TransformerEncoderLayer(8,2,16)",
    "TransformerDecoderLayer(8,2,16,bias=False)",
    "Transformer(8,2,2,1,16)",
    "PReLU(3)",
    "AdaptiveLogSoftmaxWithLoss(64,20,[4,10])",
    "LinearCrossEntropyLoss(3,4)",
    "SyncBatchNorm(3)",
    "Unflatten(1,(2,3))",
    "Upsample(scale_factor=2)",
    "UpsamplingBilinear2d(size=3)",
    "MaxPool2d(2)",
    "MaxUnpool2d(2)",
    "AvgPool1d(2)",
    "AvgPool3d(2)",
    "LPPool2d(2,3)",
    "AdaptiveMaxPool2d((3,None))",
    "ZeroPad2d(1)",
    "ConstantPad1d(1,2.0)",
    "CircularPad3d(1)",
    "ReflectionPad2d((1,2,3,4))",
    "Softmax(1)",
    "Softmin()",
    "GELU()",
    "ReLU(inplace=True)",
    "RReLU()",
    "Hardtanh()",
    "ReLU6()",
    "Hardsigmoid(True)",
    "Hardswish(True)",
    "SiLU(True)",
    "CELU()",
    "ELU(2.0)",
    "SELU(True)",
    "GLU()",
    "Hardshrink()",
    "Softshrink()",
    "LeakyReLU()",
    "Softplus()",
    "Threshold(1,2)",
    "Dropout(0.2)",
    "AlphaDropout()",
    "CrossMapLRN2d(3)",
    "LocalResponseNorm(2)",
    "Fold(3,2)",
    "Unfold(2)",
    "PixelShuffle(2)",
    "PixelUnshuffle(2)",
    "ChannelShuffle(2)",
    "PairwiseDistance()",
    "CosineSimilarity()",
    "Flatten()",
    "Identity(3)",
    "CrossEntropyLoss()",
    "MSELoss()",
    "TripletMarginLoss()",
    "CTCLoss()",
    "LazyLinear(3)",
    "LazyConv2d(3,2)",
    "LazyBatchNorm1d()",
]


def arguments(call: str) -> tuple[str, tuple, dict]:
    """(name, positional, named) of a constructor written as above."""
    import ast

    node = ast.parse(call, mode="eval").body
    assert isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    return node.func.id, tuple(ast.literal_eval(a) for a in node.args), {k.arg: ast.literal_eval(k.value) for k in node.keywords if k.arg}


def main() -> None:
    import torch

    rows = {}
    for call in CONSTRUCTORS:
        name, args, kwargs = arguments(call)
        torch.manual_seed(3)
        module = getattr(torch.nn, name)(*args, **kwargs)
        lazy = name.startswith("Lazy")
        state = (
            {}
            if lazy
            else {k: [list(v.shape), [round(x, 6) for x in v.double().flatten().tolist()[:4]]] for k, v in module.state_dict().items()}
        )
        rows[call] = {"repr": repr(module), "state": state}
    text = ",\n".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in rows.items())
    Path(__file__).with_name("recorded.json").write_text("{\n" + text + "\n}\n")


if __name__ == "__main__":
    main()
