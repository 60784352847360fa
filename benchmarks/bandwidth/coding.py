"""One clip through one encoder, frame by frame as the sender does it, kept by content."""

from __future__ import annotations

import hashlib
import json
import math
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from importlib import metadata

import av
from av.codec.context import Flags

from benchmarks.bandwidth.clips import BenchClip
from benchmarks.bandwidth.codings import Coding
from benchmarks.bandwidth.store import Store, code_digest, key_of
from encoder.downscale import Downscaler
from encoder.rate_control import MAX_PAYLOAD_BYTES, PACKET_OVERHEAD_BYTES
from stream.av1_quantiser import QuantiserReader
from stream.errors import CodecError
from stream.frame import CLOCK_HZ, Frame, Size
from stream.frame_av import frame_from_av
from stream.jitter_buffer import CodedFrame
from stream.video_decode import VideoDecoder

CODING_SOURCES = (
    "benchmarks/bandwidth/codings.py",
    "encoder/*encoder*.py",
    "encoder/*quantiser*.py",
    "encoder/downscale.py",
    "encoder/*svt*.py",
)


_WRITTEN_OPTIONS = re.compile(rb"x26[45][ -~]{0,200} - options: ([ -~]+)")
"""In an SEI message of the first access unit, "user data unregistered" (ITU-T H.264, D.1.7)."""


@dataclass(frozen=True)  # without slots, which cached_property cannot have
class CodedClip:
    """Access units in order, one a frame. codec: h264, av1 or hevc.

    lead_in: how many of the first are not looked at. Their bits count: who spends more than was
    asked for on a stream's start must not get a good start for nothing.
    """

    codec: str
    units: tuple[bytes, ...]
    keyframes: tuple[int, ...]
    frame_rate: Fraction
    lead_in: int = 0

    @property
    def coded_bps(self) -> float:
        """Bits a second of the access units alone."""
        return 8 * sum(map(len, self.units)) * float(self.frame_rate) / len(self.units)

    @property
    def wire_bps(self) -> float:
        """The same in RTP packets as the sender cuts them, with their headers and SRTP tags."""
        packets = sum(math.ceil(len(unit) / MAX_PAYLOAD_BYTES) for unit in self.units)
        overhead = 8 * packets * PACKET_OVERHEAD_BYTES * float(self.frame_rate)
        return self.coded_bps + overhead / len(self.units)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of codec and access units."""
        content = hashlib.sha256(self.codec.encode())
        for unit in self.units:
            content.update(len(unit).to_bytes(8, "big") + unit)
        return content.hexdigest()

    def to_bytes(self) -> bytes:
        """For a file: a line of JSON, then the units one after the other."""
        head = {
            "codec": self.codec,
            "sizes": [len(unit) for unit in self.units],
            "keyframes": self.keyframes,
            "frame_rate": str(self.frame_rate),
            "lead_in": self.lead_in,
        }
        return json.dumps(head).encode() + b"\n" + b"".join(self.units)

    @classmethod
    def from_bytes(cls, content: bytes) -> CodedClip:
        """What `to_bytes` wrote."""
        line, _, payload = content.partition(b"\n")
        head = json.loads(line)
        units, start = [], 0
        for size in head["sizes"]:
            units.append(payload[start : start + size])
            start += size
        return cls(
            codec=head["codec"],
            units=tuple(units),
            keyframes=tuple(head["keyframes"]),
            frame_rate=Fraction(head["frame_rate"]),
            lead_in=head["lead_in"],
        )


def coding_key(clip: BenchClip, coding: Coding, size: Size, target_bps: int) -> str:
    """Name of a coded clip: all that its bits follow from."""
    return key_of(
        {
            "clip": clip.digest,
            "cuts": sorted(clip.cuts),
            "lead_in": clip.lead_in,
            "coding": coding.name,
            "settings": coding.settings,
            "size": str(size),
            "target_bps": target_bps,
            "av": metadata.version("av"),
            "code": code_digest(CODING_SOURCES),
        }
    )


def code_clip(
    clip: BenchClip,
    coding: Coding,
    *,
    size: Size,
    target_bps: int,
    store: Store,
    check: Callable[[], None] = lambda: None,
) -> CodedClip:
    """Shrink and code a clip as the sender does, or take it from the store.

    check: is called before each frame, and may raise to stop.
    Raises ConfigError, FrameError or CodecError for what cannot be coded.
    """
    key = coding_key(clip, coding, size, target_bps)
    kept = store.read(key, ".coded")
    if kept is not None:
        return CodedClip.from_bytes(kept)
    encoder = coding.open(size, frame_rate=clip.frame_rate, target_bps=target_bps)
    downscaler = Downscaler()
    units: list[bytes] = []
    keyframes: list[int] = []
    try:
        for index, frame in enumerate(clip.read_coded()):
            check()
            small = downscaler.downscale(frame, size=size)
            unit, is_keyframe = encoder.encode(small, force_keyframe=index in clip.cuts)
            units.append(unit)
            keyframes += [index] if is_keyframe else []
    finally:
        encoder.close()
    coded = CodedClip(
        codec=coding.codec,
        units=tuple(units),
        keyframes=tuple(keyframes),
        frame_rate=clip.frame_rate,
        lead_in=clip.lead_in,
    )
    store.write(key, ".coded", coded.to_bytes())
    return coded


def written_options(coded: CodedClip) -> str | None:
    """What x264 and x265 write into their bits about their own settings; None from others."""
    found = _WRITTEN_OPTIONS.search(coded.units[0])
    return found[1].decode() if found else None


def decoded(coded: CodedClip) -> Iterator[Frame]:
    """All pictures as the receiver gets them, with the lead-in, pts in 1/90000 s.

    By the receiver's own decoding for what it can receive, so that a network is told what it is
    told live. Raises CodecError when a frame cannot be decoded or none comes out for one.
    """
    decode = _receiver_decoding() if coded.codec == "h264" else _plain_decoding(coded.codec)
    for index, unit in enumerate(coded.units):
        pts = round(index * CLOCK_HZ / coded.frame_rate)
        frame = decode(unit, pts, index in coded.keyframes)
        if len(frame) != 1:
            raise CodecError(f"{len(frame)} pictures came out of frame {index} ({coded.codec})")
        yield frame[0].at(pts)


_Decode = Callable[[bytes, int, bool], list[Frame]]


def _receiver_decoding() -> _Decode:
    decoder = VideoDecoder("h264")

    def decode(unit: bytes, pts: int, is_keyframe: bool) -> list[Frame]:
        return decoder.decode(
            CodedFrame(
                data=unit,
                timestamp=pts,
                is_keyframe=is_keyframe,
                after_loss=False,
                arrived_ms=0.0,
            )
        )

    return decode


def _plain_decoding(codec: str) -> _Decode:
    """Of what the receiver would first have to put together from packets, or does not receive."""
    context = av.CodecContext.create({"av1": "libdav1d"}.get(codec, codec), "r")
    assert isinstance(context, av.VideoCodecContext)
    context.thread_count = 1
    context.flags |= Flags.low_delay
    reader = QuantiserReader() if codec == "av1" else None

    def decode(unit: bytes, pts: int, is_keyframe: bool) -> list[Frame]:
        quantiser = reader.read(unit) if reader else None
        try:
            pictures = context.decode(av.Packet(unit))
        except av.FFmpegError as error:
            raise CodecError(f"{codec} frame cannot be decoded: {error}") from error
        return [
            frame_from_av(p, pts=pts, quantiser=quantiser, is_keyframe=is_keyframe)
            for p in pictures
        ]

    return decode


def frames_per_second(clip: BenchClip, coding: Coding, *, target_bps: int, frames: int) -> float:
    """How fast a coding is at the full size of a clip, here and now, with nothing beside it."""
    encoder = coding.open(clip.size, frame_rate=clip.frame_rate, target_bps=target_bps)
    taken = [frame for frame, _ in zip(clip.read_coded(), range(frames), strict=False)]
    try:
        encoder.encode(taken[0], force_keyframe=False)  # opening and the first keyframe apart
        started_s = time.perf_counter()
        for frame in taken[1:]:
            encoder.encode(frame, force_keyframe=False)
        return (len(taken) - 1) / (time.perf_counter() - started_s)
    finally:
        encoder.close()
