"""The ladder: which picture size travels at which bitrate. Pure but for reading its own table.

A receiver restores a small picture to HD better than a codec carries HD at the same rate, until
there are bits enough to carry HD itself. Where one size gives way to the next is measured: after
restoration, for each codec (`ladder_steps.json`, written by `python -m benchmarks.ladder_steps`).
That is where it does so for most clips; for the one at hand see `encoder.content_limits`.
"""

from __future__ import annotations

import json
import math
from bisect import bisect_left
from copy import copy
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from importlib import resources
from typing import Any

from encoder.content_limits import LOWEST_BPS, Content, ContentModel, fitted_limits
from stream.frame import Size

DEFAULT_HD = Size(width=1280, height=720)
"""What a receiver restores to when nobody says otherwise."""

PIXELS_EXPONENT = 0.75
"""Bits for equal quality grow with the number of pixels to this power (a rule of thumb of ladders
in use); for outputs that were not measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LadderSteps:
    """Shares of the sides of HD by rising rate; up_to_bps: the highest rate of all but the last.

    content: what is known of other clips; None where that was not measured.
    """

    codec: str
    hd_lines: int
    up_to_bps: tuple[float, ...]
    shares: tuple[Fraction, ...]
    content: ContentModel | None = None


class Ladder:
    """The rungs for one output size and one codec, the smallest first."""

    def __init__(self, hd: Size = DEFAULT_HD, *, codec: str = "h264") -> None:
        """hd: what the receiver restores to. A codec that was never measured counts as H.264."""
        self._hd = hd
        steps = _closest(measured_steps(), codec=codec, lines=min(hd.width, hd.height))
        pixels = hd.width * hd.height / (steps.hd_lines**2 * 16 / 9)
        self._usual_bps = tuple(bps * pixels**PIXELS_EXPONENT for bps in steps.up_to_bps)
        self._up_to_bps = self._usual_bps
        self._shares, self._content = steps.shares, steps.content

    @property
    def knows_content(self) -> bool:
        """Whether `fitted` makes a difference."""
        return self._content is not None

    def fitted(self, content: Content, *, model: ContentModel | None = None) -> Ladder:
        """The same rungs, with limits for the pictures at hand; model: in place of its own."""
        model = model or self._content
        if model is None:
            return self
        other = copy(self)
        other._up_to_bps = fitted_limits(model, content, self._usual_bps)
        return other

    @property
    def top(self) -> int:
        """Index of the largest rung."""
        return len(self._shares) - 1

    def rung_for(self, bitrate_bps: float) -> int:
        """Index of the rung that is best at a rate: bits a second, video only."""
        return bisect_left(self._up_to_bps, bitrate_bps)

    def limits_bps(self, rung: int) -> tuple[float, float]:
        """Above which rate and up to which a rung is best."""
        low = self._up_to_bps[rung - 1] if rung else 0.0
        return low, self._up_to_bps[rung] if rung < self.top else math.inf

    def box(self, rung: int) -> Size:
        """What the picture that travels fits in."""
        share = self._shares[rung]
        return Size(width=_even(self._hd.width * share), height=_even(self._hd.height * share))

    def size(self, source: Size, rung: int) -> Size:
        """The size to send a source at: its aspect ratio, even sides, never larger than it is."""
        return fit(source, self.box(rung))


def fit(source: Size, box: Size) -> Size:
    """The largest even size of the source's aspect ratio inside `box` and the source.

    A portrait source is fitted into the box turned upright.
    """
    if source.height > source.width:
        box = Size(width=box.height, height=box.width)
    limited = Size(width=min(box.width, source.width), height=min(box.height, source.height))
    return source.fit_inside(limited)


@lru_cache(maxsize=1)
def measured_steps() -> tuple[LadderSteps, ...]:
    """The table that comes with the program."""
    text = resources.files("encoder").joinpath("ladder_steps.json").read_text(encoding="utf-8")
    return tuple(_steps_of(row) for row in json.loads(text)["steps"])


def _steps_of(row: dict[str, Any]) -> LadderSteps:  # Any: values of JSON
    """With what is known of content, sizes that are best for some clips only are rungs, too."""
    up_to_bps, shares = row["up_to_bps"], [Fraction(share) for share in row["shares"]]
    content = None
    if (known := row.get("content")) is not None:
        every = [Fraction(share) for share in known["shares"]]
        up_to_bps = [
            max((bps for bps, at in zip(up_to_bps, shares, strict=False) if at <= share), default=0)
            or LOWEST_BPS
            for share in every[:-1]
        ]
        shares = every
        content = ContentModel(kept=tuple(known["kept"]), growth=tuple(known["growth"]))
    return LadderSteps(
        codec=row["codec"],
        hd_lines=row["hd_lines"],
        up_to_bps=tuple(up_to_bps),
        shares=tuple(shares),
        content=content,
    )


def _closest(rows: tuple[LadderSteps, ...], *, codec: str, lines: int) -> LadderSteps:
    same = [row for row in rows if row.codec == codec]
    candidates = same or [row for row in rows if row.codec == "h264"]
    return min(candidates, key=lambda row: abs(math.log(row.hd_lines / lines)))


def _even(side: Fraction) -> int:
    return max(2, round(side / 2) * 2)
