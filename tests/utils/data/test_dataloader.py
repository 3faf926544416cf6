"""The loader: options, order with any number of workers, and what happens when workers fail."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
import warnings

import numpy as np
import pytest

from facula import ops
from facula.ops.random import Generator, manual_seed
from facula.utils.data import (
    BatchSampler,
    DataLoader,
    Dataset,
    IterableDataset,
    SequentialSampler,
    TensorDataset,
    dataloader,
    get_worker_info,
)
from facula.utils.data.worker import CHECK_SECONDS

pytestmark = pytest.mark.filterwarnings("ignore:This DataLoader will create")


class Rows(Dataset):
    """Sample i is (a vector of i, i); index `bad` does something else."""

    def __init__(self, n: int, bad: int = -1, deed: str = "", size: int = 3) -> None:
        self.n, self.bad, self.deed, self.size = n, bad, deed, size

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, i: int):
        if i == self.bad:
            if self.deed == "raise":
                raise ValueError(f"row {i} is broken")
            if self.deed == "key":
                return {}["missing"]
            if self.deed == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            if self.deed == "exit":
                os._exit(3)
            if self.deed == "sleep":
                time.sleep(30)
        return ops.full((self.size,), float(i)), i


class Stream(IterableDataset):
    def __init__(self, n: int) -> None:
        self.n = n

    def __iter__(self):
        info = get_worker_info()
        return iter(range(self.n)) if info is None else iter(range(info.id, self.n, info.num_workers))


class Draws(Dataset):
    """Random numbers of the process that fetches."""

    def __len__(self) -> int:
        return 8

    def __getitem__(self, i: int) -> float:
        return float(np.random.rand())


def labels(loader: DataLoader) -> list[list[int]]:
    return [y.tolist() for _, y in loader]


@pytest.mark.parametrize("workers", [0, 1, 3])
@pytest.mark.parametrize("size", [3, 40_000])  # through the pipe, through a memory file
def test_batches_and_order_do_not_depend_on_workers(workers: int, size: int) -> None:
    manual_seed(5)
    loader = DataLoader(Rows(10, size=size), batch_size=4, shuffle=True, num_workers=workers)
    first, second = labels(loader), labels(loader)
    manual_seed(5)
    plain = DataLoader(Rows(10), batch_size=4, shuffle=True)
    assert [first, second] == [labels(plain), labels(plain)] and first != second
    for x, y in loader:
        assert x.shape == (len(y), size) and x[:, -1].tolist() == y.tolist()
        x.add_(1)  # batches are the user's to change


def test_persistent_workers_draw_as_fresh_ones() -> None:
    orders = []
    for persistent in (False, True):
        manual_seed(1)
        loader = DataLoader(Rows(8), batch_size=3, shuffle=True, num_workers=2, persistent_workers=persistent)
        next(iter(loader))  # an epoch that is left early
        orders.append([labels(loader), labels(loader)])
    assert orders[0] == orders[1]


def test_order_is_pytorchs() -> None:
    manual_seed(11)
    assert labels(DataLoader(Rows(10), batch_size=4, shuffle=True)) == [[4, 3, 2, 6], [7, 9, 8, 5], [1, 0]]
    manual_seed(11)
    assert labels(DataLoader(Rows(10), batch_size=4, shuffle=True, generator=Generator().manual_seed(2))) == [
        [1, 0, 8, 3],
        [4, 5, 6, 7],
        [2, 9],
    ]


def test_options() -> None:
    assert [len(y) for _, y in DataLoader(Rows(10), batch_size=4, drop_last=True)] == [4, 4]
    x, y = next(iter(DataLoader(Rows(3), batch_size=None)))
    assert x.shape == (3,) and y == 0
    assert len(DataLoader(Rows(10), batch_size=4)) == 3
    loader = DataLoader(Rows(6), batch_sampler=BatchSampler(SequentialSampler(range(6)), 5, False))
    assert labels(loader) == [[0, 1, 2, 3, 4], [5]]
    assert list(DataLoader(Rows(2), batch_size=2, collate_fn=len)) == [2]


def test_tensor_dataset_is_gathered_whole() -> None:
    data = TensorDataset(ops.arange(10).view(5, 2), ops.arange(5))
    batches = list(DataLoader(data, batch_size=2))
    assert batches[2][0].tolist() == [[8, 9]] and type(batches[0]) is list


@pytest.mark.parametrize("workers", [0, 2])
def test_streams(workers: int) -> None:
    got = [v for batch in DataLoader(Stream(11), batch_size=2, num_workers=workers) for v in batch.tolist()]
    assert sorted(got) == list(range(11))
    assert sum(1 for _ in DataLoader(Stream(11), batch_size=4, drop_last=True, num_workers=workers)) == 2


def test_out_of_order_gives_every_batch() -> None:
    loader = DataLoader(Rows(20), batch_size=3, num_workers=2, in_order=False)
    assert sorted(v for batch in labels(loader) for v in batch) == list(range(20))


def test_worker_seeds_are_base_seed_plus_id_and_numpys_follow() -> None:
    def draw() -> list[float]:
        manual_seed(4)
        loader = DataLoader(Draws(), num_workers=2, generator=Generator().manual_seed(9))
        return [float(v) for v in loader]

    assert (
        draw()
        == draw()
        == pytest.approx(
            [
                0.8173329159976117,
                0.6147690723652423,
                0.7903134921085286,
                0.999846902237332,
                0.7944375484776433,
                0.5214789445661809,
                0.8559486508533463,
                0.4833677487351623,
            ]
        )
    )


class Ids(Dataset):
    def __len__(self) -> int:
        return 4

    def __getitem__(self, i: int):
        info = get_worker_info()
        return info.id, info.num_workers, info.seed


def test_worker_info() -> None:
    loader = DataLoader(Ids(), num_workers=2, generator=Generator().manual_seed(9))
    rows = [[int(v) for v in row] for row in loader]
    assert [r[:2] for r in rows] == [[0, 2], [1, 2], [0, 2], [1, 2]] and rows[1][2] == rows[0][2] + 1
    assert get_worker_info() is None


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_spawned_workers(method: str) -> None:
    data = TensorDataset(ops.arange(6))
    loader = DataLoader(data, batch_size=3, num_workers=1, prefetch_factor=1, multiprocessing_context=method)
    batches = iter(loader)
    assert next(batches)[0].tolist() == [0, 1, 2]
    time.sleep(CHECK_SECONDS + 0.5)  # a worker that waits looks for its parent, which under a fork server is not this process
    assert [b[0].tolist() for b in batches] == [[3, 4, 5]] and list(batches) == []
    persistent = DataLoader(data, batch_size=3, num_workers=1, persistent_workers=True, multiprocessing_context=method)
    for pause in (0, CHECK_SECONDS + 0.5):
        time.sleep(pause)
        assert [b[0].tolist() for b in persistent] == [[0, 1, 2], [3, 4, 5]]


@pytest.mark.parametrize(("chosen", "taken"), [(None, "fork"), ("spawn", "spawn")])
def test_start_method(monkeypatch: pytest.MonkeyPatch, chosen: str | None, taken: str) -> None:
    """Python 3.14's own default would refuse a dataset that cannot be pickled."""
    monkeypatch.setattr(multiprocessing, "get_start_method", lambda allow_none: chosen)
    assert dataloader._context().get_start_method() == taken


def test_dataset_errors_arrive_with_type_text_and_line() -> None:
    loader = DataLoader(Rows(6, bad=3, deed="raise"), batch_size=2, num_workers=1)
    with pytest.raises(ValueError, match="Caught ValueError in DataLoader worker process 0") as caught:
        labels(loader)
    text = str(caught.value)
    assert "row 3 is broken" in text and 'raise ValueError(f"row {i} is broken")' in text
    assert isinstance(caught.value.__cause__, ValueError)
    with pytest.raises(KeyError, match="missing"):
        labels(DataLoader(Rows(6, bad=3, deed="key"), num_workers=1))


def test_init_errors_arrive() -> None:
    with pytest.raises(ZeroDivisionError, match="worker process 0"):
        labels(DataLoader(Rows(4), num_workers=1, worker_init_fn=lambda worker: 1 // worker))


@pytest.mark.parametrize(("deed", "match"), [("kill", r"pid\(s\) \d+.*SIGKILL, signal 9"), ("exit", r"pid\(s\) \d+.*exit code 3")])
def test_a_dead_worker_is_reported_at_once(deed: str, match: str) -> None:
    start = time.monotonic()
    with pytest.raises(RuntimeError, match=match):
        labels(DataLoader(Rows(6, bad=2, deed=deed), num_workers=2))
    assert time.monotonic() - start < 3


def test_timeout() -> None:
    with pytest.raises(RuntimeError, match=r"DataLoader timed out after 0\.3 seconds"):
        labels(DataLoader(Rows(6, bad=1, deed="sleep"), num_workers=1, timeout=0.3))


def test_leaving_early_ends_the_workers() -> None:
    iterator = iter(DataLoader(Rows(100), num_workers=2))
    next(iterator)
    processes = iterator._workers
    del iterator
    assert not any(p.is_alive() for p in processes)


def test_ctrl_c_ends_quickly_and_quietly(tmp_path) -> None:
    program = tmp_path / "loop.py"
    program.write_text(
        "import time\n"
        "from facula.utils.data import DataLoader\n"
        "class Slow:\n"
        "    def __len__(self): return 1000\n"
        "    def __getitem__(self, i):\n"
        "        time.sleep(0.05); return i\n"
        "try:\n"
        "    for i, _ in enumerate(DataLoader(Slow(), num_workers=2)):\n"
        "        if i == 2: print('going', flush=True)\n"
        "except KeyboardInterrupt:\n"
        "    print('interrupted')\n"
    )
    child = subprocess.Popen(
        [sys.executable, str(program)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    assert child.stdout is not None and child.stdout.readline() == "going\n"
    start = time.monotonic()
    os.killpg(child.pid, signal.SIGINT)  # as a terminal does: to the workers too
    out, err = child.communicate(timeout=20)
    assert out == "interrupted\n" and "Traceback" not in err and child.returncode == 0 and time.monotonic() - start < 4


def test_too_many_workers_warn() -> None:
    with pytest.warns(UserWarning, match="will create 10000 worker processes"):
        DataLoader(Rows(1), num_workers=10_000)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        DataLoader(Rows(1), num_workers=1)


@pytest.mark.parametrize(
    ("options", "kind", "match"),
    [
        ({"num_workers": -1}, ValueError, "num_workers option should be non-negative"),
        ({"timeout": -1}, ValueError, "timeout option should be non-negative"),
        ({"prefetch_factor": 2}, ValueError, "could only be specified in multiprocessing"),
        ({"persistent_workers": True}, ValueError, "needs num_workers > 0"),
        ({"sampler": [0], "shuffle": True}, ValueError, "sampler option is mutually exclusive with shuffle"),
        ({"batch_sampler": [[0]], "batch_size": 2}, ValueError, "batch_sampler option is mutually exclusive"),
        ({"batch_size": None, "drop_last": True}, ValueError, "disables auto-batching"),
        ({"batch_size": 0}, ValueError, "batch_size should be a positive integer value, but got batch_size=0"),
        ({"multiprocessing_context": "fork"}, ValueError, "can only be used with multi-process loading"),
        ({"multiprocessing_context": "spoon", "num_workers": 1}, ValueError, "valid start method"),
        ({"multiprocessing_context": 3, "num_workers": 1}, TypeError, "valid context object"),
    ],
)
def test_refusals(options, kind, match) -> None:
    with pytest.raises(kind, match=match):
        DataLoader(Rows(4), **options)


def test_fixed_attributes_and_streams_refuse() -> None:
    loader = DataLoader(Rows(4))
    with pytest.raises(ValueError, match="batch_size attribute should not be set"):
        loader.batch_size = 3
    with pytest.raises(ValueError, match="expected unspecified shuffle option, but got shuffle=True"):
        DataLoader(Stream(3), shuffle=True)
    with pytest.raises(ValueError, match="expected unspecified sampler option"):
        DataLoader(Stream(3), sampler=[1])
