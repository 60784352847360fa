"""Text for the test scene: a 5x7 dot font, drawn crisp when small and rounded when large. Pure."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.float32]

ROWS, COLUMNS = 7, 5

# One glyph a letter: seven rows from the top, five dots each, the leftmost in bit 4.
_GLYPHS = {
    "A": "0E 11 11 1F 11 11 11", "B": "1E 11 11 1E 11 11 1E", "C": "0E 11 10 10 10 11 0E",
    "D": "1E 11 11 11 11 11 1E", "E": "1F 10 10 1E 10 10 1F", "F": "1F 10 10 1E 10 10 10",
    "G": "0E 11 10 17 11 11 0E", "H": "11 11 11 1F 11 11 11", "I": "0E 04 04 04 04 04 0E",
    "J": "07 02 02 02 02 12 0C", "K": "11 12 14 18 14 12 11", "L": "10 10 10 10 10 10 1F",
    "M": "11 1B 15 15 11 11 11", "N": "11 11 19 15 13 11 11", "O": "0E 11 11 11 11 11 0E",
    "P": "1E 11 11 1E 10 10 10", "Q": "0E 11 11 11 15 12 0D", "R": "1E 11 11 1E 14 12 11",
    "S": "0F 10 10 0E 01 01 1E", "T": "1F 04 04 04 04 04 04", "U": "11 11 11 11 11 11 0E",
    "V": "11 11 11 11 11 0A 04", "W": "11 11 11 15 15 1B 11", "X": "11 11 0A 04 0A 11 11",
    "Y": "11 11 0A 04 04 04 04", "Z": "1F 01 02 04 08 10 1F", "0": "0E 11 13 15 19 11 0E",
    "1": "04 0C 04 04 04 04 0E", "2": "0E 11 01 02 04 08 1F", "3": "1F 02 04 02 01 11 0E",
    "4": "02 06 0A 12 1F 02 02", "5": "1F 10 1E 01 01 11 0E", "6": "06 08 10 1E 11 11 0E",
    "7": "1F 01 02 04 08 08 08", "8": "0E 11 11 0E 11 11 0E", "9": "0E 11 11 0F 01 02 0C",
    "a": "00 00 0E 01 0F 11 0F", "b": "10 10 16 19 11 11 1E", "c": "00 00 0E 10 10 11 0E",
    "d": "01 01 0D 13 11 11 0F", "e": "00 00 0E 11 1F 10 0E", "f": "06 09 08 1C 08 08 08",
    "g": "00 0F 11 11 0F 01 0E", "h": "10 10 16 19 11 11 11", "i": "04 00 0C 04 04 04 0E",
    "j": "02 00 06 02 02 12 0C", "k": "10 10 12 14 18 14 12", "l": "0C 04 04 04 04 04 0E",
    "m": "00 00 1A 15 15 11 11", "n": "00 00 16 19 11 11 11", "o": "00 00 0E 11 11 11 0E",
    "p": "00 00 1E 11 1E 10 10", "q": "00 00 0D 13 0F 01 01", "r": "00 00 16 19 10 10 10",
    "s": "00 00 0E 10 0E 01 1E", "t": "08 08 1C 08 08 09 06", "u": "00 00 11 11 11 13 0D",
    "v": "00 00 11 11 11 0A 04", "w": "00 00 11 11 15 15 0A", "x": "00 00 11 0A 04 0A 11",
    "y": "00 00 11 11 0F 01 0E", "z": "00 00 1F 02 04 08 1F", " ": "00 00 00 00 00 00 00",
    ".": "00 00 00 00 00 0C 0C", ",": "00 00 00 00 0C 04 08", ":": "00 0C 0C 00 0C 0C 00",
    "-": "00 00 00 1F 00 00 00", "/": "00 01 02 04 08 10 00", "!": "04 04 04 04 00 00 04",
    "+": "00 04 04 1F 04 04 00", "%": "18 19 02 04 08 13 03", "&": "0C 12 14 08 15 12 0D",
}  # fmt: skip

_DOT_SAMPLES = 12
"""Resolution in samples a dot at which large letters are rounded."""


def text_dots(text: str) -> Mask:
    """The dots of one line, (7, 6 * len(text)) of 0 or 1; unknown characters are blank."""
    dots = np.zeros((ROWS, (COLUMNS + 1) * max(1, len(text))), np.float32)
    for position, letter in enumerate(text):
        rows = [int(row, 16) for row in _GLYPHS.get(letter, _GLYPHS[" "]).split()]
        for column in range(COLUMNS):
            bit = 1 << (COLUMNS - 1 - column)
            dots[:, position * (COLUMNS + 1) + column] = [bool(row & bit) for row in rows]
    return dots


def text_mask(text: str, height: int) -> Mask:
    """One line of text, coverage 0..1, (height, proportional width).

    Up to two samples a dot the dots are drawn as they are, above that with rounded outlines.
    """
    dots = text_dots(text)
    dot = height / ROWS
    if dot <= 2:
        return _resample(dots, dot)
    fine = np.kron(dots, np.ones((_DOT_SAMPLES, _DOT_SAMPLES), np.float32))
    kernel = np.hanning(_DOT_SAMPLES + 2)[1:-1]
    kernel /= kernel.sum()
    for axis in (0, 1):
        fine = np.apply_along_axis(np.convolve, axis, fine, kernel, "same").astype(np.float32)
    rounded = np.clip((fine - 0.36) * 8, 0, 1)
    return _resample(rounded, dot / _DOT_SAMPLES)


def _resample(mask: Mask, scale: float, samples: int = 4) -> Mask:
    """Area sampling by `samples` x `samples` taps in each target sample."""
    height = max(1, round(mask.shape[0] * scale))
    width = max(1, round(mask.shape[1] * scale))
    rows = ((np.arange(height * samples) + 0.5) / (height * samples) * mask.shape[0]).astype(int)
    columns = ((np.arange(width * samples) + 0.5) / (width * samples) * mask.shape[1]).astype(int)
    taps = mask[rows][:, columns].reshape(height, samples, width, samples)
    return np.asarray(taps.mean(axis=(1, 3)), np.float32)
