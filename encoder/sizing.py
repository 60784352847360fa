"""Which size each captured frame travels in: as told, or by the ladder as the rate changes."""

from __future__ import annotations

import logging
import threading
from collections import deque

from encoder.content_limits import Content
from encoder.content_meter import ShrinkMeter
from encoder.downscale import Downscaler
from encoder.ladder import DEFAULT_HD, Ladder, fit
from encoder.rung_switch import RungSwitch
from stream.frame import Frame, Size
from stream.scene_cut import SceneCutDetector

_log = logging.getLogger(__name__)


MEASURE_MS = 2_000.0
"""Between two looks at what shrinking costs the pictures at hand."""

MEASURES = 4
"""The mean of so many counts: a size is for scenes, not for single pictures."""


class Sizing:
    """Shrinks frames. One thread calls `shrink`; `follow` may be called from any."""

    def __init__(
        self, box: Size | None, *, bitrate_bps: int, hd: Size = DEFAULT_HD, codec: str = "h264"
    ) -> None:
        """box: what the picture that travels fits in; None for the ladder, which is then for
        receivers that restore to `hd`, and begins with `bitrate_bps` and `codec`.
        """
        self._box, self._hd = box, hd
        self._downscaler, self._cuts = Downscaler(), SceneCutDetector()
        self._lock = threading.Lock()
        self._told = (codec, float(bitrate_bps))
        self._codec = codec
        self._ladder = Ladder(hd, codec=codec)
        self._switch = RungSwitch(self._ladder, bitrate_bps)
        self._effort: tuple[Size, float] | None = None
        self._shrink_meter = ShrinkMeter()
        self._shrunk: deque[tuple[float, ...]] = deque(maxlen=MEASURES)
        self._source_size: Size | None = None
        self._measured_ms = 0.0

    def follow(
        self,
        bitrate_bps: float,
        *,
        codec: str | None = None,
        effort: tuple[Size, float] | None = None,
    ) -> None:
        """The video rate that is aimed at, the codec once it is agreed on, and how hard the
        pictures are to code (`EffortMeter.effort`).
        """
        with self._lock:
            self._told = (codec or self._told[0], bitrate_bps)
            self._effort = effort

    def size_of(self, source: Size) -> Size:
        """The size that a source picture of this size travels in now."""
        if self._box is not None:
            return fit(source, self._box)
        return self._ladder.size(source, self._switch.rung)

    def shrink(self, frame: Frame, *, now_ms: float) -> Frame:
        """The frame in the size that travels."""
        small = self._downscaler.downscale(frame, size=self.size_of(frame.size))
        if self._box is not None:
            return small
        self._fit(frame, now_ms)
        if self._moves(small, now_ms):
            small = self._downscaler.downscale(frame, size=self.size_of(frame.size))
        return small

    def _moves(self, small: Frame, now_ms: float) -> bool:
        """Whether this frame is the first on another rung."""
        with self._lock:
            codec, bitrate_bps = self._told
        is_cut = self._cuts.push(small)
        before = self._ladder.box(self._switch.rung)
        if codec != self._codec:
            self._codec, self._ladder = codec, Ladder(self._hd, codec=codec)
            self._switch = RungSwitch(self._ladder, bitrate_bps)
            self._shrunk.clear()
        rung = self._switch.update(bitrate_bps, is_cut=is_cut, now_ms=now_ms)
        box = self._ladder.box(rung)
        if box == before:
            return False
        _log.info("from here on %s travels, at %.0f kb/s", box, bitrate_bps / 1000)
        return True

    def _fit(self, frame: Frame, now_ms: float) -> None:
        """Now and then, let the ladder's limits follow what the pictures lose."""
        if now_ms - self._measured_ms < MEASURE_MS or not self._ladder.knows_content:
            return
        self._measured_ms = now_ms
        rungs = range(self._ladder.top + 1)
        sizes = [self._ladder.size(frame.size, rung) for rung in rungs]
        if self._shrunk and self._source_size != frame.size:
            self._shrunk.clear()
        self._source_size = frame.size
        self._shrunk.append(self._shrink_meter.measure(frame, sizes=sizes, full=sizes[-1]))
        with self._lock:
            effort = self._effort
        rung = self._switch.rung
        if effort is None or effort[0] != sizes[rung]:
            return  # of another size: it is not known yet how this one is coded
        mean = tuple(sum(each) / len(self._shrunk) for each in zip(*self._shrunk, strict=True))
        content = Content(shrunk=mean, rung=rung, coded=effort[1])
        self._switch.follow(self._ladder.fitted(content))
