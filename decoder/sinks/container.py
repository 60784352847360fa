"""Files that can be played even when the process was killed while writing them."""

from __future__ import annotations

from decoder.output_options import PLAIN, OutputOptions
from decoder.sink import FileTarget, Sink, public_name
from decoder.sinks.muxed import MuxedSink, MuxSettings
from decoder.sinks.segmented import SegmentedSink
from decoder.video_output import VideoOutputConfig
from stream.frame import Size

_FLUSH_INTERVAL_MS = 1000
"""Most that a killed file loses, besides what is still in the encoder."""

_MP4_OPTIONS = {
    # An index at the front and self-contained fragments behind it: ISO/IEC 14496-12 section 8.8.
    "movflags": "frag_keyframe+empty_moov+default_base_moof",
    "frag_duration": str(_FLUSH_INTERVAL_MS * 1000),
}

_MKV_OPTIONS = {
    # A cluster (RFC 9559 section 5.1.3) reaches the disk only when it is complete. Not `live`:
    # a file that is closed properly gets its duration and cues.
    "cluster_time_limit": str(_FLUSH_INTERVAL_MS),
}


def open_container_sink(
    target: FileTarget,
    *,
    size: Size,
    frame_rate: float,
    with_audio: bool,
    options: OutputOptions = PLAIN,
) -> Sink:
    """An mp4 (H.264 + AAC) or mkv (H.264 + Opus, timestamps rounded to 1 ms) file.

    With `options.segment_s` it is cut into files named by when they begin.
    """

    def open_file(one: FileTarget) -> MuxedSink:
        is_mp4 = one.container == "mp4"
        return MuxedSink(
            MuxSettings(
                name=public_name(target),
                muxer="mp4" if is_mp4 else "matroska",
                options=_MP4_OPTIONS if is_mp4 else _MKV_OPTIONS,
                audio_codec="aac" if is_mp4 else "libopus",
                parameter_sets_in_header=True,
                video=VideoOutputConfig(codec=options.codec),
            ),
            # An absolute path is never taken for a URL, whatever colons it holds.
            str(one.path.absolute()),
            size=size,
            frame_rate=frame_rate,
            with_audio=with_audio,
        )

    if options.segment_s is None:
        return open_file(target)
    return SegmentedSink(target, open_file, segment_s=options.segment_s)
