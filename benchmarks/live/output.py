"""What comes out of a receiver, as it comes: raw pictures from a pipe, each with its time."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import IO

import numpy as np

from benchmarks.live.time_code import read_number
from stream.errors import ConfigError
from stream.frame import Frame, Size


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ShownFrame:
    """A picture that came out. number: read from it; shown_ms: when it was whole, monotonic."""

    number: int
    shown_ms: float
    frame: Frame


class OutputReader:
    """Reads YUV4MPEG2 from `pipe` in a thread until it ends.

    Pictures from number `keep_from` on are kept, others only noted.
    """

    def __init__(self, pipe: IO[bytes]) -> None:
        self._pipe = pipe
        self._lock = threading.Lock()
        self._kept: list[ShownFrame] = []
        self._first_ms: float | None = None
        self._newest: int | None = None
        self._unreadable = 0
        self.keep_from: int | None = None
        self.error: ConfigError | None = None
        self._thread = threading.Thread(target=self._run, name="output", daemon=True)
        self._thread.start()

    @property
    def first_ms(self) -> float | None:
        """When the first picture with a number came out; None if none did yet."""
        with self._lock:
            return self._first_ms

    @property
    def newest(self) -> int | None:
        """The highest number that came out so far."""
        with self._lock:
            return self._newest

    def finish(self) -> tuple[list[ShownFrame], int]:
        """Wait for the end; the kept pictures in order, and how many had no readable number."""
        self._thread.join(timeout=30)
        return self._kept, self._unreadable

    def _run(self) -> None:
        try:
            header = self._pipe.readline(200)
            if not header:
                return
            size = _size_in(header)
            while self._pipe.readline(200):
                data = self._pipe.read(size.width * size.height * 3 // 2)
                if len(data) < size.width * size.height * 3 // 2:
                    return
                self._take(data, size, 1000 * time.monotonic())
        except (OSError, ValueError) as error:
            self.error = ConfigError(f"the receiver's output cannot be read: {error}")

    def _take(self, data: bytes, size: Size, now_ms: float) -> None:
        luma = size.width * size.height
        chroma = luma // 4
        samples = np.frombuffer(data, np.uint8)
        y = samples[:luma].reshape(size.height, size.width)
        number = read_number(y)
        keep_from = self.keep_from
        with self._lock:
            if number is None:
                self._unreadable += keep_from is not None
                return
            if self._first_ms is None:
                self._first_ms = now_ms
            self._newest = number if self._newest is None else max(self._newest, number)
            if keep_from is None or number < keep_from:
                return
        half = (size.height // 2, size.width // 2)
        frame = Frame(
            y=y,
            u=samples[luma : luma + chroma].reshape(half),
            v=samples[luma + chroma :].reshape(half),
            pts=number,
        )
        self._kept.append(ShownFrame(number=number, shown_ms=now_ms, frame=frame))


def _size_in(header: bytes) -> Size:
    words = header.decode("ascii", "replace").split()
    if not words or words[0] != "YUV4MPEG2":
        raise ValueError("it is not YUV4MPEG2")
    sides = {word[0]: int(word[1:]) for word in words if word[0] in "WH"}
    return Size(width=sides["W"], height=sides["H"])
