import pytest

from encoder import svt_av1
from encoder.codec_choice import CodecWish, offered_codecs, settings_for
from encoder.video_encoder import AV1Settings, CodecSettings, H264Settings
from stream.errors import CodecError, ConfigError
from stream.frame import Size
from stream.sending_codecs import NegotiatedCodec

SIZE = Size(width=640, height=360)


def agreed(name: str, profile_level_id: str | None = None) -> NegotiatedCodec:
    return NegotiatedCodec(name=name, profile_level_id=profile_level_id, payload_type=97)


def settings(codec: NegotiatedCodec, *, preset: str = "auto") -> CodecSettings:
    return settings_for(
        codec,
        size=SIZE,
        target_bps=100_000,
        frame_rate=30.0,
        preset=preset,
        intra_refresh=False,
    )


@pytest.mark.parametrize(
    ("wish", "offered"), [("auto", ("av1", "h264")), ("av1", ("av1",)), ("h264", ("h264",))]
)
def test_av1_is_offered_before_h264(wish: CodecWish, offered: tuple[str, ...]) -> None:
    assert offered_codecs(wish) == offered


def test_without_the_library_auto_is_h264_and_av1_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def no_library() -> None:
        raise CodecError("no SVT-AV1 here")

    monkeypatch.setattr(svt_av1, "library", no_library)
    assert offered_codecs("auto") == ("h264",)
    with pytest.raises(ConfigError, match="--codec av1: no SVT-AV1 here"):
        offered_codecs("av1")


def test_the_agreed_codec_decides_the_settings() -> None:
    assert settings(agreed("av1")) == AV1Settings(
        size=SIZE, target_bitrate_bps=100_000, frame_rate=30.0
    )
    assert settings(agreed("h264", "4d001f")) == H264Settings(
        size=SIZE, target_bitrate_bps=100_000, frame_rate=30.0, profile="main"
    )
    with pytest.raises(CodecError, match="no encoder for vp8"):
        settings(agreed("vp8"))


def test_preset_names_mean_the_same_for_both() -> None:
    av1, h264 = settings(agreed("av1"), preset="fast"), settings(agreed("h264"), preset="fast")
    assert (av1.preset, h264.preset) == ("8", "fast")
