"""Codes a file exactly as the live path would, rung by rung.

`python -m encoder.encode_file CLIP OUT_DIR --codec av1 --rung 640x360@150k --rung 320x180@60k`

Training and measuring need what the sender emits, not what some other encoder would: the same
downscaling filter, codec settings, rate control and keyframe decisions, without a network between.
Each rung becomes OUT_DIR/WIDTHxHEIGHT@BITS_PER_SECOND.h264 (Annex B) or .ivf (AV1), with one access
unit for each frame of the clip.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Protocol, assert_never, get_args

from encoder.capture import open_source
from encoder.downscale import Downscaler
from encoder.ivf import IvfWriter
from encoder.source import SourceConfig
from encoder.video_encoder import (
    AV1Settings,
    CodecName,
    CodecSettings,
    H264Settings,
    open_video_encoder,
)
from stream.config import parse_bitrate, parse_size
from stream.errors import ConfigError, EdvrError
from stream.frame import Frame, Size
from stream.scene_cut import SceneCutDetector


@dataclass(frozen=True, slots=True, kw_only=True)
class OfflineRung:
    """One size and rate to code the clip at, and the codec to do it with."""

    size: Size
    bitrate_bps: int
    codec: CodecName = "h264"

    @classmethod
    def parse(cls, text: str, *, codec: CodecName = "h264") -> OfflineRung:
        """ "640x360@150k" -> rung; ConfigError for anything else."""
        size, at, bitrate = text.partition("@")
        if not at:
            raise ConfigError(f"rung {text!r} must look like 640x360@150k")
        return cls(size=parse_size(size), bitrate_bps=parse_bitrate(bitrate), codec=codec)

    @property
    def file_name(self) -> str:
        """Name of the file that this rung is written to."""
        suffix = {"h264": "h264", "av1": "ivf"}[self.codec]
        return f"{self.size}@{self.bitrate_bps}.{suffix}"

    def settings(self, frame_rate: float) -> CodecSettings:
        """Those of the live path."""
        match self.codec:
            case "h264":
                return H264Settings(
                    size=self.size, target_bitrate_bps=self.bitrate_bps, frame_rate=frame_rate
                )
            case "av1":
                return AV1Settings(
                    size=self.size, target_bitrate_bps=self.bitrate_bps, frame_rate=frame_rate
                )
            case _:
                assert_never(self.codec)


class _CodedFile(Protocol):
    def write(self, access_unit: bytes, /) -> object: ...

    def close(self) -> None: ...


def _open_file(rung: OfflineRung, folder: Path, frame_rate: float) -> _CodedFile:
    path = folder / rung.file_name
    if rung.codec == "av1":
        rate = Fraction(frame_rate).limit_denominator(1001)
        return IvfWriter(path, size=rung.size, frame_rate=rate)
    return path.open("wb")


def encode_file(
    clip: str, folder: Path, *, rungs: Sequence[OfflineRung], limit: int | None = None
) -> int:
    """Code the first `limit` frames (all if None) at every rung; returns the number of frames.

    Raises ConfigError when the clip cannot be read, FrameError when a rung is larger than it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    source = open_source(SourceConfig(url=clip, audio=False))
    downscaler, cuts, count = Downscaler(), SceneCutDetector(), 0
    encoders = {rung: open_video_encoder(rung.settings(source.info.fps)) for rung in rungs}
    files = {rung: _open_file(rung, folder, source.info.fps) for rung in rungs}
    try:
        while limit is None or count < limit:
            frame = source.read()
            if frame is None:
                break
            if not isinstance(frame, Frame):
                continue
            is_cut = cuts.push(frame)
            small = {
                size: downscaler.downscale(frame, size=size)
                for size in {rung.size for rung in rungs}
            }
            for rung, encoder in encoders.items():
                coded = encoder.encode(small[rung.size], force_keyframe=is_cut)
                files[rung].write(coded.data)
            count += 1
    finally:
        source.close()
        for file in files.values():
            file.close()
        for encoder in encoders.values():
            encoder.close()
    return count


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="encode_file", description=__doc__.splitlines()[0])
    parser.add_argument("clip")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rung", action="append", required=True, help="WIDTHxHEIGHT@BITRATE")
    parser.add_argument("--codec", choices=get_args(CodecName), default="h264")
    parser.add_argument("--frames", type=int, default=None)
    options = parser.parse_args(arguments)
    try:
        rungs = [OfflineRung.parse(text, codec=options.codec) for text in options.rung]
        encode_file(options.clip, options.folder, rungs=rungs, limit=options.frames)
    except EdvrError as error:
        print(f"encode_file: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
