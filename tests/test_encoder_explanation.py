from encoder.codec_choice import CodecWish
from encoder.explanation import explain
from encoder.video_encoder import AV1Settings, CodecSettings, H264Settings
from stream.frame import Size
from stream.sending_codecs import NegotiatedCodec, VideoAgreement

SMALL, HD = Size(width=320, height=180), Size(width=1280, height=720)


def said(
    codec: NegotiatedCodec,
    settings: CodecSettings,
    *,
    accepted: tuple[str, ...],
    feedback: frozenset[str] = frozenset(),
    wish: CodecWish = "auto",
    wanted_size: Size | None = None,
    wanted_bps: int | None = None,
) -> dict[str, str]:
    agreement = VideoAgreement(
        codec=codec, offered=("av1", "h264"), accepted=accepted, feedback=feedback
    )
    lines = explain(
        agreement,
        settings,
        wish=wish,
        source_size=HD,
        wanted_size=wanted_size,
        wanted_bps=wanted_bps,
        wire_bps=150_000,
    )
    return dict(line.split(": ", 1) for line in lines)


def test_each_choice_is_given_with_its_reason() -> None:
    codec = NegotiatedCodec(name="av1", profile_level_id=None, payload_type=45)
    settings = AV1Settings(size=SMALL, target_bitrate_bps=141_000, frame_rate=30)
    feedback = frozenset({"goog-remb", "nack"})
    assert said(codec, settings, accepted=("av1", "h264"), feedback=feedback) == {
        "codec": "AV1, the best of both ends (offered AV1, H.264; the other end takes AV1, H.264)",
        "profile": "Main (8 bit 4:2:0), level 3.1",
        "encoder": "SVT-AV1, preset 4, the slowest that leaves most of a core free",
        "rung": "320x180, what looks best restored at 150k (the source is 1280x720)",
        "rate": "150k on the wire, following the path, --bitrate auto; 141k of it for the codec, "
        "the rest for packet headers",
        "estimator": "REMB, the other end estimates the path; the rate follows it",
        "adaptation": "off; --adapt cpu lets the receiver's network learn this stream",
    }


def test_what_the_user_asked_for_is_said_so() -> None:
    codec = NegotiatedCodec(name="h264", profile_level_id="42e01f", payload_type=97)
    settings = H264Settings(
        size=SMALL, target_bitrate_bps=141_000, preset="fast", intra_refresh=True
    )
    told = said(
        codec, settings, accepted=("h264",), wish="h264", wanted_size=HD, wanted_bps=150_000
    )
    assert told["codec"] == "H.264, asked for by --codec"
    assert told["profile"] == "Constrained baseline (42e01f)"
    assert told["encoder"] == "x264, preset fast, asked for by --preset, intra refresh"
    assert "fits --size 1280x720" in told["rung"]
    assert "asked for by --bitrate" in told["rate"]
    assert told["estimator"].startswith("none")


def test_a_peer_without_av1_and_transport_wide_feedback_are_named() -> None:
    codec = NegotiatedCodec(name="h264", profile_level_id="640c1f", payload_type=97)
    settings = H264Settings(size=SMALL, target_bitrate_bps=141_000)
    told = said(
        codec,
        settings,
        accepted=("h264",),
        feedback=frozenset({"transport-cc", "goog-remb"}),
        wanted_bps=150_000,
    )
    assert told["codec"] == (
        "H.264, the first that the other end takes (offered AV1, H.264; the other end takes H.264)"
    )
    assert told["profile"] == "High (640c1f)"
    assert told["estimator"].startswith("transport-wide feedback (TWCC)")
