from __future__ import annotations

import asyncio
import os
import random
import threading
import time

import pytest
from aiortc import RTCConfiguration, RTCPeerConnection

from stream.buffer import BufferClosed, LatestBuffer
from stream.errors import PeerError
from stream.frame import Frame
from stream.peer import NetworkScope, ReceivingPeer, SendingPeer
from stream.tracks import SendingAudio, SendingVideo
from tests.live_media import X264, picture, take
from tests.live_peers import fall_silent, linked


def sending_peer(*, with_audio: bool = False) -> SendingPeer:
    return SendingPeer(
        SendingVideo(source=LatestBuffer(1), encoder=X264()),
        SendingAudio(source=LatestBuffer(1)) if with_audio else None,
        NetworkScope.LOOPBACK,
    )


async def offer_sdp(*, with_audio: bool = False) -> str:
    peer = sending_peer(with_audio=with_audio)
    offer = await peer.create_offer()
    await peer.close()
    return offer


def in_use() -> tuple[int, int, int]:
    """Threads (without the loop's executor, which grows to its size and stays), tasks, files."""
    threads = [t for t in threading.enumerate() if not t.name.startswith("asyncio_")]
    return len(threads), len(asyncio.all_tasks()), len(os.listdir("/proc/self/fd"))


async def test_twelve_sessions_leave_no_thread_task_or_socket_behind() -> None:
    before = in_use()
    for turn in range(12):
        async with linked(with_audio=True, receiver_offers=turn % 2 == 1) as link:
            await link.play(range(4), with_sound=True)
            await take(link.receiver.video, 2)
            if turn % 3 == 0:
                await link.sender.close()
                async with asyncio.timeout(2):
                    await link.receiver.closed.wait()
            elif turn % 3 == 1:
                await link.receiver.close()
                async with asyncio.timeout(2):
                    await link.sender.closed.wait()
        assert in_use() == before


async def test_the_end_of_the_other_side_closes_the_buffers_after_what_is_in_them() -> None:
    async with linked() as link:
        await link.play(range(3))
        await asyncio.sleep(0.1)
        await link.sender.close()
        async with asyncio.timeout(2):
            await link.receiver.closed.wait()
        assert len(await take(link.receiver.video, 3)) == 3
        with pytest.raises(BufferClosed):
            await link.receiver.video.get_async()
        assert link.receiver.close_reason == "the other end closed the session"


async def test_a_peer_that_vanishes_is_noticed_within_six_seconds_and_an_idle_one_is_kept() -> None:
    async with linked() as link, linked() as idle:
        await link.play(range(3))
        await idle.play(range(2))
        fall_silent(link.sender)
        fall_silent(link.receiver)
        started = time.monotonic()
        async with asyncio.timeout(8):
            await asyncio.gather(link.sender.closed.wait(), link.receiver.closed.wait())
        assert 3 < time.monotonic() - started < 6.3
        assert link.sender.close_reason == "nothing was heard from the other end"
        assert link.receiver.close_reason == "nothing was heard from the other end"
        assert not idle.sender.closed.is_set()
        assert not idle.receiver.closed.is_set()
        assert idle.sender.stats().rtt_ms is not None


async def test_loopback_scope_offers_the_loopback_address_only() -> None:
    sdp = await offer_sdp(with_audio=True)
    candidates = [line for line in sdp.splitlines() if line.startswith("a=candidate:")]
    assert candidates
    assert all(" 127.0.0.1 " in line and line.endswith("typ host") for line in candidates)


async def test_scope_all_offers_at_least_one_address_and_asks_no_server() -> None:
    peer = ReceivingPeer(NetworkScope.ALL)
    sdp = await peer.create_offer()
    await peer.close()
    candidates = [line for line in sdp.splitlines() if line.startswith("a=candidate:")]
    assert candidates
    assert all("typ host" in line for line in candidates)


async def test_closing_twice_or_before_anything_happened_is_fine() -> None:
    peer = sending_peer()
    await asyncio.gather(peer.close(), peer.close())
    await peer.close()
    assert peer.closed.is_set()
    assert peer.close_reason == "closed here"


async def refusal(sdp: str) -> str:
    """What a receiver says to an offer; it must have ended and let go of everything."""
    peer = ReceivingPeer(NetworkScope.LOOPBACK)
    with pytest.raises(PeerError) as refused:
        await peer.answer(sdp)
    async with asyncio.timeout(2):
        await peer.closed.wait()
    message = str(refused.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize("sdp", ["", "garbage", "v=0\r\n", "m=video", "\x00" * 100, "a=x\r\n" * 50])
async def test_text_that_is_no_session_description_is_refused(sdp: str) -> None:
    assert await refusal(sdp)


async def test_an_offer_without_a_usable_codec_is_refused_naming_what_it_has() -> None:
    sdp = (await offer_sdp()).replace("H264/90000", "H265/90000")
    message = await refusal(sdp)
    assert "H265" in message
    assert "H264 640c1f" in message


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("a=fingerprint:", "DTLS fingerprint"),
        ("a=ice-ufrag:", "ICE credentials"),
        ("a=rtcp-mux", "RTCP mux"),
        ("m=video", "video"),
    ],
)
async def test_an_offer_that_lacks_what_webrtc_needs_is_refused_saying_so(
    line: str, complaint: str
) -> None:
    sdp = await offer_sdp()
    lines = [kept for kept in sdp.splitlines() if not kept.startswith(line)]
    assert complaint in await refusal("\r\n".join(lines) + "\r\n")


async def test_an_offer_that_bundles_a_section_it_does_not_have_is_refused() -> None:
    sdp = await offer_sdp()
    assert "BUNDLE" in await refusal(sdp.replace("a=group:BUNDLE 0", "a=group:BUNDLE x 0"))


async def test_an_offer_to_receive_is_refused_by_a_receiver() -> None:
    assert "recvonly" in await refusal((await offer_sdp()).replace("sendonly", "recvonly"))


def without_sound(answer: str) -> str:
    """The answer of an end that takes no sound, as terse as RFC 3264 allows."""
    video = answer[: answer.index("m=audio")].replace("a=group:BUNDLE 0 1", "a=group:BUNDLE 0")
    return video + "m=audio 0 UDP/TLS/RTP/SAVPF 0\r\na=inactive\r\n"


async def test_an_end_that_takes_no_sound_gets_the_pictures() -> None:
    pictures: LatestBuffer[Frame] = LatestBuffer(8)
    sender = SendingPeer(
        SendingVideo(source=pictures, encoder=X264()),
        SendingAudio(source=LatestBuffer(1)),
        NetworkScope.LOOPBACK,
    )
    receiver = ReceivingPeer(NetworkScope.LOOPBACK)
    answer = await receiver.answer(await sender.create_offer())
    await sender.set_answer(without_sound(answer))
    async with asyncio.timeout(8):
        await sender.connected.wait()
    pictures.put(picture(0))
    assert len(await take(receiver.video, 1)) == 1
    await asyncio.gather(sender.close(), receiver.close())


async def test_an_end_that_takes_no_video_is_refused() -> None:
    sender, receiver = sending_peer(), ReceivingPeer(NetworkScope.LOOPBACK)
    answer = await receiver.answer(await sender.create_offer())
    port = next(line for line in answer.splitlines() if line.startswith("m=video")).split()[1]
    with pytest.raises(PeerError, match="does not take our video"):
        await sender.set_answer(answer.replace(f"m=video {port}", "m=video 0"))
    await asyncio.gather(sender.close(), receiver.close())


async def test_an_offer_with_a_data_channel_is_answered() -> None:
    other = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    other.addTransceiver("video", direction="sendonly")
    other.createDataChannel("chat")
    await other.setLocalDescription(await other.createOffer())
    receiver = ReceivingPeer(NetworkScope.LOOPBACK)
    answer = await receiver.answer(other.localDescription.sdp)
    assert "m=application" in answer
    await asyncio.gather(other.close(), receiver.close())


async def test_h264_is_chosen_before_what_the_other_end_would_rather_send() -> None:
    sdp = await offer_sdp()
    head, *sections = sdp.split("m=video ")
    words = sections[0].split("\r\n", 1)[0].split()
    vp8_first = " ".join([*words[:2], "120", *words[2:]])
    offer = head + "m=video " + sections[0].replace(" ".join(words), vp8_first, 1)
    offer = offer.replace("a=rtpmap:97 ", "a=rtpmap:120 VP8/90000\r\na=rtpmap:97 ", 1)
    receiver = ReceivingPeer(NetworkScope.LOOPBACK)
    answer = await receiver.answer(offer)
    await receiver.close()
    chosen = next(line for line in answer.splitlines() if line.startswith("m=video")).split()[3:]
    assert chosen[0] == "97"
    assert "120" in chosen


async def test_an_offer_damaged_anywhere_is_answered_or_refused_in_one_line() -> None:
    sdp = await offer_sdp(with_audio=True)
    before, order = in_use(), random.Random(11)
    for _ in range(40):
        lines = sdp.splitlines()
        for _ in range(order.randrange(1, 4)):
            place = order.randrange(len(lines))
            match order.randrange(3):
                case 0:
                    del lines[place]
                case 1:
                    cut = order.randrange(len(lines[place]) + 1)
                    lines[place] = lines[place][:cut] + chr(order.randrange(33, 127))
                case _:
                    lines.insert(place, order.choice(lines))
        peer = ReceivingPeer(NetworkScope.LOOPBACK)
        try:
            await peer.answer("\r\n".join(lines) + "\r\n")
        except PeerError as refused:
            assert "\n" not in str(refused)  # noqa: PT017 (an answer is fine as well)
        await peer.close()
    assert in_use() == before
