"""What a model is adapted on, and what proves the result: pieces of a programme's footage.

Nothing that a profile is judged by is trained on. Of much footage whole pieces are set apart; of
little the last part of every piece is: in time order, since the question is always whether what
was learned helps with what comes *later*.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import groupby, islice
from pathlib import Path

import numpy as np

from decoder.training.clip_reader import read_clip
from decoder.training.footage import USUAL_RATE, count_frames, frame_multiple
from stream.errors import ConfigError
from stream.frame import Frame

PIECE_FRAMES = 250
"""Ten seconds: long enough that the start of a stream, coarse as it is, can be left out."""

MOST_PIECES = 24
"""Four minutes of footage, spread over all that is given: more would only take longer to code."""

SHORTEST_PIECE_FRAMES = 24

_SETTLING_FRAMES = 25
"""Left out at the start of a piece: a stream's first second, which comes once, not all evening."""

_WHOLE_PIECES_FROM = 6
"""So many pieces at least, for whole ones to be set apart."""

_TRAINED_SHARE, _CHOSEN_SHARE = 0.70, 0.85
"""Of a piece, where what chooses the best weights begins, and where what proves them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A stretch of a clip that is coded on its own, and what its frames are for.

    first, count: its frames, as the clip's are counted at the usual rate.
    train, choose, prove: those, counted from the piece's first, that are trained on, that tell
    when to stop, and that the finished profile must be better on; none overlaps another.
    """

    clip: Path
    first: int
    count: int
    train: range = range(0)
    choose: range = range(0)
    prove: range = range(0)


def plan_pieces(clips: Sequence[Path], *, most: int = MOST_PIECES) -> list[Piece]:
    """At most `most` pieces of the clips, in order, each with its part to play.

    Raises ConfigError when a clip cannot be read, or all are too short.
    """
    pieces = [piece for clip in clips for piece in _pieces_of(clip)]
    if not pieces:
        raise ConfigError(
            f"clips of at least {SHORTEST_PIECE_FRAMES} frames are needed to adapt to"
        )
    if len(pieces) > most:
        kept = np.linspace(0, len(pieces) - 1, most).round().astype(int)
        pieces = [pieces[index] for index in kept]
    if len(pieces) < _WHOLE_PIECES_FROM:
        return [_divided(piece) for piece in pieces]
    return [_with_role(piece, index) for index, piece in enumerate(pieces)]


def read_pieces(
    pieces: Sequence[Piece], *, scale: int
) -> Iterator[tuple[Piece, list[Frame], Fraction]]:
    """Each piece's frames, their pts counted from 0, and their rate; a clip is read once.

    Sides are multiples of `frame_multiple`. Raises ConfigError when a clip cannot be read.
    """
    for path, of_clip in groupby(pieces, key=lambda piece: piece.clip):
        rate, frames = read_clip(path, multiple_of=frame_multiple(scale), highest_rate=USUAL_RATE)
        position = 0
        for piece in of_clip:
            taken = islice(frames, piece.first - position, piece.first - position + piece.count)
            found = [replace(frame, pts=index) for index, frame in enumerate(taken)]
            position = piece.first + piece.count
            if len(found) < piece.count:
                raise ConfigError(f"{path} ends early: after {piece.first + len(found)} frames")
            yield piece, found, rate


def _pieces_of(clip: Path) -> Iterator[Piece]:
    """The whole clip; a rest that is too short is left out."""
    total, _ = count_frames(clip)
    for first in range(0, total, PIECE_FRAMES):
        count = min(PIECE_FRAMES, total - first)
        if count >= SHORTEST_PIECE_FRAMES:
            yield Piece(clip=clip, first=first, count=count)


def _settled(piece: Piece) -> int:
    return min(_SETTLING_FRAMES, piece.count // 4)


def _with_role(piece: Piece, index: int) -> Piece:
    """Of six pieces the third tells when to stop, the sixth proves."""
    frames = range(_settled(piece), piece.count)
    match index % 6:
        case 2:
            return replace(piece, choose=frames)
        case 5:
            return replace(piece, prove=frames)
        case _:
            return replace(piece, train=frames)


def _divided(piece: Piece) -> Piece:
    first = _settled(piece)
    chosen, proven = (
        first + round(share * (piece.count - first)) for share in (_TRAINED_SHARE, _CHOSEN_SHARE)
    )
    return replace(
        piece,
        train=range(first, chosen),
        choose=range(chosen, proven),
        prove=range(proven, piece.count),
    )
