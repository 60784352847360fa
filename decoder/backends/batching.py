"""Restores frames of several streams together, on a GPU that one stream does not fill.

One thread owns the engine. Whatever has come by the time it is free is done next: `BATCH_FRAMES` of
the same half (extract or fuse) at once where so many wait, else one by one in the order they came.
So nobody waits for others to come, and a single stream runs as before.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Generic, Protocol, TypeVar, runtime_checkable

from decoder.artefact_reference import Planes
from decoder.backends.contract import Backend, Features
from decoder.backends.warm_up import noise_frame
from stream.errors import BackendError, InferenceFailed
from stream.frame import Frame, Size

_log = logging.getLogger(__name__)

BATCH_FRAMES = 4
"""Each size is compiled and recorded for itself; this one fills most GPUs with small networks."""

WORTH = 0.9
"""Of the time that the frames of a batch take one by one: more than this is not worth the wait."""

_TRIALS = 3

Item = TypeVar("Item")
Result = TypeVar("Result")


@runtime_checkable
class BatchedBackend(Backend, Protocol):
    """A backend that takes frames of several streams at once."""

    def extract_many(self, frames: Sequence[Frame]) -> list[Features]:
        """As `extract`, of `BATCH_FRAMES` frames."""

    def fuse_many(self, windows: Sequence[Sequence[Features]]) -> list[Planes]:
        """As `fuse`, of `BATCH_FRAMES` windows."""


def is_worthwhile(backend: BatchedBackend, lr_size: Size, *, window: int) -> bool:
    """Whether batches are faster here, by trying both; the first run of each is not counted."""
    frames = [noise_frame(lr_size)] * BATCH_FRAMES

    def together() -> object:
        features = backend.extract_many(frames)
        return backend.fuse_many([[each] * window for each in features])

    def singly() -> object:
        return [backend.fuse([backend.extract(frame)] * window) for frame in frames]

    try:
        share = _fastest_s(together) / _fastest_s(singly)
    except BackendError as error:
        _log.info("%s restores frame by frame: %s", backend.name, error)
        return False
    _log.info("%s: a batch takes %.2f times as long as its frames", backend.name, share)
    return share <= WORTH


def _fastest_s(run: Callable[[], object]) -> float:
    took_s = []
    for _ in range(_TRIALS + 1):
        started_s = time.perf_counter()
        run()
        took_s.append(time.perf_counter() - started_s)
    return min(took_s[1:])


class _Calls(Generic[Item, Result]):
    """What waits for one half of the engine."""

    def __init__(
        self, one: Callable[[Item], Result], many: Callable[[Sequence[Item]], list[Result]]
    ) -> None:
        self._one, self._many = one, many
        self.waiting: deque[tuple[Item, Future[Result]]] = deque()

    def run_next(self, count: int) -> None:
        """Of those that wait, the first `count`: 1 or BATCH_FRAMES."""
        taken = [self.waiting.popleft() for _ in range(count)]
        try:
            items = [item for item, _ in taken]
            results = [self._one(items[0])] if count == 1 else self._many(items)
        except Exception as error:  # whoever asked is told
            for _, future in taken:
                future.set_exception(error)
        else:
            for (_, future), result in zip(taken, results, strict=True):
                future.set_result(result)


class Batcher:
    """The engine's thread, shared by all streams of an engine."""

    def __init__(self, backend: BatchedBackend) -> None:
        self.backend = backend
        self._extracts = _Calls(backend.extract, backend.extract_many)
        self._fuses = _Calls(backend.fuse, backend.fuse_many)
        self._changed = threading.Condition()
        self._is_closed = False
        self._users = 0
        self._turn = 0
        self._thread = threading.Thread(target=self._run, name="batches", daemon=True)
        self._thread.start()

    def extract(self, frame: Frame) -> Features:
        """As `Backend.extract`, together with what other threads ask for."""
        return self._call(self._extracts, frame)

    def fuse(self, window: Sequence[Features]) -> Planes:
        """As `Backend.fuse`, together with what other threads ask for."""
        return self._call(self._fuses, window)

    def join(self) -> None:
        """One user more."""
        with self._changed:
            self._users += 1

    def leave(self) -> None:
        """One user less; after the last one the thread ends and the engine's memory goes back."""
        with self._changed:
            self._users -= 1
            self._is_closed = self._users == 0
            self._changed.notify()
        if self._is_closed:
            self._thread.join()
            self.backend.close()

    def _call(self, calls: _Calls[Item, Result], item: Item) -> Result:
        future: Future[Result] = Future()
        with self._changed:
            if self._is_closed:
                raise InferenceFailed(f"{self.backend.name} is closed")
            calls.waiting.append((item, future))
            self._changed.notify()
        return future.result()

    def _run(self) -> None:
        while True:
            with self._changed:
                while not (self._extracts.waiting or self._fuses.waiting or self._is_closed):
                    self._changed.wait()
                halves = (self._fuses, self._extracts)  # fusing frees a stream: it goes first
                waiting = [half for half in halves if half.waiting]
            if not waiting:
                return
            half = waiting[self._turn % len(waiting)]
            self._turn += 1
            half.run_next(BATCH_FRAMES if len(half.waiting) >= BATCH_FRAMES else 1)


class BatchedStream:
    """One stream's backend on a `Batcher` that it shares with its siblings."""

    def __init__(self, batcher: Batcher) -> None:
        backend = batcher.backend
        batcher.join()
        self._batcher = batcher
        self.name, self.config = f"{backend.name} batched", backend.config
        self.is_half_precision, self.runs_on_cpu = backend.is_half_precision, backend.runs_on_cpu

    def extract(self, frame: Frame) -> Features:
        """See `Backend.extract`."""
        return self._batcher.extract(frame)

    def fuse(self, window: Sequence[Features]) -> Planes:
        """See `Backend.fuse`."""
        return self._batcher.fuse(window)

    def sibling(self) -> BatchedStream:
        """See `Backend.sibling`."""
        return BatchedStream(self._batcher)

    def close(self) -> None:
        """See `Backend.close`."""
        self._batcher.leave()


def batched_if_faster(backend: Backend, lr_size: Size, *, window: int) -> Backend:
    """The same engine, restoring batches where its library can and where that is faster here."""
    if backend.runs_on_cpu or not isinstance(backend, BatchedBackend):
        return backend
    if not is_worthwhile(backend, lr_size, window=window):
        return backend
    return BatchedStream(Batcher(backend))
