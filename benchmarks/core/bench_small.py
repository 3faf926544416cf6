"""What common small calls cost beside PyTorch's, in one run: tensors made of numbers and data, indexing, views, joins, modules, steps.

    python -m benchmarks.core.bench_small [--reference PYTHON_WITH_TORCH] [--rounds 3] [--only WORD]

Each library runs in a process of its own, in turn; the figure is processor time, the minimum over rounds. Nothing here touches memory worth
counting: what is left is the way to the kernels. Lines are sorted by ratio, the slowest beside PyTorch first.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys

PROGRAM = """
import importlib, json, sys, time
t = importlib.import_module(sys.argv[1])
nn = importlib.import_module(sys.argv[1] + ".nn")
F = importlib.import_module(sys.argv[1] + ".nn.functional")
collate = importlib.import_module(sys.argv[1] + ".utils.data").default_collate
x, y, v = t.randn(10, 10), t.randn(3), t.randn(10)
one, half, labels, rows = t.tensor(2.0), x.half(), t.arange(10), t.tensor([1, 3, 5])
mask, wide = x > 0, t.randn(10, 10, requires_grad=True)
weight, bias, table = t.randn(5, 10, requires_grad=True), t.randn(5), t.randn(20, 4, requires_grad=True)
linear, norm, drop, conv = nn.Linear(10, 5), nn.LayerNorm(10), nn.Dropout(), nn.Conv1d(10, 4, 3)
stacked = nn.Sequential(nn.Linear(10, 10), nn.ReLU(), nn.Linear(10, 5))
sgd = t.optim.SGD(stacked.parameters(), lr=0.1)
image = t.randn(1, 10, 12)
items = [(t.randn(4), 1) for _ in range(8)]
def graph():
    loss = F.linear(x, weight).sum()
    loss.backward()
    weight.grad = None
def step():
    sgd.zero_grad()
    F.cross_entropy(stacked(x), labels % 5).backward()
    sgd.step()
scope = dict(globals())
n, only = int(sys.argv[2]), sys.argv[3]
codes = [c for c in sys.argv[4].split("|") if only in c]
out = {}
for code in codes:
    many = n // 20 if "()" in code and code[:4] in ("grap", "step", "coll") else n
    loop = compile("for _ in range(many):\\n    " + code, "loop", "exec")
    names = dict(scope, many=many)
    exec(loop, dict(names, many=max(4, many // 10)))
    best = 9e9
    for _ in range(3):
        start = time.process_time()
        exec(loop, names)
        best = min(best, time.process_time() - start)
    out[code] = best / many * 1e6
print(json.dumps(out))
"""

CASES = """
t.tensor(1.0)|t.tensor([1.0, 2.0])|t.tensor([1, 2, 3])|t.tensor([[1.0, 2.0], [3.0, 4.0]])|t.as_tensor(1.0)|t.zeros(3, 3)|t.ones((3, 3))
t.empty(3, 3)|t.full((3,), 0.5)|t.arange(10)|t.linspace(0, 1, 5)|t.eye(3)|t.zeros_like(x)|t.ones_like(x)|t.empty_like(x)|t.full_like(x, 2.0)
x.new_zeros(3)|t.rand(3, 3)|t.randn(3, 3)|t.randint(0, 9, (3,))|t.randperm(10)|t.randn_like(x)|x.normal_()|x.uniform_()|x.bernoulli_(0.5)
x.zero_()|x.fill_(1.0)|x.fill_(one)|x.clamp_(0, 1)|x.copy_(v)|x.mul_(1.0)
x[0]|x[-1]|x[2:5, 1:3]|x[:, 0]|x[..., 0]|x[None]|x[0, 1]|x[rows]|x[:, rows]|x[rows, 0]|x[[1, 3]]|x[mask]|x[x > 0]|v[v > 0]|x[0, 1].item()
x[0] = 1.0|x[0, 1] = y[0]|x[2:5, 1:4] = 0|x[rows] = 1.0|x[mask] = 0.0|x[:, 1] = v|x[0] = v
x.view(100)|x.reshape(5, 20)|x.reshape(5, 20).transpose(0, 1)|x.t()|x.T|x.permute(1, 0)|x.flatten()|x.unsqueeze(0)|x.squeeze()|x.expand(2, 10, 10)
x.narrow(0, 0, 2)|x.contiguous()|x.t().contiguous()|x.detach()|x.clone()|x.chunk(2)|x.split(3)|x.unbind(0)|x.movedim(0, 1)|x.repeat(2, 1)|x.diagonal()
t.cat([x, x])|t.cat((x, image[0, :, :10]))|t.stack([x, x])|t.stack([v, v, v], 1)|t.where(mask, x, 0.0)|x.masked_fill(mask, 0.0)|t.einsum("ij,jk->ik", x, x)
x.to(t.float64)|x.to(t.float32)|x.float()|x.half()|x.double()|x.to("cpu")|x.type_as(x)|x.int()|x.bool()
x.sum().item()|x.mean()|x.max(1)|x.max()|x.argmax(1)|x.softmax(1)|x.std()|x.sum(dim=1, keepdim=True)|x.topk(2)|x.sort()|x.cumsum(0)|x.norm()|x.all()|x.any()
x.tolist()|v.tolist()|one.item()|float(one)|len(x)|x.size(0)|x.shape|x.dim()|x.numel()|x.requires_grad|x.dtype|x.clamp(0, 1)|x.pow(2)|x ** 2|1 / x|x @ x|x == x
t.equal(x, x)|t.allclose(x, x)|x.gather(1, labels[:, None])|x.index_select(0, rows)|x.scatter(1, labels[:, None], 1.0)|t.nonzero(mask)|x.tril()
F.relu(x)|F.linear(x, weight, bias)|F.softmax(x, dim=1)|F.log_softmax(x, dim=1)|F.cross_entropy(x, labels)|F.mse_loss(x, x.t())|F.layer_norm(x, (10,))
F.dropout(x)|F.embedding(labels, table)|F.one_hot(rows, 6)|F.pad(x, (1, 1))|F.conv1d(image, conv.weight)|F.normalize(x)|F.gelu(wide)|F.cross_entropy(wide, labels)
nn.Parameter(x)|linear(x)|norm(x)|drop(x)|conv(image)|stacked(x)|sgd.zero_grad()|x.requires_grad_(False)|collate(items)|graph()|step()
"""


def measure(python: str, library: str, n: int, only: str) -> dict[str, float]:
    """Microseconds a call, by case."""
    cases = "|".join(line for line in CASES.strip().splitlines())
    done = subprocess.run([python, "-c", PROGRAM, library, str(n), only, cases], capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reference", help="a Python that has PyTorch")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--calls", type=int, default=2000)
    parser.add_argument("--only", default="")
    arguments = parser.parse_args()
    peers = [(sys.executable, "facula")] + ([(arguments.reference, "torch")] if arguments.reference else [])
    best: dict[str, dict[str, float]] = {library: {} for _, library in peers}
    for _ in range(arguments.rounds):
        for python, library in peers:
            for name, value in measure(python, library, arguments.calls, arguments.only).items():
                best[library][name] = min(value, best[library].get(name, 1e9))
    theirs = best.get("torch", {})
    for name, ours in sorted(best["facula"].items(), key=lambda row: theirs.get(row[0], 0.0) / row[1]):
        line = f"{name:40s} {ours:8.2f} us"
        print(line + (f"   PyTorch {theirs[name]:8.2f} us   ratio {theirs[name] / ours:6.1f}" if theirs else ""))


if __name__ == "__main__":
    main()
