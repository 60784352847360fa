"""Places of a clip that no patch may show: a station's logo, a clock, subtitles."""

from __future__ import annotations

import re
from dataclasses import dataclass

from stream.errors import ConfigError

_FORM = re.compile(r"(?P<name>\S.*?)\s+(\d+),(\d+),(\d+),(\d+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mask:
    """A rectangle of one clip that is never cut.

    left, top: its first column and row; right, bottom: those after its last, in luma samples of
    the upright picture whose short side is at most 720, as training reads it.
    Raises ConfigError when it is empty.
    """

    name: str
    left: int
    top: int
    right: int
    bottom: int

    def __post_init__(self) -> None:
        if self.left >= self.right or self.top >= self.bottom:
            raise ConfigError(f"the mask of {self.name} is empty: it must be LEFT,TOP,RIGHT,BOTTOM")

    @classmethod
    def parse(cls, text: str) -> Mask:
        """ "clip.mp4 1115,20,1246,59" -> mask; ConfigError for anything else."""
        found = _FORM.fullmatch(text.strip())
        if found is None:
            raise ConfigError(f"mask {text!r} must look like 'clip.mp4 LEFT,TOP,RIGHT,BOTTOM'")
        left, top, right, bottom = (int(found[group]) for group in range(2, 6))
        return cls(name=found["name"], left=left, top=top, right=right, bottom=bottom)

    def covers(self, x: int, y: int, side: int) -> bool:
        """Whether it reaches into the square of `side` samples whose corner is (x, y)."""
        return x < self.right and self.left < x + side and y < self.bottom and self.top < y + side
