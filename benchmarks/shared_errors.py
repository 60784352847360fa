"""What a frame's neighbours could give: `python -m benchmarks.shared_errors CLIP...`.

Restoration from several frames lives on errors that differ from frame to frame. A codec predicts
each frame from the one before, and copies its errors along. For each clip, codec and bitrate: the
correlation of the coding errors of a frame and of its neighbours, where both can be matched by
moving blocks, and what the mean of three perfectly aligned frames could gain at most.
"""

from __future__ import annotations

import argparse
import math
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from benchmarks.result_file import write_result
from decoder.training.clip_reader import read_clip
from decoder.training.sent_clip import CODECS, SentRung, code_as_sent, decoded_frames
from encoder.downscale import Downscaler
from stream.config import parse_bitrate, parse_size
from stream.frame import Size

Samples: TypeAlias = NDArray[np.float32]

BLOCK, REACH = 8, 7
"""Side of a block, and how far it is looked for, in LR samples."""

SETTLED = 30
"""Frames after which the rate control has settled; every `STRIDE`-th from there is looked at."""
STRIDE = 4

UNLIKE = 4.0
"""Mean difference in levels above which a block has no match."""

MOTION_COST = 2
"""Levels that a block must gain, in sum, for each sample it moves: flat blocks stay."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedError:
    """correlation: 1 when neighbours have the same errors, 0 when theirs are independent."""

    clip: str
    codec: str
    bitrate_bps: int
    correlation: float

    @property
    def bound_db(self) -> float:
        """What the mean of three aligned frames gains when all errors are equally large."""
        return -10 * math.log10((1 + 2 * self.correlation) / 3)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print. Returns the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("clips", nargs="+", type=Path)
    parser.add_argument("--size", type=parse_size, default=Size(width=640, height=360))
    parser.add_argument("--bitrates", nargs="+", type=parse_bitrate, default=[110_000, 210_000])
    parser.add_argument("--json", type=Path, help="file to write the figures to")
    options = parser.parse_args(arguments)
    rows = []
    for clip in options.clips:
        for row in shared_errors(clip, size=options.size, bitrates_bps=options.bitrates):
            print(
                f"{row.clip:32s} {row.codec:5s} {row.bitrate_bps // 1000:4d}k  correlation "
                f"{row.correlation:.2f}, at most {row.bound_db:+.2f} dB",
                flush=True,
            )
            rows.append(asdict(row) | {"bound_db": round(row.bound_db, 3)})
    if options.json:
        write_result(options.json, "shared_errors", {"size": str(options.size), "rows": rows})
    return 0


def shared_errors(clip: Path, *, size: Size, bitrates_bps: Sequence[int]) -> list[SharedError]:
    """Code the first two seconds of `clip` as the sender does, by each codec at each bitrate."""
    downscaler = Downscaler()
    count = SETTLED + 5 * STRIDE
    pictures = islice(read_clip(clip, multiple_of=4)[1], count)
    originals = [
        downscaler.downscale(picture, size=size).y.astype(np.float32) for picture in pictures
    ]
    rungs = [
        SentRung(size=size, bitrate_bps=bitrate_bps, codec=codec)
        for codec in CODECS
        for bitrate_bps in bitrates_bps
    ]
    found = []
    with tempfile.TemporaryDirectory(prefix="edvr-errors-") as folder:
        files = code_as_sent(clip, rungs, Path(folder))
        for rung in rungs:
            frames = islice(decoded_frames(files[rung], rung.codec), count)
            decoded = [frame.y.astype(np.float32) for frame in frames]
            found.append(
                SharedError(
                    clip=clip.stem,
                    codec=rung.codec,
                    bitrate_bps=rung.bitrate_bps,
                    correlation=round(error_correlation(originals, decoded), 4),
                )
            )
    return found


def error_correlation(originals: Sequence[Samples], decoded: Sequence[Samples]) -> float:
    """Of the errors of frames (h, w) with those of the next and the last, moved onto them."""
    products = own = others = 0.0
    for at in range(SETTLED, min(len(originals), len(decoded)) - 1, STRIDE):
        for neighbour in (at - 1, at + 1):
            rows, columns, is_alike = matched(originals[at], originals[neighbour])
            height, width = is_alike.shape
            error = (decoded[at] - originals[at])[:height, :width][is_alike]
            moved = (decoded[neighbour] - originals[neighbour])[rows, columns][is_alike]
            products += float((error * moved).sum())
            own += float((error**2).sum())
            others += float((moved**2).sum())
    return products / math.sqrt(own * others) if own and others else 0.0


def matched(
    frame: Samples, neighbour: Samples
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.bool_]]:
    """By full search, block by block: rows and columns of `neighbour` that show what each sample of
    `frame` shows, and where they do, all (h, w) without what is less than a block.
    """
    down, across = (length // BLOCK for length in frame.shape)
    height, width = down * BLOCK, across * BLOCK
    padded = np.pad(neighbour, REACH, mode="edge")
    least = np.full((down, across), np.inf)
    moves = np.zeros((2, down, across), np.intp)
    for y in range(-REACH, REACH + 1):
        for x in range(-REACH, REACH + 1):
            there = padded[REACH + y :, REACH + x :][:height, :width]
            apart = np.abs(there - frame[:height, :width])
            cost = apart.reshape(down, BLOCK, across, BLOCK).sum((1, 3))
            cost += MOTION_COST * (abs(x) + abs(y))
            moves[:, cost < least] = [[y], [x]]
            least = np.minimum(least, cost)
    down_by, right_by = (np.kron(move, np.ones((BLOCK, BLOCK), np.intp)) for move in moves)
    rows = np.clip(np.arange(height)[:, None] + down_by, 0, neighbour.shape[0] - 1)
    columns = np.clip(np.arange(width)[None] + right_by, 0, neighbour.shape[1] - 1)
    is_alike = np.kron(least < UNLIKE * BLOCK**2, np.ones((BLOCK, BLOCK))).astype(bool)
    return rows, columns, is_alike


if __name__ == "__main__":
    raise SystemExit(main())
