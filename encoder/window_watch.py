"""Picks what is trained on beside a stream: about once a second an original and its window."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable

from encoder.sent_pictures import SentPictures
from stream.errors import CodecError
from stream.frame import Frame
from stream.sending_codecs import FrameEncoder, NegotiatedCodec
from stream.trainer_messages import ModelNeeds, TrainingWindow

_log = logging.getLogger(__name__)

FIRST_WINDOWS, FIRST_PERIOD_MS = 12, 250.0
"""So many come faster, since nothing can be learned before there are some."""

PERIOD_MS = 1000.0
WAITING_MS = 3000.0
"""Then the original that was picked is not coded any more: it was dropped."""


class WindowWatch:
    """A `FrameEncoder` around another one, which decodes what that makes. It never waits."""

    def __init__(
        self,
        encoder: FrameEncoder,
        *,
        needs: Callable[[], ModelNeeds | None],
        take: Callable[[TrainingWindow], None],
        clock_ms: Callable[[], float] = lambda: 1000 * time.monotonic(),
    ) -> None:
        """needs: of the model that is trained; None while nothing is. take: is given the windows,
        their original in the source's size; called from the codec's thread.
        """
        self._encoder, self._needs, self._take = encoder, needs, take
        self._clock_ms = clock_ms
        self._given = 0
        self._pictures, self._is_able = SentPictures(), True
        self._lock = threading.Lock()
        self._picked: Frame | None = None
        self._picked_ms = float("-inf")
        self._recent: deque[Frame] = deque()

    def watch(self, original: Frame) -> None:
        """Take a frame before it is shrunk; from the capturing thread."""
        now_ms = self._clock_ms()
        if self._needs() is None:
            return
        with self._lock:
            period_ms = FIRST_PERIOD_MS if self._given < FIRST_WINDOWS else PERIOD_MS
            wait_ms = period_ms if self._picked is None else WAITING_MS
            if now_ms - self._picked_ms >= wait_ms:
                self._picked, self._picked_ms = original, now_ms

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
                    self._note(picture)
            except CodecError as error:
                self._is_able = False
                _log.warning("nothing is learned of this stream: %s", error)
        return data

    def _note(self, picture: Frame) -> None:
        needs = self._needs()
        if needs is None:
            self._recent.clear()
            return
        self._recent.append(picture)
        while len(self._recent) > needs.window:
            self._recent.popleft()
        index = needs.window - 1 - needs.lookahead
        if len(self._recent) < needs.window:
            return
        with self._lock:
            picked = self._picked
            if picked is None or self._recent[index].pts < picked.pts:
                return
            self._picked = None
        lr = tuple(self._recent)
        # A window across a keyframe may be one across a cut, which a receiver does not use.
        is_one_shot = not any(each.is_keyframe for each in lr[1:])
        if lr[index].pts == picked.pts and is_one_shot and len({each.size for each in lr}) == 1:
            self._given += 1
            self._take(TrainingWindow(lr=lr, index=index, original=picked))
