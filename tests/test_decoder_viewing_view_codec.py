"""What viewers get, decoded again by FFmpeg."""

from __future__ import annotations

import itertools

import av
import numpy as np
import pytest

from decoder.live_h264 import LiveQuality
from decoder.viewing.view_codec import RECEIVED, RESTORED, ViewAudio, ViewVideo
from stream import rtp_av1, rtp_h264
from stream.audio import SAMPLE_RATE_HZ, AudioChunk
from stream.coded_media import CodedUnit
from stream.frame import Frame, Size
from stream.frame_av import frame_from_av
from stream.jitter_buffer import CodedFrame
from stream.timing import Track
from stream.video_decode import VideoDecoder
from tests.live_media import psnr, tone
from tests.marked_pictures import STEP, marked

SIZE = Size(width=320, height=192)


def coded(count: int, *, forced: tuple[int, ...] = ()) -> list[CodedUnit]:
    video = ViewVideo(RESTORED)
    units = [
        video.encode(marked(index, size=SIZE), force_keyframe=index in forced)
        for index in range(count)
    ]
    assert None not in units
    return [unit for unit in units if unit is not None]


def access_unit(unit: CodedUnit) -> bytes:
    """Annex B, put together again from RTP payloads."""
    return b"".join(rtp_h264.depayload(payload).data for payload in unit.payloads)


def decoded(units: list[CodedUnit]) -> list[Frame]:
    context = av.CodecContext.create("h264", "r")
    context.thread_count = 1
    pictures = [p for unit in units for p in context.decode(av.Packet(access_unit(unit)))]
    pictures += context.decode(None)
    return [frame_from_av(picture, pts=0) for picture in pictures]


@pytest.mark.parametrize(("quality", "least_db"), [(RESTORED, 36), (RECEIVED, 42)])
def test_pictures_come_out_as_they_went_in(quality: LiveQuality, least_db: float) -> None:
    video = ViewVideo(quality)
    pictures = [marked(index, size=SIZE) for index in range(6)]
    units = [video.encode(picture, force_keyframe=False) for picture in pictures]
    shown = decoded([unit for unit in units if unit is not None])
    assert len(shown) == 6
    assert min(map(psnr, shown, pictures)) > least_db


def test_each_picture_comes_out_at_once_with_its_own_time() -> None:
    assert [unit.pts for unit in coded(5)] == [index * STEP for index in range(5)]


def test_av1_is_as_good_in_fewer_bits_and_has_its_keyframes_where_they_are_asked_for() -> None:
    pictures = [marked(index, size=SIZE) for index in range(8)]
    units = {}
    for codec in ("av1", "h264"):
        video = ViewVideo(RESTORED, codec)
        found = [video.encode(each, force_keyframe=each is pictures[5]) for each in pictures]
        video.close()
        units[codec] = [unit for unit in found if unit is not None]
        assert [unit.pts for unit in units[codec]] == [picture.pts for picture in pictures]
        assert [unit.is_keyframe for unit in units[codec]] == [
            index in (0, 5) for index in range(len(pictures))
        ]
        assert {unit.codec for unit in units[codec]} == {codec}
    decoder = VideoDecoder("av1")
    for unit, picture in zip(units["av1"], pictures, strict=True):
        data = b"".join(rtp_av1.depayload(payload).data for payload in unit.payloads)
        (shown,) = decoder.decode(
            CodedFrame(
                data=data, timestamp=unit.pts, is_keyframe=False, after_loss=False, arrived_ms=0.0
            )
        )
        assert psnr(shown, picture) > 36
    sizes = {codec: sum(unit.size_bytes for unit in found) for codec, found in units.items()}
    assert sizes["av1"] < sizes["h264"]


def test_keyframes_are_where_they_are_asked_for_and_nowhere_else() -> None:
    units = coded(70, forced=(40,))
    assert [index for index, unit in enumerate(units) if unit.is_keyframe] == [0, 40]
    assert len(decoded(units[40:])) == 30  # parameter sets come with it


def test_the_profile_is_the_one_that_every_browser_has() -> None:
    (sps,) = [
        unit for unit in rtp_h264.split_access_unit(access_unit(coded(1)[0])) if unit[0] & 0x1F == 7
    ]
    profile_idc, constraints = sps[1], sps[2]
    assert profile_idc == 66  # Baseline,
    assert constraints & 0x40  # constrained (constraint_set1_flag)


def test_no_packet_is_larger_than_a_path_carries() -> None:
    assert max(len(payload) for unit in coded(3) for payload in unit.payloads) <= 1200


def test_a_picture_of_another_size_begins_anew() -> None:
    video = ViewVideo(RECEIVED)
    sizes = [SIZE, SIZE, Size(width=160, height=96), Size(width=160, height=96)]
    units = [
        video.encode(marked(index, size=size), force_keyframe=False)
        for index, size in enumerate(sizes)
    ]
    assert [unit.is_keyframe for unit in units if unit] == [True, False, True, False]
    assert [frame.size for frame in decoded([unit for unit in units if unit])] == sizes


def test_sound_comes_out_in_packets_of_20_ms_on_its_own_time() -> None:
    audio = ViewAudio()
    units = [unit for index in range(25) for unit in audio.encode(tone(index * 960))]
    assert {unit.track for unit in units} == {Track.AUDIO}
    steps = {b.pts - a.pts for a, b in itertools.pairwise(units)}
    assert steps == {960}
    assert -960 < units[0].pts <= 0  # the codec's own delay is taken off


def test_left_and_right_stay_apart() -> None:
    audio = ViewAudio()
    left = np.zeros((SAMPLE_RATE_HZ, 2), np.int16)
    left[:, 0] = tone(0, samples=SAMPLE_RATE_HZ).samples[:, 0]
    units = audio.encode(AudioChunk(samples=left, pts=0))
    context = av.CodecContext.create("libopus", "r")
    context.format, context.layout, context.sample_rate = "s16", "stereo", SAMPLE_RATE_HZ
    sound = np.concatenate(
        [
            frame.to_ndarray().reshape(-1, 2)
            for unit in units
            for frame in context.decode(av.Packet(unit.payloads[0]))
        ]
    )
    loud, silent = (np.abs(sound[4800:, channel].astype(int)).mean() for channel in (0, 1))
    assert loud > 1000
    assert silent < loud / 50
