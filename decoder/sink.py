"""Sinks: where restored frames and sound go."""

from __future__ import annotations

from typing import Protocol, assert_never

from decoder.output_options import PLAIN, OutputOptions
from decoder.target import KINDS as KINDS
from decoder.target import CameraTarget as CameraTarget
from decoder.target import FileTarget as FileTarget
from decoder.target import HlsTarget as HlsTarget
from decoder.target import LiveHlsTarget as LiveHlsTarget
from decoder.target import NullTarget as NullTarget
from decoder.target import PushTarget as PushTarget
from decoder.target import RawTarget as RawTarget
from decoder.target import Target as Target
from decoder.target import WhipTarget as WhipTarget
from decoder.target import check_target as check_target
from decoder.target import numbered as numbered
from decoder.target import parse_target as parse_target
from decoder.target import public_name as public_name
from stream.audio import AudioChunk
from stream.errors import ConfigError
from stream.frame import Frame, Size


class Sink(Protocol):
    """One output; used by one thread, not thread-safe. Any method may block on its medium.

    Methods raise SinkError (local: it is over), PeerError (remote: a new sink may work) or
    CodecError (a frame of another size, a codec that fails). After an error only `close` may be
    called, and what was written up to it stays usable.
    """

    @property
    def name(self) -> str:
        """The target as it may be logged: see `public_name`."""

    @property
    def bytes_written(self) -> int:
        """Compressed (or raw) media bytes handed to the medium so far, containers not counted."""

    def write_video(self, frame: Frame) -> bool:
        """Add a frame of the sink's size; False when it came too late to be shown."""

    def write_audio(self, chunk: AudioChunk) -> None:
        """Add sound, in any interleaving with frames; ignored by sinks without a sound track."""

    def close(self) -> None:
        """Finalise; the second call does nothing."""


def open_sink(
    target: str,
    *,
    size: Size,
    frame_rate: float,
    with_audio: bool,
    options: OutputOptions = PLAIN,
) -> Sink:
    """Open `target` for frames of `size`, at about `frame_rate` frames a second.

    with_audio: whether sound may come; sinks that hold it wait up to 1 s of video for it before
    they write their header. Raises ConfigError, and SinkError when opening fails after all checks.
    Push sinks connect with their first data, so their PeerError comes from there.
    """
    parsed = parse_target(target)
    check_target(parsed)
    match parsed:
        case FileTarget():
            from decoder.sinks.container import open_container_sink

            return open_container_sink(
                parsed,
                size=size,
                frame_rate=frame_rate,
                with_audio=with_audio,
                options=options,
            )
        case PushTarget():
            from decoder.sinks.push import open_push_sink

            return open_push_sink(
                parsed,
                size=size,
                frame_rate=frame_rate,
                with_audio=with_audio,
                codec=options.codec,
            )
        case HlsTarget():
            from decoder.sinks.hls import open_hls_sink

            return open_hls_sink(
                parsed,
                size=size,
                frame_rate=frame_rate,
                with_audio=with_audio,
                codec=options.codec,
            )
        case LiveHlsTarget():
            from decoder.sinks.hls import open_live_hls_sink

            if options.shelf is None:
                raise ConfigError(
                    f"{public_name(parsed)} needs a receiver that serves it: --listen"
                )
            return open_live_hls_sink(
                parsed,
                options.shelf,
                size=size,
                frame_rate=frame_rate,
                with_audio=with_audio,
                codec=options.codec,
            )
        case WhipTarget():
            from decoder.sinks.whip import WhipSink

            return WhipSink(parsed, size=size, frame_rate=frame_rate, token=options.whip_token)
        case CameraTarget():
            from decoder.sinks.camera import CameraSink

            return CameraSink(parsed, size=size, frame_rate=frame_rate)
        case RawTarget():
            from decoder.sinks.raw import RawSink

            return RawSink(parsed, size=size, frame_rate=frame_rate)
        case NullTarget():
            from decoder.sinks.null import NullSink

            return NullSink(size=size)
        case _:
            assert_never(parsed)
