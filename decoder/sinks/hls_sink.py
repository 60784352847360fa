"""One HLS output: H.264 and AAC in fragmented mp4, cut into segments and, if asked for, parts.

After a gap (a publisher that went away) a new period begins, with its own header and a
discontinuity in the playlist: so no segment ever grows beyond the target duration.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Protocol

from decoder.hls_playlist import (
    HlsPart,
    HlsPeriod,
    HlsPlaylist,
    map_uri,
    part_uri,
    segment_uri,
    target_duration_s,
)
from decoder.sinks.fragments import Fragment, FragmentSplitter
from decoder.sinks.muxed import MuxedSink, MuxSettings
from decoder.video_codec import OutputCodec
from decoder.video_output import VideoOutputConfig
from stream.audio import AudioChunk, audio_pts
from stream.frame import CLOCK_HZ, Frame, Size

SEGMENT_S = 2
"""As long as the distance of keyframes, on which segments are cut."""

SEGMENTS_LISTED = 30
"""One minute to go back to."""

SEGMENTS_KEPT = SEGMENTS_LISTED + 3
"""A player may still read an older playlist (RFC 8216 section 6.2.2); then space is freed."""

PART_S, PART_TARGET_S = 1.0, 1.1
"""A part ends at the first picture or sound after PART_S. Between 85 % of the target (section
4.4.4.9) and the target there is room for one picture and one frame of sound, 67 and 21 ms."""

LONGEST_PART_INTERVAL = CLOCK_HZ // 15
"""Pictures further apart than that are repeated in between where there are parts."""

SHORTEST_GAP_S = 0.45
"""A segment of 2 s that ends so much late is still one of 2 s, rounded."""

_GRID = SEGMENT_S * CLOCK_HZ

_MAX_BITRATE_BPS = 6_000_000


class HlsStore(Protocol):
    """Where the files are, for players to fetch. OSError from any method ends the sink."""

    def put(self, name: str, data: bytes) -> None:
        """Offer a whole file."""

    def drop(self, name: str) -> None:
        """Take a file away; unknown ones are ignored."""

    def publish(self, playlist: HlsPlaylist) -> None:
        """The playlist has changed."""


class HlsSink:
    """See `decoder.sink.Sink` for the contract."""

    def __init__(
        self,
        store: HlsStore,
        *,
        name: str,
        size: Size,
        frame_rate: float,
        with_audio: bool,
        has_parts: bool,
        codec: OutputCodec = "auto",
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """has_parts: for low latency. now: wall clock, for EXT-X-PROGRAM-DATE-TIME."""
        self._store, self._name, self._now, self._codec = store, name, now, codec
        self._size, self._frame_rate, self._with_audio = size, frame_rate, with_audio
        self._gap = round(CLOCK_HZ * max(SHORTEST_GAP_S, 1.5 / frame_rate))
        self._fill = LONGEST_PART_INTERVAL if has_parts else None
        # Numbers go on growing when the receiver restarts, so no cache mixes two runs up.
        first_sequence = int(now().timestamp())
        self._playlist = HlsPlaylist(
            target_s=target_duration_s(SEGMENT_S, self._gap / CLOCK_HZ),
            segments_listed=SEGMENTS_LISTED,
            first_sequence=first_sequence,
            part_target_s=PART_TARGET_S if has_parts else None,
        )
        self._files: deque[tuple[str, ...]] = deque()
        self._part_data: list[bytes] = []
        self._part_names: list[str] = []
        self._periods = self._grid_index = 0
        self._period: HlsPeriod | None = None
        self._bytes_before = 0
        self._last: Frame | None = None
        self._is_closed = self._is_finishing = False
        self._began: datetime | None = None  # the period that is being written
        self._end = 0
        self._muxed = self._new_muxer()

    @property
    def name(self) -> str:
        """The target."""
        return self._name

    @property
    def bytes_written(self) -> int:
        """Compressed bytes of both tracks."""
        return self._bytes_before + self._muxed.bytes_written

    def write_video(self, frame: Frame) -> bool:
        """See `Sink.write_video`."""
        last, kept = self._last, True
        if last is not None and not -CLOCK_HZ // 2 < frame.pts - last.pts <= self._gap:
            self._end_period()
        elif last is not None and self._fill is not None:
            for pts in range(last.pts + self._fill, frame.pts, self._fill):
                self._muxed.write_video(last.at(pts))
        self._began = self._began or self._now()
        kept = self._muxed.write_video(frame)
        if kept:
            self._last = frame
        return kept

    def write_audio(self, chunk: AudioChunk) -> None:
        """See `Sink.write_audio`."""
        # After a gap the sound may come before its picture; it belongs to the new period.
        if self._last is not None and chunk.pts > audio_pts(self._last.pts + self._gap):
            self._end_period()
        self._muxed.write_audio(chunk)

    def close(self) -> None:
        """Complete the last segment and say that there will be no other."""
        if self._is_closed:
            return
        self._is_closed = True
        try:
            self._finish_muxer()
        finally:
            self._playlist.end()
            self._publish()

    def _end_period(self) -> None:
        self._finish_muxer()
        self._publish()
        self._bytes_before += self._muxed.bytes_written
        self._period = self._began = self._last = None
        self._muxed = self._new_muxer()

    def _finish_muxer(self) -> None:
        """What comes out now may be too short for a part, unless it is a segment's last one."""
        self._is_finishing = True
        self._muxed.close()
        self._complete_segment()
        self._is_finishing = False

    def _publish(self) -> None:
        try:
            self._store.publish(self._playlist)
        except OSError as error:
            raise self._muxed.failure(error) from error

    def _new_muxer(self) -> MuxedSink:
        options = {
            # Times go on over gaps, for players that look at nothing else: without frag_discont
            # each header would start again at 0.
            "movflags": "frag_keyframe+empty_moov+default_base_moof+frag_discont",
            "output_ts_offset": f"{self._end / CLOCK_HZ:.6f}",
            "avoid_negative_ts": "disabled",
            "use_editlist": "0",
        }
        if self._playlist.part_target_s is not None:
            options["frag_duration"] = str(round(PART_S * 1_000_000))
        return MuxedSink(
            MuxSettings(
                name=self._name,
                muxer="mp4",
                options=options,
                audio_codec="aac",
                parameter_sets_in_header=True,
                video=VideoOutputConfig(
                    keyframe_interval_ms=SEGMENT_S * 1000,
                    max_bitrate_bps=_MAX_BITRATE_BPS,
                    codec=self._codec,
                ),
            ),
            FragmentSplitter(on_header=self._take_header, on_fragment=self._take_fragment),
            size=self._size,
            # With what is filled in: x264 ends a group of pictures by their number, too.
            frame_rate=max(self._frame_rate, CLOCK_HZ / (self._fill or CLOCK_HZ)),
            with_audio=self._with_audio,
        )

    def _take_header(self, data: bytes) -> None:
        name = map_uri(self._playlist.next_position[0])
        self._period = HlsPeriod(
            number=self._periods,
            map_uri=name,
            began=self._began or self._now(),
            first_pts=self._end,
        )
        self._periods += 1
        self._store.put(name, data)

    def _take_fragment(self, fragment: Fragment) -> None:
        assert self._period is not None  # a header always comes first; tells mypy
        self._end = fragment.start + fragment.duration
        if self._playlist.part_target_s is None:
            sequence, _ = self._playlist.next_position
            self._keep(segment_uri(sequence), fragment.data)
            self._playlist.add_segment(
                segment_uri(sequence),
                period=self._period,
                start=fragment.start,
                duration=fragment.duration,
            )
        else:
            # Keyframes lie on the grid of segments and nowhere else.
            if fragment.is_independent:
                self._complete_segment()
                self._grid_index = (fragment.start - self._period.first_pts) // _GRID
            uri = part_uri(*self._playlist.next_position)
            self._store.put(uri, fragment.data)
            self._part_data.append(fragment.data)
            self._part_names.append(uri)
            part = HlsPart(
                uri=uri, duration=fragment.duration, is_independent=fragment.is_independent
            )
            self._playlist.add_part(part, period=self._period, start=fragment.start)
            # Past the grid, so the next one starts with a keyframe: no need to wait for it.
            if (self._end - self._period.first_pts) // _GRID > self._grid_index:
                self._complete_segment()
        if not self._is_finishing:
            self._store.publish(self._playlist)

    def _complete_segment(self) -> None:
        """Of a playlist with parts: all parts so far are a segment."""
        if not self._part_data:
            return
        name = segment_uri(self._playlist.next_position[0])
        self._keep(name, b"".join(self._part_data), *self._part_names)
        self._part_data, self._part_names = [], []
        self._playlist.complete_segment(name)

    def _keep(self, name: str, data: bytes, *parts: str) -> None:
        """Offer a segment, and take away the oldest when there are enough."""
        assert self._period is not None  # as above
        self._store.put(name, data)
        self._files.append((name, *parts, self._period.map_uri))
        if len(self._files) > SEGMENTS_KEPT:
            *old, header = self._files.popleft()
            if self._files[0][-1] != header:
                old.append(header)
            for each in old:
                self._store.drop(each)
