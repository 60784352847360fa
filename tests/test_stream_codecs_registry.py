from __future__ import annotations

import pytest
from aiortc import RTCPeerConnection, rtcrtpreceiver, rtcrtpsender
from aiortc.codecs import CODECS
from aiortc.rtcpeerconnection import find_common_codecs
from aiortc.rtcrtpparameters import RTCRtpCodecParameters

from stream.codecs_registry import (
    H264_PROFILES,
    check_remote_description,
    install,
    read_agreement,
)
from stream.errors import CodecError, PeerError
from stream.jitter_buffer import PayloadPart
from stream.receiving_codecs import MALFORMED, OpusReceiveDecoder, VideoReceiveDecoder
from stream.sending_codecs import NegotiatedCodec, OpusSendEncoder, VideoSendEncoder


@pytest.fixture(autouse=True)
def _installed() -> None:
    install()


def h264(profile_level_id: str | None, *, mode: str = "1") -> RTCRtpCodecParameters:
    """A peer's offer of H.264."""
    parameters = {"packetization-mode": mode}
    if profile_level_id is not None:
        parameters["profile-level-id"] = profile_level_id
    return RTCRtpCodecParameters(
        mimeType="video/H264", clockRate=90_000, payloadType=111, parameters=dict(parameters)
    )


def agreed(*offers: RTCRtpCodecParameters) -> list[str]:
    common = find_common_codecs(CODECS["video"], list(offers))
    return [str(codec.parameters["profile-level-id"]) for codec in common]


def test_installing_again_changes_nothing() -> None:
    codecs = CODECS["video"]
    install()
    assert CODECS["video"] is codecs


def test_every_payload_type_is_dynamic_and_used_once() -> None:
    types = [codec.payloadType for kind in CODECS.values() for codec in kind]
    assert len(set(types)) == len(types)
    assert all(payload_type in range(96, 128) for payload_type in types)


def test_av1_comes_first_then_h264_by_profile_and_each_has_retransmission() -> None:
    media = [codec for codec in CODECS["video"] if codec.name != "rtx"]
    repair = [codec for codec in CODECS["video"] if codec.name == "rtx"]
    assert [codec.name for codec in media] == ["AV1", *["H264"] * 5, "VP9", "VP8"]
    assert [codec.parameters["profile-level-id"] for codec in media[1:6]] == list(H264_PROFILES)
    assert [codec.parameters["apt"] for codec in repair] == [codec.payloadType for codec in media]


@pytest.mark.parametrize(
    ("offer", "profile"),
    [
        (h264("640c1f"), "640c1f"),
        (h264("64001f"), "64001f"),
        (h264("4d401f"), "4d001f"),
        (h264("42e01f"), "42e01f"),
        (h264("42e029"), "42e01f"),  # another level
        (h264("42000d"), "42001f"),  # what ffmpeg's whip muxer says
        (h264(None), "42e01f"),  # RFC 6184 section 8.1: constrained baseline
    ],
)
def test_the_profile_of_an_offer_is_met(offer: RTCRtpCodecParameters, profile: str) -> None:
    assert agreed(offer) == [profile]


@pytest.mark.parametrize("offer", [h264("42e01f", mode="0"), h264("f4001f"), h264("nonsense")])
def test_what_cannot_be_decoded_is_not_agreed_on(offer: RTCRtpCodecParameters) -> None:
    assert agreed(offer) == []


@pytest.mark.parametrize(
    ("mime_type", "parameters", "is_met"),
    [
        ("video/AV1", {"level-idx": "5", "profile": "0", "tier": "0"}, True),
        ("video/AV1", {}, True),  # the Main profile
        ("video/AV1", {"level-idx": "8", "profile": "0", "tier": "1"}, True),
        ("video/AV1", {"level-idx": "5", "profile": "1", "tier": "0"}, False),  # 4:4:4
        ("video/VP9", {"profile-id": "0"}, True),
        ("video/VP9", {}, True),
        ("video/VP9", {"profile-id": "2"}, False),  # 10 bit
    ],
)
def test_av1_and_vp9_are_met_in_their_main_profile(
    mime_type: str, parameters: dict[str, str], is_met: bool
) -> None:
    offer = RTCRtpCodecParameters(
        mimeType=mime_type, clockRate=90_000, payloadType=45, parameters=dict(parameters)
    )
    common = find_common_codecs(CODECS["video"], [offer])
    assert [codec.payloadType for codec in common] == ([45] if is_met else [])


def test_what_was_agreed_on_is_told_in_our_words() -> None:
    codecs = [codec for codec in CODECS["video"] if codec.payloadType in (97, 98, 99, 107, 108)]
    agreement = read_agreement(codecs, offered=("av1", "h264"))
    assert agreement.codec == NegotiatedCodec(
        name="h264", profile_level_id="640c1f", payload_type=97
    )
    assert (agreement.offered, agreement.accepted) == (("av1", "h264"), ("h264", "vp8"))
    assert {"nack", "nack pli", "goog-remb"} <= agreement.feedback


def test_aiortc_finds_our_codecs_where_it_looks() -> None:
    encoder = vars(rtcrtpsender)["get_encoder"](h264("640c1f"))
    assert isinstance(encoder, VideoSendEncoder)
    assert encoder._codec == NegotiatedCodec(
        name="h264", profile_level_id="640c1f", payload_type=111
    )
    opus = CODECS["audio"][0]
    assert isinstance(vars(rtcrtpsender)["get_encoder"](opus), OpusSendEncoder)
    assert isinstance(vars(rtcrtpreceiver)["get_decoder"](opus), OpusReceiveDecoder)
    assert isinstance(vars(rtcrtpreceiver)["get_decoder"](h264("640c1f")), VideoReceiveDecoder)


def test_payloads_that_do_not_parse_become_a_marker_instead_of_an_exception() -> None:
    depayload = vars(rtcrtpreceiver)["depayload"]
    assert depayload(h264("640c1f"), b"\x1f\xff") is MALFORMED
    assert depayload(CODECS["audio"][0], b"sound") == PayloadPart(
        data=b"sound", starts_frame=True, is_keyframe=True
    )


def test_an_aiortc_that_has_changed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    async def next_encoded_frame(self: object, codec: object) -> None:
        """A function of the future, which looks up nothing that is known here."""

    monkeypatch.setattr(rtcrtpsender, "get_encoder", None)  # as if nothing was installed
    monkeypatch.setattr(rtcrtpsender.RTCRtpSender, "_next_encoded_frame", next_encoded_frame)
    with pytest.raises(CodecError, match=r"aiortc 1\..*no longer uses get_encoder, encode"):
        install()


async def test_our_own_offer_is_understood_in_both_directions() -> None:
    connection = RTCPeerConnection()
    connection.addTransceiver("video", direction="sendonly")
    connection.addTransceiver("audio", direction="sendonly")
    sdp = (await connection.createOffer()).sdp
    await connection.close()
    assert check_remote_description(sdp, sends=True) == ["video", "audio"]
    with pytest.raises(PeerError, match="sendonly, not as recvonly"):
        check_remote_description(sdp, sends=False)


def test_a_codec_list_from_the_peer_is_repeated_in_one_bounded_line() -> None:
    lines = [
        "v=0",
        "o=- 1 1 IN IP4 0.0.0.0",
        "s=-",
        "t=0 0",
        "m=video 9 UDP/TLS/RTP/SAVPF " + " ".join(str(96 + n % 30) for n in range(30)),
        "c=IN IP4 0.0.0.0",
        "a=mid:0",
        "a=sendonly",
        "a=rtcp-mux",
        "a=ice-ufrag:abcd",
        "a=ice-pwd:abcdefghijklmnopqrstuvwx",
        "a=setup:actpass",
        "a=fingerprint:sha-256 00:11",
        *(f"a=rtpmap:{96 + n} CODEC-OF-SOME-LENGTH-{n}/90000" for n in range(30)),
        "",
    ]
    with pytest.raises(PeerError, match="CODEC-OF-SOME-LENGTH-0, ") as refused:
        check_remote_description("\r\n".join(lines), sends=True)
    assert len(str(refused.value)) < 600
