"""Congestion control between two real peers: what each end puts on the wire, and what it learns."""

from __future__ import annotations

import asyncio
from itertools import pairwise

from aiortc.rtp import is_rtcp

from stream import rtp_header
from stream.frame import Size
from stream.peer import ReceivingPeer, SendingPeer
from stream.twcc import FEEDBACK_TYPE, is_transport_feedback
from tests.live_media import X264, take
from tests.live_peers import linked, lose_packets, until

NUMBER_ID = 4  # of the header extension in our own offers
RTX_TYPE = 98


def watch_sent(peer: SendingPeer | ReceivingPeer, seen: list[tuple[float, bytes]]) -> None:
    """Note every packet of a peer as it leaves (headers are readable), with its time in ms."""
    loop = asyncio.get_running_loop()

    def keep(packet: bytes) -> bool:
        seen.append((1000 * loop.time(), packet))
        return False

    lose_packets(peer, keep)


async def test_every_packet_is_numbered_and_the_numbers_are_those_that_are_reported() -> None:
    sent: list[tuple[float, bytes]] = []
    back: list[tuple[float, bytes]] = []
    async with linked(with_audio=True) as link:
        watch_sent(link.sender, sent)
        watch_sent(link.receiver, back)
        await link.play(range(40), with_sound=True, pause_s=0.03)
        await take(link.receiver.video, 40)
        await until(lambda: link.sender.stats().link_bps is not None)
        link_bps = link.sender.stats().link_bps
    media = [packet for _, packet in sent if not is_rtcp(packet)]
    numbers = [rtp_header.extension_of(packet, NUMBER_ID) for packet in media]
    assert [int.from_bytes(number or b"", "big") for number in numbers] == list(range(len(media)))
    reports = [
        datagram for _, datagram in back if is_rtcp(datagram) and is_transport_feedback(datagram)
    ]
    assert 5 <= len(reports) <= 30  # one in 0.1 s at most
    assert link_bps is not None
    assert link_bps > 50_000


async def test_a_large_picture_is_spread_over_part_of_its_interval() -> None:
    sent: list[tuple[float, bytes]] = []
    size = Size(width=320, height=192)
    async with linked(encoder=X264(slice_bytes=300)) as link:
        watch_sent(link.sender, sent)
        await link.play(range(30), size=size, pause_s=0.04)
        await take(link.receiver.video, 30)
    frames: dict[int, list[float]] = {}
    for at_ms, packet in sent:
        if not is_rtcp(packet) and packet[1] & 0x7F != RTX_TYPE:
            frames.setdefault(rtp_header.timestamp_of(packet), []).append(at_ms)
    large = [times for times in list(frames.values())[1:] if len(times) >= 4]
    assert large
    spans = sorted(times[-1] - times[0] for times in large)
    assert spans[len(spans) // 2] > 2  # in one go they would take a fraction of a millisecond


async def test_keyframe_requests_are_a_round_trip_apart() -> None:
    asked: list[float] = []
    loop = asyncio.get_running_loop()
    is_dark = False

    def note_pli(packet: bytes) -> bool:
        if packet[1] == 206 and packet[0] & 0x1F == 1:
            asked.append(1000 * loop.time())
        return False

    async with linked() as link:
        lose_packets(link.receiver, note_pli)
        lose_packets(link.sender, lambda packet: is_dark or packet[1] & 0x7F == RTX_TYPE)
        await link.play(range(10))
        is_dark = True
        await link.play(range(10, 30))
        is_dark = False
        await link.play(range(30, 60))
        await link.received_until(59 * 3600)
    assert asked
    assert all(later - earlier >= 100 for earlier, later in pairwise(asked))


async def test_a_peer_that_knows_no_transport_wide_feedback_is_sent_to_without() -> None:
    sent: list[tuple[float, bytes]] = []
    async with linked(edit_sdp=_without_feedback) as link:
        watch_sent(link.sender, sent)
        await link.play(range(20))
        await take(link.receiver.video, 20)
        assert link.sender.stats().link_bps is None
    media = [packet for _, packet in sent if not is_rtcp(packet)]
    assert {rtp_header.extension_of(packet, NUMBER_ID) for packet in media} == {None}


def _without_feedback(sdp: str) -> str:
    unwanted = (FEEDBACK_TYPE, "transport-wide-cc")
    lines = [line for line in sdp.splitlines() if not any(word in line for word in unwanted)]
    return "\r\n".join(lines) + "\r\n"
