from __future__ import annotations

import asyncio
import os
import random
import threading
import time

import pytest

from stream.buffer import BufferClosed, LatestBuffer
from stream.errors import PeerError
from stream.peer import NetworkScope, ReceivingPeer, SendingPeer
from stream.tracks import SendingAudio, SendingVideo
from tests.live_media import X264, take
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


async def test_an_answer_that_turns_sound_down_says_what_to_do() -> None:
    sender, receiver = sending_peer(with_audio=True), ReceivingPeer(NetworkScope.LOOPBACK)
    answer = await receiver.answer(await sender.create_offer())
    audio = next(line for line in answer.splitlines() if line.startswith("m=audio"))
    rejected = " ".join(["m=audio", "0", *audio.split()[2:]])
    with pytest.raises(PeerError, match="send without audio"):
        await sender.set_answer(answer.replace(audio, rejected))
    await receiver.close()
    await sender.close()


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
