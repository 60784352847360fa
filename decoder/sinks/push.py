"""Live pushes to a server: RTMP (FLV) and SRT (MPEG-TS)."""

from __future__ import annotations

from dataclasses import replace

from decoder.sink import PushTarget, Sink, public_name
from decoder.sinks.muxed import MuxedSink, MuxSettings
from decoder.sinks.srt_output import SrtOutput
from decoder.video_codec import OutputCodec
from decoder.video_output import VideoOutputConfig
from stream.audio import AudioChunk
from stream.errors import PeerError
from stream.frame import Frame, Size

_MAX_BITRATE_BPS = 6_000_000
"""What the large platforms accept for 720p."""

_SOCKET_TIMEOUT_US = 2_000_000
"""A server that takes nothing for 2 s, beyond what the system's buffers hold for it, is gone."""

_QUEUED_PACKETS = 250
"""Compressed packets of both tracks that may wait while connecting: about 4 s."""

_VIDEO = VideoOutputConfig(max_bitrate_bps=_MAX_BITRATE_BPS)


def open_push_sink(
    target: PushTarget,
    *,
    size: Size,
    frame_rate: float,
    with_audio: bool,
    codec: OutputCodec = "auto",
) -> Sink:
    """One connection to `target`. Its errors are PeerError: a new sink may have more luck."""
    name, video = public_name(target), replace(_VIDEO, codec=codec)
    if target.protocol == "srt":
        return _SrtSink(
            name,
            SrtOutput(target.url),
            video,
            size=size,
            frame_rate=frame_rate,
            with_audio=with_audio,
        )
    return MuxedSink(
        MuxSettings(
            name=name,
            # PyAV opens, writes headers and closes under the interpreter's lock: a server that
            # does not answer would freeze the whole receiver. FFmpeg's `fifo` muxer does all of
            # it in a thread of its own and hands the error on to the next write. Only closing waits
            # for that thread: at most the socket timeout, when the server hangs at that moment.
            muxer="fifo",
            options={
                "fifo_format": "flv",
                "queue_size": str(_QUEUED_PACKETS),
                "format_opts": f"rw_timeout={_SOCKET_TIMEOUT_US}:flvflags=no_duration_filesize",
            },
            audio_codec="aac",
            parameter_sets_in_header=True,
            failure=PeerError,
            video=video,
        ),
        target.url,
        size=size,
        frame_rate=frame_rate,
        with_audio=with_audio,
    )


class _SrtSink:
    """A transport stream into an SRT connection, which ends with the sink."""

    def __init__(
        self,
        name: str,
        output: SrtOutput,
        video: VideoOutputConfig,
        *,
        size: Size,
        frame_rate: float,
        with_audio: bool,
    ) -> None:
        self._output = output
        self._muxed = MuxedSink(
            MuxSettings(
                name=name,
                muxer="mpegts",
                audio_codec="aac",
                parameter_sets_in_header=False,
                failure=PeerError,
                video=video,
            ),
            output,
            size=size,
            frame_rate=frame_rate,
            with_audio=with_audio,
        )

    @property
    def name(self) -> str:
        return self._muxed.name

    @property
    def bytes_written(self) -> int:
        return self._muxed.bytes_written

    def write_video(self, frame: Frame) -> bool:
        return self._muxed.write_video(frame)

    def write_audio(self, chunk: AudioChunk) -> None:
        self._muxed.write_audio(chunk)

    def close(self) -> None:
        try:
            self._muxed.close()
        finally:
            self._output.close()
