"""What `--explain` prints: what is sent, and why. Pure."""

from __future__ import annotations

from typing import assert_never

from encoder.codec_choice import CodecWish, h264_profile
from encoder.video_encoder import AV1Settings, CodecSettings, H264Settings
from stream.config import format_bitrate
from stream.frame import Size
from stream.sending_codecs import VideoAgreement

_NAMES = {"av1": "AV1", "h264": "H.264", "vp8": "VP8", "vp9": "VP9"}


def explain(
    agreement: VideoAgreement,
    settings: CodecSettings,
    *,
    wish: CodecWish,
    source_size: Size,
    wanted_size: Size | None,
    wanted_bps: int | None,
    wire_bps: int,
    adapt: str = "off",
    adapt_budget_bps: int = 0,
) -> list[str]:
    """One line each: codec, profile, encoder, rung, rate, estimator, adaptation.

    wanted_size, wanted_bps: None where the user left it to the sender.
    """
    return [
        f"codec: {_codec(agreement, wish)}",
        f"profile: {_profile(agreement)}",
        f"encoder: {_encoder(settings)}",
        f"rung: {_rung(settings, source_size, wanted_size, wire_bps)}",
        f"rate: {_rate(settings, wanted_bps, wire_bps)}",
        f"estimator: {_estimator(agreement, wanted_bps)}",
        f"adaptation: {_adaptation(adapt, adapt_budget_bps)}",
    ]


def _names(codecs: tuple[str, ...]) -> str:
    return ", ".join(_NAMES.get(codec, codec) for codec in codecs)


def _codec(agreement: VideoAgreement, wish: CodecWish) -> str:
    name = _NAMES.get(agreement.codec.name, agreement.codec.name)
    offered, accepted = _names(agreement.offered), _names(agreement.accepted)
    why = f"offered {offered}; the other end takes {accepted}"
    if wish != "auto":
        return f"{name}, asked for by --codec"
    if agreement.codec.name == agreement.offered[0]:
        return f"{name}, the best of both ends ({why})"
    return f"{name}, the first that the other end takes ({why})"


def _profile(agreement: VideoAgreement) -> str:
    codec = agreement.codec
    if codec.name == "av1":
        return "Main (8 bit 4:2:0), level 3.1"
    if codec.name == "h264":
        constrained = h264_profile(codec).replace("baseline", "constrained baseline")
        return f"{constrained.capitalize()} ({codec.profile_level_id or 'none stated'})"
    return "0"


def _encoder(settings: CodecSettings) -> str:
    match settings:
        case AV1Settings():
            from encoder.av1_encoder import preset_for

            chosen = str(preset_for(settings.size, settings.frame_rate))
            return f"SVT-AV1, preset {_preset(settings.preset, chosen)}"
        case H264Settings():
            from encoder.h264_encoder import preset_for as x264_preset_for

            chosen = x264_preset_for(settings.size, settings.frame_rate)
            refresh = ", intra refresh" if settings.intra_refresh else ""
            return f"x264, preset {_preset(settings.preset, chosen)}{refresh}"
        case _:
            assert_never(settings)


def _preset(asked: str, chosen: str) -> str:
    if asked == "auto":
        return f"{chosen}, the slowest that leaves most of a core free"
    return f"{asked}, asked for by --preset"


def _rung(settings: CodecSettings, source: Size, wanted: Size | None, wire_bps: int) -> str:
    fitted = f"the source is {source}"
    if wanted is None:
        return f"{settings.size}, what looks best restored at {format_bitrate(wire_bps)} ({fitted})"
    return f"{settings.size}, what fits --size {wanted} ({fitted})"


def _rate(settings: CodecSettings, wanted_bps: int | None, wire_bps: int) -> str:
    wire, codec = format_bitrate(wire_bps), format_bitrate(settings.target_bitrate_bps)
    why = "following the path, --bitrate auto" if wanted_bps is None else "asked for by --bitrate"
    return f"{wire} on the wire, {why}; {codec} of it for the codec, the rest for packet headers"


def _estimator(agreement: VideoAgreement, wanted_bps: int | None) -> str:
    if "transport-cc" in agreement.feedback:
        source = "transport-wide feedback (TWCC), the path is estimated here"
    elif "goog-remb" in agreement.feedback:
        source = "REMB, the other end estimates the path"
    else:
        return "none: the other end offers neither TWCC nor REMB; only loss and round trip count"
    use = (
        "the rate follows it" if wanted_bps is None else "it lowers the rate when loss confirms it"
    )
    return f"{source}; {use}"


def _adaptation(adapt: str, budget_bps: int) -> str:
    if adapt == "off":
        return "off; --adapt cpu lets the receiver's network learn this stream"
    where = "this processor, behind all else" if adapt == "cpu" else "the GPU"
    budget = format_bitrate(budget_bps)
    return f"trained on {where}; up to {budget} of the rate while something learned is sent"
