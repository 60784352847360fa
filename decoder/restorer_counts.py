"""What became of the frames of a stream. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class RestorerCounts:
    """Frames by a network, by Lanczos as configured, by Lanczos in need; held: damaged ones, in
    whose place the last good picture was shown.
    """

    restored: int
    resized: int
    failed: int
    held: int = 0
