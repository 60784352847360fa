"""A frame number that a machine reads back from a picture, after coding and scaling. Pure.

The number stands in bars across the top of the picture as a reflected binary (Gray) code with a
parity bar, so that from one picture to the next only two bars change: this keeps what the code
itself costs the codec small, and the same for everything that is compared.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from stream.errors import ConfigError
from stream.frame import NEUTRAL_CHROMA, Frame, Plane

NUMBER_BARS = 13
MAX_NUMBER = 2**NUMBER_BARS - 1
"""2.7 minutes at 50 frames a second."""

_BARS = NUMBER_BARS + 1
_DARK, _BRIGHT = 64, 192
_AMBIGUOUS = 20
"""A bar within this of the middle level is neither dark nor bright: the code is not read."""

STRIP_SHARE = 15
"""The strip takes one in so many of the picture's rows: 48 of 720, 12 of 180."""

MARGIN_SHARE = 45
"""Below the strip, rows that filters and restoration may have mixed with it."""


def strip_rows(height: int) -> int:
    """Rows that the code covers, an even number."""
    return max(2, height // STRIP_SHARE // 2 * 2)


def measured_rows(height: int) -> slice:
    """The rows of a luma plane whose quality the code does not touch."""
    return slice(strip_rows(height) + height // MARGIN_SHARE, height)


def draw_number(frame: Frame, number: int) -> Frame:
    """The frame with the number in its top rows. Raises ConfigError beyond 0..MAX_NUMBER."""
    if not 0 <= number <= MAX_NUMBER:
        raise ConfigError(f"frame number {number} does not fit {NUMBER_BARS} bars")
    rows = strip_rows(frame.size.height)
    gray = number ^ number >> 1
    bits = [gray >> bar & 1 for bar in range(NUMBER_BARS)]
    bits.append(sum(bits) & 1)
    columns = np.arange(frame.size.width) * _BARS // frame.size.width
    levels = np.where(np.array(bits)[columns] == 1, _BRIGHT, _DARK).astype(np.uint8)
    y, u, v = frame.y.copy(), frame.u.copy(), frame.v.copy()
    y[:rows] = levels
    u[: rows // 2] = v[: rows // 2] = NEUTRAL_CHROMA
    return replace(frame, y=y, u=u, v=v)


def read_number(luma: Plane) -> int | None:
    """The number in a luma plane (H, W) of any size; None where it is not clear."""
    height, width = luma.shape
    rows = strip_rows(height)
    middle_rows = luma[rows // 4 : max(rows // 4 + 1, rows - rows // 4)]
    bits = []
    for bar in range(_BARS):
        left, right = bar * width // _BARS, (bar + 1) * width // _BARS
        margin = (right - left) // 4
        level = float(middle_rows[:, left + margin : right - margin].mean())
        if abs(level - (_DARK + _BRIGHT) / 2) < _AMBIGUOUS:
            return None
        bits.append(int(level > (_DARK + _BRIGHT) / 2))
    if sum(bits) & 1:
        return None
    number = 0
    for bar in reversed(range(NUMBER_BARS)):  # Gray to binary: each bit flips all below it
        number |= (bits[bar] ^ number >> (bar + 1) & 1) << bar
    return number
