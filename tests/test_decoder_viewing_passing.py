"""A publisher's pictures, passed on: what a viewer puts together is what came."""

from __future__ import annotations

from decoder.viewing.passing import PassedPicture, Passing
from encoder.av1_encoder import AV1Encoder
from encoder.video_encoder import AV1Settings
from stream import rtp_av1, rtp_h264, rtp_vp8
from stream.coded_media import CodedPicture
from tests.live_media import INTERVAL, SIZE, coded_frames, picture


def passed(
    passing: Passing, codec: str, *data: bytes, pts: int, is_keyframe: bool = False
) -> PassedPicture:
    coded = CodedPicture(codec=codec, data=data, pts=0, is_keyframe=is_keyframe)
    result = passing.take(coded, pts=pts)
    assert result is not None
    return result


def test_h264_comes_through_bit_by_bit_and_says_its_profile() -> None:
    passing = Passing()
    for index, coded in enumerate(coded_frames(3)):
        result = passed(
            passing, "h264", coded.data, pts=index * INTERVAL, is_keyframe=coded.is_keyframe
        )
        (unit,) = result.units
        parts = [rtp_h264.depayload(payload).data for payload in unit.payloads]
        sent, received = map(rtp_h264.split_access_unit, (coded.data, b"".join(parts)))
        assert received == sent
        assert (unit.pts, unit.is_keyframe) == (index * INTERVAL, index == 0)
        assert result.h264_profile_idc == 66  # Baseline, also of pictures without parameter sets


def test_av1_comes_through_bit_by_bit() -> None:
    passing = Passing()
    encoder = AV1Encoder(AV1Settings(size=SIZE, target_bitrate_bps=1_000_000, preset="10"))
    try:
        for index in range(3):
            sent = encoder.encode(picture(index), force_keyframe=False)
            received = b"".join(rtp_av1.depayload(p).data for p in rtp_av1.packetize(sent.data))
            result = passed(passing, "av1", received, pts=index * INTERVAL)
            (unit,) = result.units
            again = b"".join(rtp_av1.depayload(payload).data for payload in unit.payloads)
            assert rtp_av1.assemble(again) == rtp_av1.assemble(received)
            assert result.h264_profile_idc is None
    finally:
        encoder.close()


def test_pictures_that_are_not_shown_go_in_front_of_the_one_that_is() -> None:
    hidden, shown = passed(Passing(), "vp8", b"\1hidden", b"\1shown", pts=9000).units
    assert (hidden.pts, shown.pts) == (8999, 9000)
    assert rtp_vp8.depayload(hidden.payloads[0]).data == b"\1hidden"
    assert rtp_vp8.depayload(shown.payloads[0]).data == b"\1shown"


def test_time_never_goes_back() -> None:
    passing = Passing()
    times = [passed(passing, "vp8", b"\1x", pts=pts).units[0].pts for pts in (100, 200, 150, 300)]
    assert times == [100, 200, 201, 300]


def test_what_cannot_be_sent_or_is_damaged_is_left_out() -> None:
    passing = Passing()
    for codec, data in (("vp9", b"picture"), ("av1", b"\xff")):
        picture_of = CodedPicture(codec=codec, data=(data,), pts=0, is_keyframe=True)
        assert passing.take(picture_of, pts=0) is None
