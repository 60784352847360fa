"""One session's compression: what was negotiated, keyframes when wanted, counts for the status."""

import logging

import pytest

from encoder.live_encoder import LiveEncoder
from encoder.rate_control import RateController
from encoder.scene import Scene, SceneConfig
from stream.errors import CodecError, EdvrError
from stream.frame import Frame, Size
from stream.sending_codecs import NegotiatedCodec
from tests.live_media import picture

BASELINE = NegotiatedCodec(name="h264", profile_level_id="42e01f", payload_type=97)
SPS, IDR = 7, 5


class _Clock:
    """Milliseconds that pass 40 a frame."""

    now_ms = 0.0

    def __call__(self) -> float:
        return self.now_ms


def _live(*, wanted_bps: int | None = 150_000) -> tuple[LiveEncoder, _Clock]:
    clock = _Clock()
    encoder = LiveEncoder(
        RateController(wanted_bps),
        frame_rate=25,
        preset="ultrafast",
        intra_refresh=False,
        clock_ms=clock,
    )
    return encoder, clock


def _encode(
    encoder: LiveEncoder,
    frame: Frame,
    *,
    codec: NegotiatedCodec = BASELINE,
    force_keyframe: bool = False,
    estimate_bps: int | None = None,
) -> bytes:
    return encoder.encode(
        frame, codec=codec, force_keyframe=force_keyframe, remote_estimate_bps=estimate_bps
    )


def _units(data: bytes) -> list[bytes]:
    return [unit for unit in data.replace(b"\0\0\0\1", b"\0\0\1").split(b"\0\0\1") if unit]


def _types(data: bytes) -> set[int]:
    return {unit[0] & 31 for unit in _units(data)}


def test_a_keyframe_comes_first_then_when_asked_for_and_on_scene_cuts(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG, "encoder")
    scene = Scene(SceneConfig(size=Size(width=320, height=180), fps=25, duration_s=2.4))
    encoder, _ = _live()
    keyframes = []
    for index in range(60):  # cut at its half
        data = _encode(encoder, scene.frame(index), force_keyframe=index == 20)
        if IDR in _types(data):
            assert SPS in _types(data)
            keyframes.append(index)
    assert keyframes == [0, 20, 30]
    assert encoder.counts.keyframes == 3
    assert caplog.messages == [
        "the other end asked for a keyframe",
        "scene cut: sending a keyframe",
    ]


@pytest.mark.parametrize(
    ("profile_level_id", "profile_idc"),
    [("640c1f", 100), ("4d001f", 77), ("42e01f", 66), ("42001f", 66), (None, 66), ("zz", 66)],
)
def test_the_profile_is_what_was_negotiated(profile_level_id: str | None, profile_idc: int) -> None:
    encoder = LiveEncoder(
        RateController(150_000), frame_rate=25, preset="medium", intra_refresh=False
    )
    codec = NegotiatedCodec(name="h264", profile_level_id=profile_level_id, payload_type=97)
    data = _encode(encoder, picture(0), codec=codec)
    assert [unit[1] for unit in _units(data) if unit[0] & 31 == SPS] == [profile_idc]


def test_another_picture_size_opens_the_codec_again_with_a_keyframe() -> None:
    encoder, _ = _live()
    sizes = [Size(width=160, height=96)] * 3 + [Size(width=96, height=160)] * 3
    coded = [_encode(encoder, picture(index, size=size)) for index, size in enumerate(sizes)]
    assert [IDR in _types(data) for data in coded] == [True, False, False, True, False, False]


def test_a_codec_without_encoder_is_refused() -> None:
    encoder, _ = _live()
    other = NegotiatedCodec(name="vp8", profile_level_id=None, payload_type=96)
    with pytest.raises(CodecError, match="no encoder for vp8"):
        _encode(encoder, picture(0), codec=other)


def test_after_a_frame_that_cannot_be_coded_the_next_one_is_a_keyframe() -> None:
    encoder, _ = _live()
    _encode(encoder, picture(5))
    with pytest.raises(EdvrError):
        _encode(encoder, picture(4))  # time goes backwards
    assert IDR in _types(_encode(encoder, picture(6)))


def test_counts_are_of_frames_bytes_and_keyframes() -> None:
    encoder, _ = _live()
    coded = [_encode(encoder, picture(index)) for index in range(5)]
    counts = encoder.counts
    assert (counts.frames, counts.keyframes) == (5, 1)
    assert counts.coded_bytes == sum(map(len, coded))
    assert 100_000 < counts.target_bps <= 150_000
    assert encoder.encode_ms.count == 5


def test_loss_and_a_low_estimate_lower_the_target_and_a_low_estimate_alone_does_not() -> None:
    encoder, clock = _live()
    targets = []
    for index in range(150):
        clock.now_ms = 40.0 * index
        if index == 100:
            encoder.note_path(packets_lost=4, rtt_ms=10)
        _encode(encoder, picture(index), estimate_bps=80_000)
        targets.append(encoder.counts.target_bps)
    assert set(targets[:100]) == {targets[0]}
    assert targets[100] < 80_000 < targets[0]


class _SlowMachine(_Clock):
    """Each frame takes as long as the next one takes to come."""

    def __call__(self) -> float:
        self.now_ms += 40
        return self.now_ms


@pytest.mark.parametrize(("preset", "keyframes"), [("auto", 2), ("ultrafast", 1)])
def test_a_codec_that_does_not_keep_up_becomes_faster_unless_the_preset_was_chosen(
    preset: str, keyframes: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    encoder = LiveEncoder(
        RateController(150_000),
        frame_rate=25,
        preset=preset,
        intra_refresh=False,
        clock_ms=_SlowMachine(),
    )
    for index in range(80):
        _encode(encoder, picture(index))
    assert encoder.counts.keyframes == keyframes
    assert ("steps faster" in caplog.text) == (preset == "auto")
