"""What shrinking and coding cost each clip, for a ladder that follows the pictures at hand.

`python -m benchmarks.ladder_content CLIP… --out FOLDER [--json FILE]` codes the clips as the
bandwidth benchmark does (in the same FOLDER it takes what that has coded), in every size and codec
of the ladder, and writes the mean squared error of shrinking by size, and of coding by size, codec
and rate. `python -m benchmarks.ladder_steps` learns from it and from the bandwidth benchmark's
results how these errors depend on each other (`ladder_model`).
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.bandwidth.clips import BenchClip, prepare_clips
from benchmarks.bandwidth.coding import CodedClip, code_clip, decoded
from benchmarks.bandwidth.codings import DIRECT_CODINGS, Coding, small_coding
from benchmarks.bandwidth.config import RUNGS, BandwidthConfig
from benchmarks.bandwidth.store import Store
from benchmarks.result_file import write_result
from encoder.content_meter import ShrinkMeter
from encoder.downscale import Downscaler
from stream.errors import ConfigError, EdvrError
from stream.frame import Size

RESULT = Path(__file__).parent / "results" / "ladder-content.json"
LINES = 720
DIRECT = {"h264": "x264-veryfast", "av1": "sender-av1"}
"""Which coding of the full picture is the sender's own, by codec."""

MEASURED_FRAMES = 3
"""Every so many frames are compared."""

Row = Mapping[str, Any]
"""One line of the result. Any: values of JSON."""


def measure(clip: BenchClip, store: Store, config: BandwidthConfig) -> Iterator[dict[str, Any]]:
    """Rows of one clip: clip, lines, codec (None: of shrinking), wire_bps and mse."""
    frames = list(clip.read())
    taken = frames[::MEASURED_FRAMES]
    sizes = {round(share * LINES): _size(clip.size, share) for share in (*RUNGS, 1.0)}
    meter = ShrinkMeter()
    small = [size for size in sizes.values() if size != clip.size]
    shrunk = np.mean([meter.measure(f, sizes=small, full=clip.size) for f in taken], axis=0)
    for lines, mse in zip(sizes, shrunk, strict=False):
        yield {"clip": clip.name, "lines": lines, "codec": None, "mse": round(float(mse), 3)}
    downscaler = Downscaler()
    for lines, size in sizes.items():
        originals = [downscaler.downscale(frame, size=size).y for frame in taken]
        for codec, rate, coding in _codings(lines == LINES, config):
            coded = code_clip(clip, coding, size=size, target_bps=rate, store=store)
            yield {
                "clip": clip.name,
                "lines": lines,
                "codec": codec,
                "target_bps": rate,
                "wire_bps": round(coded.wire_bps),
                "mse": round(_coded_mse(coded, originals), 3),
            }


def _codings(is_full: bool, config: BandwidthConfig) -> list[tuple[str, int, Coding]]:
    direct = {coding.name: coding for coding in DIRECT_CODINGS}
    return [
        (codec, rate, direct[name] if is_full else small_coding(codec))
        for codec, name in DIRECT.items()
        for rate in (config.direct_bitrates if is_full else config.bitrates)
    ]


def _coded_mse(coded: CodedClip, originals: Sequence[Any]) -> float:
    errors = []
    for index, frame in enumerate(decoded(coded)):
        number, rest = divmod(index - coded.lead_in, MEASURED_FRAMES)
        if index >= coded.lead_in and rest == 0:
            difference = originals[number].astype(np.int16) - frame.y
            errors.append(np.mean(np.square(difference, dtype=np.int32)))
    return float(np.mean(errors))


def _size(full: Size, share: float) -> Size:
    width, height = (2 * round(side * share / 2) for side in (full.width, full.height))
    return Size(width=width, height=height)


@dataclass(frozen=True, slots=True, kw_only=True)
class Losses:
    """Measured rows by clip: shrunk by share of the sides, coded by codec and share as
    (ln of the rate, ln of the error) by rising rate.
    """

    shrunk: Mapping[str, Mapping[Fraction, float]]
    coded: Mapping[tuple[str, str, Fraction], Sequence[tuple[float, float]]]

    @classmethod
    def of(cls, rows: Sequence[Row]) -> Losses:
        """Raises KeyError or ValueError for rows of another kind."""
        shrunk: dict[str, dict[Fraction, float]] = {}
        coded: dict[tuple[str, str, Fraction], list[tuple[float, float]]] = {}
        for row in rows:
            share = Fraction(int(row["lines"]), LINES)
            clip, mse = str(row["clip"]), float(row["mse"])
            if row["codec"] is None:
                shrunk.setdefault(clip, {Fraction(1): 0.0})[share] = mse
            else:
                entry = (math.log(float(row["wire_bps"])), math.log(max(mse, 1e-3)))
                coded.setdefault((str(row["codec"]), clip, share), []).append(entry)
        return cls(shrunk=shrunk, coded={key: sorted(curve) for key, curve in coded.items()})

    @property
    def clips(self) -> list[str]:
        """Those that were measured."""
        return sorted(self.shrunk)

    @property
    def shares(self) -> list[Fraction]:
        """Of the sides, the smallest first."""
        return sorted({share for by_share in self.shrunk.values() for share in by_share})

    def coded_mse(self, codec: str, clip: str, share: Fraction, bps: float) -> float:
        """Between the measured rates, and a little beyond as between the last two."""
        curve = self.coded[codec, clip, share]
        rates, errors = ([entry[part] for entry in curve] for part in (0, 1))
        at = math.log(bps)
        if at < rates[0] or at > rates[-1]:
            near, next_one = (0, 1) if at < rates[0] else (-1, -2)
            slope = (errors[next_one] - errors[near]) / (rates[next_one] - rates[near])
            return math.exp(errors[near] + slope * (at - rates[near]))
        return math.exp(float(np.interp(at, rates, errors)))


def losses_of(path: Path = RESULT) -> Losses:
    """Raises ConfigError for a file that this did not write."""
    try:
        return Losses.of(json.loads(path.read_text(encoding="utf-8"))["figures"]["rows"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(f"{path} holds no results of ladder_content") from error


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="ladder_content", description=__doc__.splitlines()[0])
    parser.add_argument("clips", nargs="+", type=Path)
    parser.add_argument("--out", type=Path, required=True, help="folder of a bandwidth benchmark")
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--json", type=Path, default=RESULT)
    options = parser.parse_args(arguments)
    config, rows = BandwidthConfig(), []
    try:
        clips = prepare_clips(
            tuple(options.clips),
            options.out / "clips",
            short_side=LINES,
            seconds=options.seconds,
        )
        store = Store(options.out / "store")
        for clip in clips:
            for row in measure(clip, store, config):
                rows.append(row)
                print(*row.values())
        write_result(options.json, "ladder_content", {"seconds": options.seconds, "rows": rows})
    except (EdvrError, ConfigError) as error:
        print(f"ladder_content: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
