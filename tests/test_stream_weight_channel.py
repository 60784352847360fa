"""The data channel for weights between two real peers."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import numpy as np
import pytest

from stream.buffer import LatestBuffer
from stream.frame import Frame
from stream.peer import NetworkScope, ReceivingPeer, SendingPeer
from stream.tracks import SendingVideo
from stream.weight_channel import DELTAS_WAITING, SendingWeights
from tests.live_media import X264, picture
from tests.live_peers import until


@asynccontextmanager
async def linked(
    *, with_weights: bool = True
) -> AsyncIterator[tuple[SendingPeer, ReceivingPeer, LatestBuffer[Frame]]]:
    pictures: LatestBuffer[Frame] = LatestBuffer(50)
    sender = SendingPeer(
        SendingVideo(source=pictures, encoder=X264()),
        None,
        NetworkScope.LOOPBACK,
        with_weights=with_weights,
    )
    receiver = ReceivingPeer(NetworkScope.LOOPBACK, video_capacity=100)
    try:
        await sender.set_answer(await receiver.answer(await sender.create_offer()))
        async with asyncio.timeout(15):
            await asyncio.gather(sender.wait_connected(), receiver.wait_connected())
        yield sender, receiver, pictures
    finally:
        await asyncio.gather(sender.close(), receiver.close())


async def opened(sender: SendingPeer) -> SendingWeights:
    weights = sender.weights
    assert weights is not None
    await until(lambda: weights.is_open)
    return weights


async def test_deltas_arrive_whole_beside_the_pictures_and_are_counted() -> None:
    deltas = [np.random.default_rng(seed).bytes(30_000) for seed in range(2)]
    async with linked() as (sender, receiver, pictures):
        weights = await opened(sender)
        for number, delta in enumerate(deltas):
            pictures.put(picture(number))
            for piece in weights.pieces(delta):
                weights.send(piece)
        async with asyncio.timeout(15):
            assert [await receiver.weights.deltas.get_async() for _ in deltas] == deltas
            frame = await receiver.video.get_async()
        assert receiver.video_pts(0) is not None
        assert frame.pts == 0
        stats = receiver.stats()
        assert 60_000 < stats.weight_bytes_received < 61_000
        assert stats.wire_bytes_received > stats.weight_bytes_received
        assert weights.waiting_bytes == 0
    assert receiver.weights.deltas.closed


async def test_a_receiver_asks_for_a_state() -> None:
    async with linked() as (sender, receiver, _):
        weights = await opened(sender)
        weights.send(weights.pieces(b"something")[0])
        async with asyncio.timeout(15):
            await receiver.weights.deltas.get_async()
        assert not weights.is_state_wanted
        receiver.weights.ask_for_state()
        await until(lambda: weights.is_state_wanted)


async def test_without_a_channel_everything_is_as_before() -> None:
    async with linked(with_weights=False) as (sender, receiver, pictures):
        assert sender.weights is None
        pictures.put(picture(0))
        async with asyncio.timeout(15):
            await receiver.video.get_async()
        receiver.weights.ask_for_state()  # nobody is there to be asked
        assert receiver.stats().weight_bytes_received == 0


async def test_what_is_no_delta_is_counted_and_the_oldest_of_too_many_is_dropped() -> None:
    async with linked() as (sender, receiver, pictures):
        weights = await opened(sender)
        sent = [bytes([number]) * 50 for number in range(DELTAS_WAITING + 3)]
        for message in (b"junk", *(weights.pieces(delta)[0] for delta in sent)):
            weights.send(message)
        await until(lambda: receiver.weights.deltas.dropped == 3)
        assert receiver.weights.refused == 1
        async with asyncio.timeout(15):
            kept = [await receiver.weights.deltas.get_async() for _ in range(DELTAS_WAITING)]
        assert kept == sent[3:]
        pictures.put(picture(0))
        async with asyncio.timeout(15):
            await receiver.video.get_async()


def without_channel(offer: str) -> tuple[str, int, str]:
    """An offer without its data channel, which section that was, and how it is rejected."""
    head, *sections = re.split(r"(?m)^(?=m=)", offer)
    [index] = [i for i, each in enumerate(sections) if each.startswith("m=application")]
    found = re.search(r"a=mid:(\S+)", sections.pop(index))
    assert found is not None
    head = re.sub(rf"(a=group:BUNDLE.*?) {found[1]}\b", r"\1", head)
    rejected = f"m=application 0 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:{found[1]}\r\n"
    return head + "".join(sections), index, rejected


async def test_a_server_without_data_channels_still_takes_the_pictures() -> None:
    pictures: LatestBuffer[Frame] = LatestBuffer(50)
    video = SendingVideo(source=pictures, encoder=X264())
    sender = SendingPeer(video, None, NetworkScope.LOOPBACK, with_weights=True)
    receiver = ReceivingPeer(NetworkScope.LOOPBACK)
    try:
        plain, index, rejected = without_channel(await sender.create_offer())
        head, *answered = re.split(r"(?m)^(?=m=)", await receiver.answer(plain))
        answered.insert(index, rejected)
        await sender.set_answer(head + "".join(answered))
        async with asyncio.timeout(15):
            await sender.wait_connected()
            pictures.put(picture(0))
            await receiver.video.get_async()
        assert sender.weights is not None
        assert not sender.weights.is_open
        sender.weights.send(b"nobody takes it")
    finally:
        await asyncio.gather(sender.close(), receiver.close())


@pytest.mark.parametrize("label", ["edvr-weights", "chat"])
async def test_a_second_channel_and_one_of_another_name_are_closed(label: str) -> None:
    async with linked() as (sender, receiver, _):
        weights = await opened(sender)
        other = sender._connection.createDataChannel(label)
        await until(lambda: other.readyState == "closed")
        weights.send(weights.pieces(b"still there")[0])
        async with asyncio.timeout(15):
            assert await receiver.weights.deltas.get_async() == b"still there"


async def test_a_message_without_end_ends_the_session_and_not_the_memory() -> None:
    async with linked() as (sender, receiver, _):
        weights = await opened(sender)
        sending, receiving = sender._connection.sctp, receiver._connection.sctp
        assert sending is not None
        assert receiving is not None
        sending._remote_max_message_size = 0  # what keeps an honest sender from it
        receiving._advertised_rwnd = 60_000  # instead of a megabyte, which takes longer
        weights._channel.send(bytes(300_000))
        async with asyncio.timeout(30):
            await receiver.closed.wait()
        assert "more on a data channel than it may" in str(receiver.close_reason)
