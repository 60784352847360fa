"""What became of the frames of a stream. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class RestorerCounts:
    """Frames by a network, by Lanczos as wanted, by Lanczos in need; held: damaged ones, in whose
    place the last good picture was shown.

    by_tier: all of them by the name of the tier that they are from, or mostly from.
    """

    restored: int = 0
    resized: int = 0
    failed: int = 0
    held: int = 0
    by_tier: Mapping[str, int] = field(default_factory=dict)
