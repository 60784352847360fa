"""Clips as a receiver gets them: coded by the sender's own tool, decoded, with their quantisers.

The sender's tool runs in a process of its own, since the receiver's package never imports the
sender's.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import av

from stream.errors import CodecError
from stream.frame import Frame, Size
from stream.frame_av import frame_from_av
from stream.h264_quantiser import QuantiserReader

_ROOT = Path(__file__).parents[2]
"""Where the packages lie, in a copy of the repository and where they are installed alike."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SentRung:
    """A size and a bitrate that a clip is coded at."""

    size: Size
    bitrate_bps: int

    def __str__(self) -> str:
        return f"{self.size}@{self.bitrate_bps}"


def code_as_sent(clip: Path, rungs: Sequence[SentRung], folder: Path) -> dict[SentRung, Path]:
    """Downscale and code a clip at every rung, in the sender's live settings.

    Returns the raw H.264 file of each rung, in `folder`; equal rungs share one.
    Raises CodecError, with what the sender's tool said, when it refuses.
    """
    command = [sys.executable, "-m", "encoder.encode_file", str(clip), str(folder)]
    for rung in dict.fromkeys(rungs):
        command += ["--rung", str(rung)]
    paths = [str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        raise CodecError(f"coding {clip.name} failed: {_last_line(done.stderr)}")
    return {rung: folder / f"{rung}.h264" for rung in rungs}


def decoded_frames(path: Path) -> Iterator[Frame]:
    """Decode a raw H.264 file, each frame with the quantiser it was coded with; pts counts frames.

    Raises CodecError when it cannot be decoded.
    """
    reader = QuantiserReader()
    quantisers: dict[int, float | None] = {}
    index = 0
    try:
        with av.open(f"file:{path}", format="h264") as container:
            codec = av.CodecContext.create("h264", "r")
            for number, raw in enumerate(container.demux(video=0)):
                packet = None
                if raw.size:
                    packet = av.Packet(bytes(raw))
                    packet.pts = number  # so that a decoder that holds frames back mixes none up
                    quantisers[number] = reader.read(bytes(raw))
                for picture in codec.decode(packet):
                    number_in = -1 if picture.pts is None else picture.pts
                    quantiser = quantisers.pop(number_in, None)
                    yield frame_from_av(picture, pts=index, quantiser=quantiser)
                    index += 1
    except av.FFmpegError as error:
        raise CodecError(f"{path.name} cannot be decoded: {error}") from error


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1] if lines else "it said nothing"
