"""Puts our codecs where aiortc looks codecs up; it has no hook for that.

`install` changes module variables of aiortc, so in this process every RTCPeerConnection uses these
codecs. It first checks that each thing it replaces, or reads, still has the shape it knows.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from types import CodeType

import aiortc
import aiortc.codecs
from aiortc import rtcpeerconnection, rtcrtpreceiver, rtcrtpsender, rtp
from aiortc.rtcpeerconnection import find_common_codecs, is_codec_compatible
from aiortc.rtcrtpparameters import RTCRtcpFeedback, RTCRtpCodecParameters
from aiortc.sdp import SessionDescription

from stream import rtp_av1, rtp_h264, rtp_vp8, rtp_vp9
from stream.audio import CHANNELS, SAMPLE_RATE_HZ
from stream.errors import CodecError, PeerError
from stream.frame import CLOCK_HZ
from stream.ice_path import check_aioice
from stream.jitter_buffer import PayloadPart
from stream.receiving_codecs import (
    MALFORMED,
    OpusReceiveDecoder,
    ReceivingJitterBuffer,
    VideoReceiveDecoder,
)
from stream.sdp_text import one_line
from stream.sending_codecs import FrameEncoder as FrameEncoder
from stream.sending_codecs import NegotiatedCodec as NegotiatedCodec
from stream.sending_codecs import OpusSendEncoder, VideoAgreement, VideoSendEncoder
from stream.transport_registry import FEEDBACK, USED_NAMES, install_congestion_control

H264_PROFILES = ("640c1f", "64001f", "4d001f", "42e01f", "42001f")
"""profile-level-id in order of preference: Constrained High, High, Main, Constrained Baseline,
Baseline, all level 3.1 (1280x720 at 30 a second)."""

AV1_PARAMETERS = {"profile": "0", "level-idx": "5", "tier": "0"}
"""Main profile (8 bit 4:2:0), level 3.1, Main tier, which an absent parameter means too (AOM, "RTP
Payload Format For AV1", section 7.2.1)."""

_OPUS_PAYLOAD_TYPE = 96

_DYNAMIC_PAYLOAD_TYPES = frozenset((*range(35, 64), *range(96, 128)))
"""96..127 (RFC 3551 section 6), and those that browsers use when these do not suffice: Chromium
offers AV1 as 45."""


def monotonic_ms() -> float:
    """The clock of everything that says `_ms` on the receiving path."""
    return time.monotonic() * 1000.0


def install() -> None:
    """Replace aiortc's codecs, jitter buffer and NACK generator; calling again does nothing.

    Raises CodecError when this aiortc or aioice is not made the way this module needs.
    """
    if vars(rtcrtpsender).get("get_encoder") is _get_encoder:
        return
    _check_aiortc()
    check_aioice()
    aiortc.codecs.CODECS["video"] = _video_codecs()
    aiortc.codecs.CODECS["audio"] = [_opus()]
    vars(rtcpeerconnection).update(is_codec_compatible=_is_compatible)
    vars(rtp).update(DYNAMIC_PAYLOAD_TYPES=_DYNAMIC_PAYLOAD_TYPES)
    vars(rtcrtpsender).update(get_encoder=_get_encoder)
    install_congestion_control()
    vars(rtcrtpreceiver).update(
        get_decoder=_get_decoder,
        depayload=_depayload,
        JitterBuffer=_jitter_buffer,
    )


def check_remote_description(sdp: str, *, sends: bool) -> list[str]:
    """The kinds of media in a remote description that aiortc will understand.

    sends: whether the remote end is to send video (otherwise it is to receive it).
    Raises PeerError saying what is missing: aiortc would fail in many ways, or in another task.
    """
    try:
        description = SessionDescription.parse(sdp)
    except Exception as malformed:  # its parser raises whatever the text happens to break
        detail = one_line(str(malformed)) or "it breaks the grammar"
        raise PeerError(f"the SDP cannot be parsed: {detail}") from malformed
    media = description.media
    if not any(section.kind == "video" for section in media):
        raise PeerError("the SDP has no video")
    names = [section.rtp.muxId for section in media]
    bundled = [
        name for group in description.group if group.semantic == "BUNDLE" for name in group.items
    ]
    if len(set(names)) < len(names) or not set(bundled) <= set(names):
        raise PeerError("the SDP does not name its media sections (a=mid, BUNDLE) consistently")
    for section in media:
        if not section.ice or not section.ice.usernameFragment or not section.ice.password:
            raise PeerError(f"the SDP has no ICE credentials for {section.kind}")
        if section.dtls is None or not section.dtls.fingerprints:
            raise PeerError(f"the SDP has no DTLS fingerprint for {section.kind}")
        if section.kind not in aiortc.codecs.CODECS:
            continue
        common = find_common_codecs(aiortc.codecs.CODECS[section.kind], section.rtp.codecs)
        if not common:
            raise PeerError(
                f"no {section.kind} codec in common: the other end has "
                f"{_describe(section.rtp.codecs)}; this end has "
                f"{_describe(aiortc.codecs.CODECS[section.kind])}"
            )
        wanted = "sendonly" if sends else "recvonly"
        if section.direction is None:
            raise PeerError(f"the SDP does not say in which direction its {section.kind} goes")
        if section.kind == "video" and section.direction not in (wanted, "sendrecv"):
            raise PeerError(f"the SDP has video as {section.direction}, not as {wanted}")
    return [section.kind for section in media]


def read_agreement(
    codecs: Sequence[RTCRtpCodecParameters], *, offered: tuple[str, ...]
) -> VideoAgreement:
    """What was agreed on, from the codecs of a negotiated transceiver; aiortc sends the first."""
    feedback = {
        " ".join(part for part in (each.type, each.parameter) if part)
        for each in codecs[0].rtcpFeedback
    }
    names = (codec.name.lower() for codec in codecs)
    return VideoAgreement(
        codec=_negotiated_codec(codecs[0]),
        offered=offered,
        accepted=tuple(dict.fromkeys(name for name in names if name != "rtx")),
        feedback=frozenset(feedback),
    )


def _describe(codecs: list[RTCRtpCodecParameters]) -> str:
    names = {
        " ".join(
            str(part)
            for part in (codec.name, codec.parameters.get("profile-level-id"))
            if part is not None
        ): None
        for codec in codecs
        if codec.name.lower() not in ("rtx", "red", "ulpfec", "flexfec-03")
    }
    return one_line(", ".join(names)) or "none"


def _check_aiortc() -> None:
    """Each function must still use the names that are replaced, or read, by this project."""
    expected: list[tuple[Callable[..., object], tuple[str, ...]]] = [
        (rtcrtpsender.RTCRtpSender._next_encoded_frame, ("get_encoder", "encode")),
        (rtcrtpsender.RTCRtpSender._handle_rtcp_packet, ("target_bitrate", "_send_keyframe")),
        (
            rtcrtpsender.RTCRtpSender._run_rtp,  # stream/coded_sender.py does the same
            (
                *("_RTCRtpSender__ntp_timestamp", "_RTCRtpSender__rtp_timestamp", "marker"),
                *("_RTCRtpSender__rtp_started", "_RTCRtpSender__rtp_exited"),
                *("_RTCRtpSender__rtp_history", "_RTCRtpSender__rtp_header_extensions_map"),
                *("_RTCRtpSender__octet_count", "_RTCRtpSender__packet_count"),
            ),
        ),
        (rtcrtpsender.RTCRtpSender._retransmit, ("_RTCRtpSender__rtx_payload_type",)),
        (rtcrtpsender.RTCRtpSender.send, ("_run_rtp", "_RTCRtpSender__mid")),
        (rtcrtpsender.RTCRtpSender._run_rtcp, ("_RTCRtpSender__ntp_timestamp", "RtcpSrPacket")),
        (rtcrtpreceiver.RTCRtpReceiver.__init__, ("JitterBuffer", "NackGenerator")),
        (rtcrtpreceiver.RTCRtpReceiver._handle_rtp_packet, ("depayload", "_data", "missing")),
        (rtcrtpreceiver.RTCRtpReceiver._handle_rtcp_packet, ("RtcpSrPacket", "sender_info")),
        (rtcrtpreceiver.decoder_worker, ("get_decoder", "decode")),
        (aiortc.RTCPeerConnection.setRemoteDescription, ("CODECS", "find_common_codecs")),
        (aiortc.RTCPeerConnection.__init__, ("_RTCPeerConnection__certificates",)),
        (aiortc.RTCDtlsTransport.start, ("_create_ssl_context",)),
        (find_common_codecs, ("is_codec_compatible", "DYNAMIC_PAYLOAD_TYPES")),
    ]
    for function, names in (*expected, *USED_NAMES):
        code: CodeType = function.__code__
        missing = [name for name in names if name not in code.co_names]
        if missing:
            raise CodecError(
                f"aiortc {aiortc.__version__} is not supported: {function.__qualname__} no longer "
                f"uses {', '.join(missing)}; install the version that edvr-live asks for"
            )


def _video_codecs() -> list[RTCRtpCodecParameters]:
    h264 = {"level-asymmetry-allowed": "1", "packetization-mode": "1"}
    offers: list[tuple[int, str, dict[str, str]]] = [
        (109, "video/AV1", AV1_PARAMETERS),
        *(
            (97 + 2 * index, "video/H264", h264 | {"profile-level-id": profile})
            for index, profile in enumerate(H264_PROFILES)
        ),
        (111, "video/VP9", {"profile-id": "0"}),
        (107, "video/VP8", {}),
    ]
    codecs: list[RTCRtpCodecParameters] = []
    for payload_type, mime_type, parameters in offers:
        codecs.append(
            RTCRtpCodecParameters(
                mimeType=mime_type,
                clockRate=CLOCK_HZ,
                payloadType=payload_type,
                rtcpFeedback=[
                    RTCRtcpFeedback(type="nack"),
                    RTCRtcpFeedback(type="nack", parameter="pli"),
                    RTCRtcpFeedback(type="ccm", parameter="fir"),
                    RTCRtcpFeedback(type="goog-remb"),
                    FEEDBACK,
                ],
                parameters=dict(parameters),
            )
        )
        codecs.append(
            RTCRtpCodecParameters(
                mimeType="video/rtx",
                clockRate=CLOCK_HZ,
                payloadType=payload_type + 1,
                parameters={"apt": payload_type},
            )
        )
    return codecs


def _opus() -> RTCRtpCodecParameters:
    return RTCRtpCodecParameters(
        mimeType="audio/opus",
        clockRate=SAMPLE_RATE_HZ,
        channels=CHANNELS,
        payloadType=_OPUS_PAYLOAD_TYPE,
        rtcpFeedback=[FEEDBACK],
    )


def _is_compatible(ours: RTCRtpCodecParameters, theirs: RTCRtpCodecParameters) -> bool:
    """Also the profiles of AV1 and VP9, of which a browser offers more than one."""
    for name, parameter in (("av1", "profile"), ("vp9", "profile-id")):
        if ours.name.lower() == name and str(theirs.parameters.get(parameter) or "0") != "0":
            return False
    return bool(is_codec_compatible(ours, theirs))


def _negotiated_codec(codec: RTCRtpCodecParameters) -> NegotiatedCodec:
    """One of aiortc's codecs in our words."""
    profile = codec.parameters.get("profile-level-id")
    return NegotiatedCodec(
        name=codec.name.lower(),
        profile_level_id=None if profile is None else str(profile),
        payload_type=codec.payloadType or 0,
    )


def _get_encoder(codec: RTCRtpCodecParameters) -> VideoSendEncoder | OpusSendEncoder:
    if codec.name.lower() == "opus":
        return OpusSendEncoder()
    return VideoSendEncoder(_negotiated_codec(codec))


def _get_decoder(codec: RTCRtpCodecParameters) -> VideoReceiveDecoder | OpusReceiveDecoder:
    if codec.name.lower() == "opus":
        return OpusReceiveDecoder()
    return VideoReceiveDecoder(codec.name.lower())


def _depayload(codec: RTCRtpCodecParameters, payload: bytes) -> PayloadPart:
    """Never raises: aiortc would drop the packet and nobody would count it."""
    try:
        match codec.name.lower():
            case "av1":
                return rtp_av1.depayload(payload)
            case "h264":
                return rtp_h264.depayload(payload)
            case "vp9":
                return rtp_vp9.depayload(payload)
            case "vp8":
                return rtp_vp8.depayload(payload)
    except PeerError:
        return MALFORMED
    return PayloadPart(data=payload, starts_frame=True, is_keyframe=True)


def _jitter_buffer(
    capacity: int, prefetch: int = 0, is_video: bool = False
) -> ReceivingJitterBuffer:
    return ReceivingJitterBuffer(is_video=is_video, clock_ms=monotonic_ms)
