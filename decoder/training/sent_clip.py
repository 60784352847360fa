"""Clips as a receiver gets them: coded by the sender's own tool, decoded, with their quantisers.

The sender's tool runs in a process of its own, since the receiver's package never imports the
sender's.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import av

from stream import rtp_av1
from stream.errors import CodecError
from stream.frame import Frame, Size
from stream.jitter_buffer import CodedFrame
from stream.video_decode import VideoDecoder

_ROOT = Path(__file__).parents[2]
"""Where the packages lie, in a copy of the repository and where they are installed alike."""

CODECS = ("h264", "av1")
"""What the sender's tool codes."""

_CONTAINERS = {".h264": "h264", ".obu": "obu", ".ivf": "ivf"}
"""Suffix of what it writes -> FFmpeg's name of the format."""

CODED_SUFFIXES = tuple(_CONTAINERS)


@dataclass(frozen=True, slots=True, kw_only=True)
class SentRung:
    """A size, a bitrate and a codec that a clip is coded with."""

    size: Size
    bitrate_bps: int
    codec: str = "h264"

    def __str__(self) -> str:
        return f"{self.size}@{self.bitrate_bps}"


def code_as_sent(clip: Path, rungs: Sequence[SentRung], folder: Path) -> dict[SentRung, Path]:
    """Downscale and code a clip at every rung, in the sender's live settings.

    Returns the raw coded file of each rung, below `folder`; equal rungs share one.
    Raises CodecError, with what the sender's tool said, when it refuses.
    """
    files: dict[SentRung, Path] = {}
    for codec in dict.fromkeys(rung.codec for rung in rungs):
        wanted = list(dict.fromkeys(rung for rung in rungs if rung.codec == codec))
        _run_sender(clip, wanted, folder / codec, codec)
        for rung in wanted:
            files[rung] = _written(folder / codec, rung)
    return files


def decoded_frames(path: Path, codec: str = "h264") -> Iterator[Frame]:
    """Decode a file of the sender's tool as the receiver does, quantisers and all.

    pts counts frames. Raises CodecError when it cannot be decoded.
    """
    decoder = VideoDecoder(codec)
    index = 0
    try:
        with av.open(f"file:{path}", format=_CONTAINERS.get(path.suffix)) as container:
            for packet in container.demux(video=0):
                data = _as_received(bytes(packet), codec)
                if data:  # the last packet of all is empty
                    coded = CodedFrame(
                        data=data,
                        timestamp=index,
                        is_keyframe=packet.is_keyframe,
                        after_loss=False,
                        arrived_ms=0.0,
                    )
                    for frame in decoder.decode(coded):
                        yield replace(frame, pts=index, entered_ms=None)
                        index += 1
    except (av.FFmpegError, CodecError) as error:
        raise CodecError(f"{path.name} cannot be decoded: {error}") from error


def coded_bytes(path: Path) -> int:
    """Size of a file of the sender's tool without what its container adds to the frames.

    Raises CodecError when it cannot be read.
    """
    try:
        with av.open(f"file:{path}", format=_CONTAINERS.get(path.suffix)) as container:
            return sum(packet.size for packet in container.demux(video=0))
    except av.FFmpegError as error:
        raise CodecError(f"{path.name} cannot be read: {error}") from error


def _as_received(access_unit: bytes, codec: str) -> bytes:
    """The data of a frame as the jitter buffer joins it; AV1's is not the access unit itself."""
    if codec != "av1" or not access_unit:
        return access_unit
    return b"".join(rtp_av1.depayload(payload).data for payload in rtp_av1.packetize(access_unit))


def _run_sender(clip: Path, rungs: Sequence[SentRung], folder: Path, codec: str) -> None:
    command = [sys.executable, "-m", "encoder.encode_file", str(clip), str(folder)]
    if codec != "h264":  # the tool's default
        command += ["--codec", codec]
    for rung in rungs:
        command += ["--rung", str(rung)]
    paths = [str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        raise CodecError(f"coding {clip.name} failed: {_last_line(done.stderr)}")


def _written(folder: Path, rung: SentRung) -> Path:
    for suffix in _CONTAINERS:
        path = folder / f"{rung}{suffix}"
        if path.is_file():
            return path
    raise CodecError(f"the sender's tool wrote no {rung.codec} file for {rung}")


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1] if lines else "it said nothing"
