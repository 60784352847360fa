"""How good the restored picture is, told by the sender: it alone has the original.

Now and then a few frames, as a receiver decodes them, are restored by `edvr-restore`, in a process
of its own at a low priority, and compared with their originals. The process gets decoded
pictures, without the quantisers that a receiver reads from the stream, so the figure is rather a
little too low.
"""

from __future__ import annotations

import logging
import math
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from encoder.downscale import Downscaler
from encoder.sent_pictures import SentPictures
from stream.errors import CodecError, EdvrError
from stream.frame import Frame, Plane, Size
from stream.sending_codecs import FrameEncoder, NegotiatedCodec

_log = logging.getLogger(__name__)

FRAMES = 8
"""Restored at a time; the window of the first and the last ones is not full, so they only help."""

EDGE_FRAMES = 2
PERIOD_MS = 60_000.0
FIRST_AFTER_MS = 5_000.0
"""By then rate control has found its level."""

RESTORE = (sys.executable, "-m", "decoder.restore_cli")
RESTORE_TIMEOUT_S = 120.0
NICENESS = 10
"""Capturing and coding come first."""


class QualityPreview:
    """A `FrameEncoder` around another one, which watches what it makes of the originals."""

    def __init__(
        self,
        encoder: FrameEncoder,
        *,
        hd: Size,
        tell: Callable[[float, int], None] | None = None,
        restore: Sequence[str] = RESTORE,
        first_after_ms: float = FIRST_AFTER_MS,
        period_ms: float = PERIOD_MS,
        niceness: int = NICENESS,
        clock_ms: Callable[[], float] = lambda: 1000 * time.monotonic(),
    ) -> None:
        """hd: what the receiver restores to. tell: is given PSNR-Y in dB and the frames compared;
        None writes them to the log. restore: command line of `edvr-restore`.
        """
        self._encoder, self._hd = encoder, hd
        self._restore, self._niceness = tuple(restore), niceness
        self._tell = _say if tell is None else tell
        self._clock_ms, self._period_ms = clock_ms, period_ms
        self._lock = threading.Lock()
        self._due_ms = clock_ms() + first_after_ms
        self._originals: dict[int, Frame] = {}
        self._sent: dict[int, Frame] = {}
        self._pictures = SentPictures()
        self._is_able = True
        self._work: threading.Thread | None = None
        self._process: subprocess.Popen[str] | None = None

    def watch(self, original: Frame) -> None:
        """Take a frame before it is shrunk; from the capturing thread."""
        if self._clock_ms() < self._due_ms:
            return
        with self._lock:
            if len(self._originals) < FRAMES:
                self._originals[original.pts] = original

    def encode(
        self,
        frame: Frame,
        *,
        codec: NegotiatedCodec,
        force_keyframe: bool,
        remote_estimate_bps: int | None,
    ) -> bytes:
        """See `FrameEncoder.encode`."""
        data = self._encoder.encode(
            frame,
            codec=codec,
            force_keyframe=force_keyframe,
            remote_estimate_bps=remote_estimate_bps,
        )
        if self._is_able and data:
            try:
                for picture in self._pictures.decode(data, codec, frame.pts):
                    self._note_sent(picture)
            except CodecError as error:
                self._is_able = False
                _log.warning("no preview of the quality: %s", error)
        return data

    def wait(self) -> None:
        """Until the restoration that runs has been told."""
        if self._work is not None:
            self._work.join(RESTORE_TIMEOUT_S)

    def close(self) -> None:
        """End a restoration that runs, untold; no new one begins."""
        self._is_able = False
        with self._lock:
            process = self._process
        if process is not None:
            process.kill()
        self.wait()

    def _note_sent(self, picture: Frame) -> None:
        with self._lock:
            if picture.pts in self._originals:
                self._sent[picture.pts] = picture
            if len(self._originals) < FRAMES or picture.pts < max(self._originals):
                return
            # Some may have been dropped before they were coded, or changed their size.
            pairs = [(self._originals[pts], self._sent[pts]) for pts in sorted(self._sent)]
            self._originals, self._sent = {}, {}
            self._due_ms = self._clock_ms() + self._period_ms
        is_busy = self._work is not None and self._work.is_alive()
        if len(pairs) > 2 * EDGE_FRAMES and not is_busy and len({p[1].size for p in pairs}) == 1:
            self._work = threading.Thread(
                target=self._compare, args=(pairs,), name="quality preview", daemon=True
            )
            self._work.start()

    def _compare(self, pairs: list[tuple[Frame, Frame]]) -> None:
        try:
            restored = self._restored([sent for _, sent in pairs])
            downscaler = Downscaler()
            originals = [
                downscaler.downscale(original, size=original.size.fit_inside(self._hd)).y
                for original, _ in pairs
            ]
            values = [_psnr(a, b) for a, b in zip(originals, restored, strict=True)][
                EDGE_FRAMES:-EDGE_FRAMES
            ]
        except (EdvrError, OSError, ValueError, subprocess.SubprocessError) as error:
            if self._is_able:
                _log.warning("no preview of the quality: %s", error)
            self._is_able = False
            return
        self._tell(float(np.mean(values)), len(values))

    def _restored(self, frames: list[Frame]) -> list[Plane]:
        """Luma of the frames after `edvr-restore`."""
        with tempfile.TemporaryDirectory(prefix="edvr-preview-") as folder:
            source, output = Path(folder) / "sent.y4m", Path(folder) / "restored.y4m"
            source.write_bytes(_y4m(frames))
            self._run([*self._restore, str(source), str(output), "--size", str(self._hd)])
            return _luma_of(output.read_bytes())

    def _run(self, command: list[str]) -> None:
        if not self._is_able:
            raise CodecError("it was closed meanwhile")
        with subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            os.setpriority(os.PRIO_PROCESS, process.pid, self._niceness)
            with self._lock:
                self._process = process
            try:
                said = process.communicate(timeout=RESTORE_TIMEOUT_S)[1].strip().splitlines()
            finally:
                process.kill()
                with self._lock:
                    self._process = None
        if process.returncode:
            raise CodecError(said[-1] if said else f"exit status {process.returncode}")


def _y4m(frames: list[Frame]) -> bytes:
    size = frames[0].size
    header = f"YUV4MPEG2 W{size.width} H{size.height} F25:1 Ip A1:1 C420jpeg XCOLORRANGE=LIMITED\n"
    parts = [header.encode()]
    for frame in frames:
        parts += [b"FRAME\n", frame.y.tobytes(), frame.u.tobytes(), frame.v.tobytes()]
    return b"".join(parts)


def _luma_of(data: bytes) -> list[Plane]:
    header, _, rest = data.partition(b"\n")
    sides = {word[:1]: int(word[1:]) for word in header.split()[1:] if word[:1] in b"WH"}
    width, height = sides[b"W"], sides[b"H"]
    step = len(b"FRAME\n") + width * height * 3 // 2
    return [
        np.frombuffer(rest, np.uint8, width * height, at + len(b"FRAME\n")).reshape(height, width)
        for at in range(0, len(rest) - step + 1, step)
    ]


def _psnr(a: Plane, b: Plane) -> float:
    """dB; ValueError for pictures of different sizes."""
    error = float(np.mean(np.square(a.astype(np.int16) - b, dtype=np.int32)))
    return 10 * math.log10(255**2 / max(error, 1e-3))


def _say(psnr_y_db: float, frames: int) -> None:
    _log.info("restored, %d frames of what was sent have PSNR-Y %.1f dB", frames, psnr_y_db)
