"""Plays a clip into a sender, in real time, every picture with its number drawn in."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Sequence

from benchmarks.live.time_code import MAX_NUMBER, draw_number
from decoder.video_output import exact_rate
from stream.errors import ConfigError
from stream.frame import Frame

HOST = "127.0.0.1"
TAIL_FRAMES = 12
"""Fed after the measured ones, so that those which wait for a future get one."""


class ClipFeed:
    """A TCP server with one client, which reads YUV4MPEG2 from it: for the sender a live source.

    The clip is repeated until `begin`: a sender that has only just connected, and whose codec has
    yet to settle, is not what is measured. The next repetition is; after it the feed ends.
    """

    def __init__(self, clip: Sequence[Frame], *, frame_rate: float) -> None:
        """clip: frames of one size. Raises ConfigError when it is empty."""
        if not clip:
            raise ConfigError("the clip has no pictures")
        self._clip, self._frame_rate = clip, frame_rate
        self._server = socket.create_server((HOST, 0))
        self._server.settimeout(0.2)
        self._begin, self._stopping = threading.Event(), threading.Event()
        self._lock = threading.Lock()
        self._fed_ms: dict[int, float] = {}
        self._first: int | None = None
        self.finished = threading.Event()
        self._thread = threading.Thread(target=self._run, name="clip feed", daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """What the sender is to open."""
        return f"tcp://{HOST}:{self._server.getsockname()[1]}"

    @property
    def fed_ms(self) -> dict[int, float]:
        """When each picture so far was handed over (its glass), monotonic, by its number."""
        with self._lock:
            return dict(self._fed_ms)

    @property
    def first(self) -> int | None:
        """Number of the first measured picture; None before it is fed."""
        with self._lock:
            return self._first

    def begin(self) -> None:
        """Measure from the clip's next start on."""
        self._begin.set()

    def close(self) -> None:
        """Stop feeding; callable twice."""
        self._stopping.set()
        self._thread.join(timeout=5)
        self._server.close()

    def _run(self) -> None:
        try:
            connection = self._accept()
            if connection is not None:
                with connection:
                    self._play(connection)
        except OSError:
            pass  # the sender is gone: its exit status tells why
        finally:
            self.finished.set()

    def _accept(self) -> socket.socket | None:
        while not self._stopping.is_set():
            try:
                return self._server.accept()[0]
            except TimeoutError:
                continue
        return None

    def _play(self, connection: socket.socket) -> None:
        connection.settimeout(10.0)
        rate, size = exact_rate(self._frame_rate), self._clip[0].size
        header = f"YUV4MPEG2 W{size.width} H{size.height} F{rate.numerator}:{rate.denominator}"
        connection.sendall(f"{header} Ip A1:1 C420jpeg XCOLORRANGE=LIMITED\n".encode())
        start_s, interval_s = time.monotonic(), 1 / self._frame_rate
        first: int | None = None
        for number in range(MAX_NUMBER + 1):
            if first is None and self._begin.is_set() and number:
                first = number
                with self._lock:
                    self._first = number
            shown = number if first is None else number - first
            if first is not None and shown >= len(self._clip) + TAIL_FRAMES:
                return
            last = len(self._clip) - 1
            index = shown % len(self._clip) if first is None else min(shown, last)
            frame = draw_number(self._clip[index], number)
            if self._stopping.wait(max(0.0, start_s + number * interval_s - time.monotonic())):
                return
            with self._lock:
                self._fed_ms[number] = 1000 * time.monotonic()
            connection.sendall(b"FRAME\n")
            for plane in (frame.y, frame.u, frame.v):
                connection.sendall(plane.data.cast("B"))
