"""Compiled models that several streams share: opened once, weights in memory once.

Each stream gets a sibling: a `Backend` of its own on the same graphs and weights. On a CPU the
streams take turns, a frame half (extract or fuse) at a time in the order they asked: two networks
at once would only take the cores from each other, and nobody waits for more than one turn of each
of the others. On a GPU they run side by side, or in batches where those are faster (`batching`).
"""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from decoder.artefact import Artefact
from decoder.artefact_reference import Planes
from decoder.backends import open_backend
from decoder.backends.batching import batched_if_faster
from decoder.backends.contract import Backend, BackendConfig, Features
from decoder.backends.warm_up import warm_up
from stream.frame import Frame, Size

_KEPT = 12
"""Compiled models kept: three tiers at four sizes."""


class Turns:
    """A lock that is given to whoever has waited longest."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._is_taken = False
        self._waiting: deque[threading.Event] = deque()

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait for one's turn, and hold it for the length of the block."""
        mine = threading.Event()
        with self._lock:
            if self._is_taken:
                self._waiting.append(mine)
            else:
                self._is_taken = True
                mine.set()
        mine.wait()
        try:
            yield
        finally:
            with self._lock:
                if self._waiting:
                    self._waiting.popleft().set()
                else:
                    self._is_taken = False


class EnginePool:
    """Callable from any thread. A process has one for all its streams."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._engines: OrderedDict[tuple[BackendConfig, str, Size], Backend] = OrderedDict()
        self._turns = Turns()

    def open(self, config: BackendConfig, artefact: Artefact, lr_size: Size) -> Backend:
        """As `open_backend`, which is only asked for what is not open yet; warmed up."""
        key = (config, _files(artefact), lr_size)
        with self._lock:  # held while compiling: a second stream wants the same engine
            engine = self._engines.get(key)
            if engine is None:
                engine = open_backend(config, artefact, lr_size)
                window = artefact.manifest.window
                engine = batched_if_faster(engine, lr_size, window=window)
                self._engines[key] = engine
            self._engines.move_to_end(key)
            while len(self._engines) > _KEPT:
                self._engines.popitem(last=False)[1].close()  # its siblings hold what they need
            sibling = engine.sibling()
        mine = _TakingTurns(sibling, self._turns) if engine.runs_on_cpu else sibling
        warm_up(mine, lr_size, window=artefact.manifest.window)
        return mine

    def forget(self, artefact: Artefact) -> None:
        """Keep no engine of a model any more; whoever has a sibling of one goes on with it."""
        with self._lock:
            for key in [key for key in self._engines if key[1] == _files(artefact)]:
                self._engines.pop(key).close()

    def close(self) -> None:
        """Give back what no stream uses any more."""
        with self._lock:
            while self._engines:
                self._engines.popitem()[1].close()


def _files(artefact: Artefact) -> str:
    """The same for the same model at the same place, with the same weights."""
    return f"{artefact.folder} {artefact.sha256}"


class _TakingTurns:
    """A backend that runs only when it is its turn."""

    def __init__(self, backend: Backend, turns: Turns) -> None:
        self._backend, self._turns = backend, turns
        self.name, self.config = backend.name, backend.config
        self.is_half_precision, self.runs_on_cpu = backend.is_half_precision, backend.runs_on_cpu

    def extract(self, frame: Frame) -> Features:
        """See `Backend.extract`."""
        with self._turns.turn():
            return self._backend.extract(frame)

    def fuse(self, window: Sequence[Features]) -> Planes:
        """See `Backend.fuse`."""
        with self._turns.turn():
            return self._backend.fuse(window)

    def sibling(self) -> Backend:
        """See `Backend.sibling`."""
        return _TakingTurns(self._backend.sibling(), self._turns)

    def close(self) -> None:
        """See `Backend.close`."""
        self._backend.close()
