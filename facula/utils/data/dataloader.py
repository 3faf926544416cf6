"""`DataLoader`: batches of a dataset, fetched here or by worker processes, in an order that does not depend on their number."""

from __future__ import annotations

import contextlib
import itertools
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from multiprocessing.connection import Connection, wait
from multiprocessing.context import BaseContext
from typing import Any, Generic, TypeVar

from ...base.errors import fold, refuse, warn
from .collate import default_collate, default_convert
from .dataset import Dataset, IterableDataset
from .fetch import _DatasetKind
from .sampler import BatchSampler, RandomSampler, Sampler, SequentialSampler, fresh_seed
from .transport import Failure, receive, require_picklable
from .worker import Plan, Resume, StreamEnd, get_worker_info, run

T_co = TypeVar("T_co", covariant=True)
ALIVE_SECONDS = 0.2  # how often a silent worker is looked at: the longest that its death stays unseen
STOP_SECONDS = 1.0  # what workers get to end by themselves before they are ended
_FIXED = ("batch_size", "batch_sampler", "sampler", "drop_last", "dataset", "persistent_workers")


class _InfiniteConstantSampler(Sampler[None]):
    """None for ever: the index of a stream, which has none."""

    def __iter__(self) -> Iterator[None]:
        return itertools.repeat(None)


class DataLoader(Generic[T_co]):
    """Batches of `dataset`; arguments, defaults and sample order are PyTorch's.

    `pin_memory` is accepted and has no effect without an accelerator. The order, and with it every batch, is the same for any
    `num_workers`; random numbers drawn inside workers depend on (seed, epoch, worker).
    """

    __initialized = False

    def __init__(
        self,
        dataset: Dataset[T_co],
        batch_size: int | None = 1,
        shuffle: bool | None = None,
        sampler: Sampler[Any] | Iterable[Any] | None = None,
        batch_sampler: Sampler[list[Any]] | Iterable[list[Any]] | None = None,
        num_workers: int = 0,
        collate_fn: Callable[[list[Any]], Any] | None = None,
        pin_memory: bool = False,
        drop_last: bool = False,
        timeout: float = 0,
        worker_init_fn: Callable[[int], Any] | None = None,
        multiprocessing_context: str | BaseContext | None = None,
        generator: Any = None,
        *,
        prefetch_factor: int | None = None,
        persistent_workers: bool = False,
        pin_memory_device: str = "",
        in_order: bool = True,
    ) -> None:
        _require_counts(num_workers, timeout, prefetch_factor, persistent_workers)
        stream = isinstance(dataset, IterableDataset)
        if stream:
            _require_stream_options(shuffle, sampler, batch_sampler)
        _require_one_order(batch_size, bool(shuffle), sampler, batch_sampler, drop_last)
        self.dataset = dataset
        self.num_workers = num_workers
        self.prefetch_factor = 2 if num_workers > 0 and prefetch_factor is None else prefetch_factor
        self.pin_memory, self.pin_memory_device = pin_memory, pin_memory_device
        self.timeout, self.worker_init_fn, self.in_order = timeout, worker_init_fn, in_order
        self.multiprocessing_context = multiprocessing_context
        self._dataset_kind = _DatasetKind.Iterable if stream else _DatasetKind.Map
        if batch_sampler is not None:
            batch_size, drop_last = None, False
        if sampler is None:
            if stream:
                sampler = _InfiniteConstantSampler()
            else:
                sampler = RandomSampler(dataset, generator=generator) if shuffle else SequentialSampler(dataset)  # type: ignore[arg-type]
        if batch_size is not None and batch_sampler is None:
            batch_sampler = BatchSampler(sampler, batch_size, drop_last)
        self.batch_size, self.drop_last = batch_size, drop_last
        self.sampler, self.batch_sampler, self.generator = sampler, batch_sampler, generator
        self.collate_fn = collate_fn or (default_collate if self._auto_collation else default_convert)
        self.persistent_workers = persistent_workers
        self._IterableDataset_len_called: int | None = None
        self._iterator: _BaseDataLoaderIter | None = None
        self.__initialized = True
        self.check_worker_number_rationality()

    @property
    def multiprocessing_context(self) -> BaseContext | None:
        """How workers are started: fork, spawn or forkserver; None for the platform's way."""
        return self.__multiprocessing_context

    @multiprocessing_context.setter
    def multiprocessing_context(self, context: str | BaseContext | None) -> None:
        if context is not None and self.num_workers == 0:
            raise refuse(
                ValueError,
                "multiprocessing_context can only be used with multi-process loading (num_workers > 0), but got "
                f"num_workers={self.num_workers}",
            )
        if isinstance(context, str):
            methods = multiprocessing.get_all_start_methods()
            if context not in methods:
                raise refuse(
                    ValueError,
                    f"multiprocessing_context option should specify a valid start method in {methods!r}, but got "
                    f"multiprocessing_context={context!r}",
                )
            context = multiprocessing.get_context(context)
        if context is not None and not isinstance(context, BaseContext):
            raise refuse(
                TypeError,
                "multiprocessing_context option should be a valid context object or a string specifying the start method, but got "
                f"multiprocessing_context={context}",
            )
        self.__multiprocessing_context = context

    def __setattr__(self, name: str, value: Any) -> None:
        if self.__initialized and name in _FIXED:
            raise refuse(
                ValueError,
                f"{name} attribute should not be set after {type(self).__name__} is initialized",
                hint="build another DataLoader",
            )
        super().__setattr__(name, value)

    def __iter__(self) -> _BaseDataLoaderIter:
        if not (self.persistent_workers and self.num_workers > 0):
            return self._get_iterator()
        if self._iterator is None or getattr(self._iterator, "_shutdown", False):
            self._iterator = self._get_iterator()
        else:
            self._iterator._reset(self)
        return self._iterator

    def _get_iterator(self) -> _BaseDataLoaderIter:
        return _SingleProcessDataLoaderIter(self) if self.num_workers == 0 else _MultiProcessingDataLoaderIter(self)

    @property
    def _auto_collation(self) -> bool:
        return self.batch_sampler is not None

    @property
    def _index_sampler(self) -> Any:
        return self.batch_sampler if self._auto_collation else self.sampler

    def __len__(self) -> int:
        if self._dataset_kind != _DatasetKind.Iterable:
            return len(self._index_sampler)
        length = self._IterableDataset_len_called = len(self.dataset)  # type: ignore[arg-type]
        if self.batch_size is None:
            return length
        return length // self.batch_size if self.drop_last else -(-length // self.batch_size)

    def check_worker_number_rationality(self) -> None:
        """Warn when there are more workers than processors to run them."""
        processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        if self.num_workers > processors:
            warn(
                f"This DataLoader will create {self.num_workers} worker processes in total. Our suggested max number of worker in current "
                f"system is {processors}, which is smaller than what this DataLoader is going to create. Please be aware that excessive "
                "worker creation might get DataLoader running slow or even freeze, lower the worker number to avoid potential "
                "slowness/freeze if necessary.",
            )


def _require_counts(num_workers: int, timeout: float, prefetch_factor: int | None, persistent_workers: bool) -> None:
    if num_workers < 0:
        raise refuse(
            ValueError,
            "num_workers option should be non-negative; use num_workers=0 to disable multiprocessing.",
            received=f"{num_workers=}",
        )
    if timeout < 0:
        raise refuse(ValueError, "timeout option should be non-negative", received=f"{timeout=}", expected="seconds, or 0 to wait for ever")
    if num_workers == 0 and prefetch_factor is not None:
        raise refuse(
            ValueError,
            "prefetch_factor option could only be specified in multiprocessing.let num_workers > 0 to enable multiprocessing, otherwise "
            "set prefetch_factor to None.",
        )
    if prefetch_factor is not None and prefetch_factor < 1:
        raise refuse(ValueError, "prefetch_factor option should be non-negative", received=f"{prefetch_factor=}", expected="at least 1")
    if persistent_workers and num_workers == 0:
        raise refuse(ValueError, "persistent_workers option needs num_workers > 0")


def _require_stream_options(shuffle: bool | None, sampler: Any, batch_sampler: Any) -> None:
    for name, value, unset in (("shuffle", shuffle, shuffle in (None, False)), ("sampler", sampler, sampler is None)):
        if not unset:
            raise refuse(ValueError, f"DataLoader with IterableDataset: expected unspecified {name} option, but got {name}={value}")
    if batch_sampler is not None:
        raise refuse(
            ValueError,
            f"DataLoader with IterableDataset: expected unspecified batch_sampler option, but got batch_sampler={batch_sampler}",
        )


def _require_one_order(batch_size: int | None, shuffle: bool, sampler: Any, batch_sampler: Any, drop_last: bool) -> None:
    if sampler is not None and shuffle:
        raise refuse(ValueError, "sampler option is mutually exclusive with shuffle")
    if batch_sampler is not None and (batch_size != 1 or shuffle or sampler is not None or drop_last):
        raise refuse(ValueError, "batch_sampler option is mutually exclusive with batch_size, shuffle, sampler, and drop_last")
    if batch_sampler is None and batch_size is None and drop_last:
        raise refuse(ValueError, "batch_size=None option disables auto-batching and is mutually exclusive with drop_last")


class _BaseDataLoaderIter:
    """One pass over a loader; draws the epoch's base seed, whether there are workers or not, so that both draw alike."""

    def __init__(self, loader: DataLoader[Any]) -> None:
        self._dataset = loader.dataset
        self._dataset_kind = loader._dataset_kind
        self._auto_collation = loader._auto_collation
        self._drop_last = loader.drop_last
        self._index_sampler = loader._index_sampler
        self._num_workers = loader.num_workers
        self._timeout = loader.timeout
        self._collate_fn = loader.collate_fn
        self._persistent_workers = loader.persistent_workers
        if loader.pin_memory:
            warn("'pin_memory' argument is set as true but no accelerator is found, then device pinned memory won't be used.")
        self._begin(loader)

    def _begin(self, loader: DataLoader[Any]) -> None:
        self._base_seed = fresh_seed(loader.generator)
        self._sampler_iter = iter(self._index_sampler)
        self._num_yielded = 0
        self._IterableDataset_len_called = loader._IterableDataset_len_called

    def _reset(self, loader: DataLoader[Any]) -> None:
        self._begin(loader)

    def __iter__(self) -> _BaseDataLoaderIter:
        return self

    def _next_index(self) -> Any:
        return next(self._sampler_iter)

    def _next_data(self) -> Any:
        raise NotImplementedError

    def __next__(self) -> Any:
        try:
            data = self._next_data()
        except Exception as error:
            fold(error)
            raise
        self._num_yielded += 1
        told = self._IterableDataset_len_called
        if self._dataset_kind == _DatasetKind.Iterable and told is not None and self._num_yielded > told:
            advice = ""
            if self._num_workers > 0:
                advice = (
                    "For multiprocessing data-loading, this could be caused by not properly configuring the IterableDataset replica at "
                    "each worker. Please see https://pytorch.org/docs/stable/data.html#torch.utils.data.IterableDataset for examples."
                )
            warn(
                f"Length of IterableDataset {self._dataset} was reported to be {told}(when accessing len(dataloader)), but "
                f"{self._num_yielded} samples have been fetched. {advice}",
            )
        return data

    def __len__(self) -> int:
        return len(self._index_sampler)

    def __getstate__(self) -> Any:
        raise refuse(NotImplementedError, f"{type(self).__name__} cannot be pickled", hint="pickle the DataLoader")


class _SingleProcessDataLoaderIter(_BaseDataLoaderIter):
    """Fetches in the main process."""

    def __init__(self, loader: DataLoader[Any]) -> None:
        super().__init__(loader)
        self._fetcher = _DatasetKind.create_fetcher(
            self._dataset_kind, self._dataset, self._auto_collation, self._collate_fn, self._drop_last
        )

    def _next_data(self) -> Any:
        return self._fetcher.fetch(self._next_index())


class _MultiProcessingDataLoaderIter(_BaseDataLoaderIter):
    """Hands indices to worker processes in turn and puts their answers back in order.

    Each worker has one pipe; at most `prefetch_factor` tasks wait in it. A task has a number; `_pending` maps the numbers that were
    handed out to their worker, `_arrived` those that came back before their turn to their batch.
    """

    _shutdown = True  # until workers run: `__del__` may see an iterator whose start failed

    def __init__(self, loader: DataLoader[Any]) -> None:
        super().__init__(loader)
        self._prefetch_factor: int = loader.prefetch_factor or 2
        self._in_order = loader.in_order
        self._workers: list[Any] = []
        self._pipes: list[Connection] = []
        self._owner = os.getpid()
        self._shutdown = False
        try:
            for worker in range(self._num_workers):
                self._start(worker, loader)
        except BaseException:
            self._shutdown_workers()
            raise
        self._clear()
        self._fill()

    def _start(self, worker: int, loader: DataLoader[Any]) -> None:
        context: Any = loader.multiprocessing_context or _context()
        ours, theirs = context.Pipe()
        plan = Plan(
            self._dataset_kind,
            self._dataset,
            self._auto_collation,
            self._collate_fn,
            self._drop_last,
            loader.worker_init_fn,
            worker,
            self._num_workers,
            self._base_seed,
        )
        method = context.get_start_method()
        copied = [*self._pipes, ours] if method == "fork" else []
        process = context.Process(target=run, args=(plan, theirs, copied), daemon=True, name=f"facula-data-{worker}")
        try:
            with _interrupts_held():
                process.start()
        except Exception as error:
            ours.close()
            raise require_picklable(error, method) from error
        finally:
            theirs.close()
        self._workers.append(process)
        self._pipes.append(ours)

    def _clear(self) -> None:
        self._sent = self._given = 0  # numbers of the next task to hand out, and of the next batch to give
        self._pending: dict[int, int] = {}
        self._arrived: dict[int, Any] = {}
        self._streaming = [True] * self._num_workers  # False: this worker's stream has ended
        self._load = [0] * self._num_workers
        self._turn = itertools.cycle(range(self._num_workers))

    def _reset(self, loader: DataLoader[Any]) -> None:
        self._sampler_iter = iter(())
        while self._pending:  # what was handed out in an epoch that was left early
            self._collect()
        super()._reset(loader)
        for pipe in self._pipes:
            pipe.send(Resume(self._base_seed))
        self._clear()
        self._fill()

    def _fill(self) -> None:
        for _ in range(self._prefetch_factor * self._num_workers):
            self._hand_out()

    def _hand_out(self) -> None:
        """Give the next indices to the worker whose turn it is (out of order: to one that is not behind)."""
        most = self._prefetch_factor * self._num_workers // max(1, sum(self._streaming))
        ready = [self._streaming[w] and (self._in_order or self._load[w] < most) for w in range(self._num_workers)]
        if not any(ready):
            return
        try:
            index = self._next_index()
        except StopIteration:
            return
        worker = next(w for w in self._turn if ready[w])
        try:
            self._pipes[worker].send((self._sent, index))
        except OSError:
            self._raise_dead([worker])
        self._pending[self._sent] = worker
        self._load[worker] += 1
        self._sent += 1

    def _next_data(self) -> Any:
        while True:
            if not self._in_order and self._arrived:
                return self._give(next(iter(self._arrived)))
            if self._in_order and self._given in self._arrived:
                self._given += 1
                return self._give(self._given - 1)
            if not self._pending and not self._arrived:
                if not self._persistent_workers:
                    self._shutdown_workers()
                raise StopIteration
            if self._in_order and self._given not in self._pending:
                self._given += 1  # the end of a worker's stream took this number
                continue
            self._collect()

    def _give(self, number: int) -> Any:
        data = self._arrived.pop(number)
        self._hand_out()
        if isinstance(data, Failure):
            data.reraise()
        return data

    def _collect(self) -> None:
        """Wait for at least one answer and take what is there; raises when a worker is dead or late."""
        deadline = time.monotonic() + self._timeout if self._timeout > 0 else None
        busy = {self._pipes[w]: w for w in set(self._pending.values())}
        while True:
            left = ALIVE_SECONDS if deadline is None else min(ALIVE_SECONDS, deadline - time.monotonic())
            ready = wait(list(busy), max(0.0, left))
            for pipe in ready:
                self._take(busy[pipe])  # type: ignore[index]
            if ready:
                return
            dead = [w for w in busy.values() if not self._workers[w].is_alive() and not self._pipes[w].poll()]
            if dead:
                self._raise_dead(dead)
            if deadline is not None and time.monotonic() >= deadline:
                self._shutdown_workers()
                raise refuse(
                    RuntimeError,
                    f"DataLoader timed out after {self._timeout} seconds",
                    received=f"no batch from worker pid(s) {', '.join(str(self._workers[w].pid) for w in busy.values())}",
                    hint="a larger timeout, or 0 to wait for ever",
                )

    def _take(self, worker: int) -> None:
        try:
            number, data = receive(self._pipes[worker])
        except (EOFError, ConnectionError):
            self._raise_dead([worker])
        except BaseException:  # Ctrl-C, out of memory: the rest of a half-read message would be taken for the next one
            self._shutdown_workers()
            raise
        del self._pending[number]
        self._load[worker] -= 1
        if isinstance(data, StreamEnd):
            self._streaming[worker] = False
            self._hand_out()
        else:
            self._arrived[number] = data

    def _raise_dead(self, workers: list[int]) -> None:
        processes = [self._workers[w] for w in workers]
        for process in processes:
            process.join(STOP_SECONDS)
        pids = ", ".join(str(p.pid) for p in processes)
        reasons = " ".join(_death(p.pid, p.exitcode) for p in processes)
        self._shutdown_workers()
        raise refuse(
            RuntimeError,
            f"DataLoader worker (pid(s) {pids}) exited unexpectedly. {reasons}",
            expected="workers that live until the loader ends them",
            hint="num_workers=0 shows an error inside the dataset; a kill by the system often means that memory ran out",
        )

    def _shutdown_workers(self) -> None:
        """End the workers: by closing their pipes, and by signals those that do not listen."""
        if self._shutdown:
            return
        self._shutdown = True
        for pipe in self._pipes:
            with contextlib.suppress(OSError, ValueError):
                pipe.send(None)
            pipe.close()
        self._clear()
        deadline = time.monotonic() + STOP_SECONDS
        try:
            for process in self._workers:
                process.join(max(0.0, deadline - time.monotonic()))
        finally:
            for end in ("terminate", "kill"):
                for process in self._workers:
                    if process.is_alive():
                        getattr(process, end)()
                        process.join(STOP_SECONDS / 2)

    def __del__(self) -> None:
        if not self._shutdown and os.getpid() == self._owner:  # a copy that fork made in a worker ends nothing
            self._shutdown_workers()


def _context() -> BaseContext:
    """The program's start method, or fork if it set none: a worker starts in milliseconds and needs nothing pickled. Since Python 3.14 the
    interpreter itself would take a fork server, which is safer for threads that hold locks; the worker pool is made anew after a fork."""
    chosen = multiprocessing.get_start_method(allow_none=True)
    forks = "fork" in multiprocessing.get_all_start_methods()
    return multiprocessing.get_context("fork" if chosen is None and forks else chosen)


@contextlib.contextmanager
def _interrupts_held() -> Iterator[None]:
    """Ctrl-C waits while a worker starts: a child inherits this until it can ignore Ctrl-C by itself."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _death(pid: int, code: int | None) -> str:
    """Why a process ended, in PyTorch's words plus the numbers."""
    if code is None:
        return f"DataLoader worker (pid {pid}) does not answer."
    if code < 0:
        name = signal.Signals(-code).name if -code in list(signal.Signals) else "unknown"
        return f"DataLoader worker (pid {pid}) is killed by signal: {signal.strsignal(-code) or name} ({name}, signal {-code})."
    return f"DataLoader worker (pid {pid}) exited unexpectedly with exit code {code}."


__all__ = [
    "DataLoader",
    "_BaseDataLoaderIter",
    "_DatasetKind",
    "_MultiProcessingDataLoaderIter",
    "_SingleProcessDataLoaderIter",
    "default_collate",
    "get_worker_info",
]
