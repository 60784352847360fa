"""A browser publishes to us and plays what we send, in AV1 and in H.264; judged by content."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from encoder.codec_choice import CodecWish, offered_codecs
from encoder.live_encoder import LiveEncoder
from encoder.rate_control import RateController
from stream import rtp_av1
from stream.av1_quantiser import QuantiserReader
from stream.buffer import LatestBuffer
from stream.frame import Frame, Size
from stream.jitter_buffer import PayloadPart
from stream.obu import ObuType, split_temporal_unit
from stream.peer import NetworkScope, ReceivingPeer, SendingPeer
from stream.tracks import SendingVideo
from tests.chromium import chromium
from tests.chromium_media import DECODER, LEAVE, PLAY, POST_OFFER, PUBLISH, TAKE_ANSWER
from tests.live_processes import Receiver
from tests.marked_pictures import marked, number_in, numbers_in

pytestmark = pytest.mark.real_peer
PATIENCE_S = 40.0


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not holds():  # noqa: ASYNC110 (what it waits for has no event)
            await asyncio.sleep(0.05)


def assert_in_order(numbers: list[int], *, at_least: int, restarts: int = 0) -> None:
    """Pictures of a clip that counts 0 to 255 over and over, of which a few may be left out."""
    steps = [(after - before) % 256 for before, after in pairwise(numbers)]
    assert len(numbers) >= at_least
    assert sum(step > 100 for step in steps) <= restarts, numbers
    assert len(set(numbers)) >= at_least / 2


async def test_chromium_publishes_av1_and_then_h264_by_whip(tmp_path: Path) -> None:
    small = tmp_path / "small.y4m"
    arguments = ("--output", "null:", "--lr-output", f"y4m:{small}", "--model", "lanczos")
    with Receiver(tmp_path, *arguments) as receiver:
        async with chromium() as browser:
            for mime_type, name in (("video/AV1", "av1"), ("video/H264", "h264")):
                already = len(receiver.stats())
                page = await browser.new_page()
                await page.goto(f"http://{receiver.address}/")  # so that its origin is the server's
                offer = await page.evaluate(PUBLISH, mime_type)
                await page.evaluate(POST_OFFER, [receiver.url, offer])

                def has_restored(name: str = name, already: int = already) -> bool:
                    lines = receiver.stats()[already:]
                    own = [line["frames_restored"] for line in lines if line["codec"] == name]
                    return bool(own) and own[-1] - own[0] >= 20

                await until(has_restored)
                await page.evaluate(LEAVE)
                await page.close()
        assert receiver.end() == 0
    assert_in_order(numbers_in(small), at_least=40, restarts=1)


async def test_av1_packets_of_chromium_are_read_to_their_last_bit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    payloads: list[bytes] = []
    depayload, assemble = rtp_av1.depayload, rtp_av1.assemble
    units: list[bytes] = []

    def note_payload(payload: bytes) -> PayloadPart:
        payloads.append(payload)
        return depayload(payload)

    def note_unit(parts: bytes) -> bytes:
        units.append(assemble(parts))
        return units[-1]

    monkeypatch.setattr(rtp_av1, "depayload", note_payload)
    monkeypatch.setattr(rtp_av1, "assemble", note_unit)
    peer = ReceivingPeer(NetworkScope.LOOPBACK, video_capacity=500)
    frames: list[Frame] = []
    async with chromium() as browser:
        page = await browser.new_page()
        offer = await page.evaluate(PUBLISH, "video/AV1")
        await page.evaluate(TAKE_ANSWER, await peer.answer(offer))
        async with asyncio.timeout(PATIENCE_S):
            while len(frames) < 40:
                frames.append(await peer.video.get_async())
        stats = peer.stats()
        await peer.close()
    assert (stats.codec, stats.peer_errors) == ("av1", 0)
    assert_in_order([number_in(frame.y) for frame in frames], at_least=40)
    assert all(frame.quantiser is not None for frame in frames)
    reader = QuantiserReader()
    for unit in units:
        obus = list(split_temporal_unit(unit))
        assert obus[0].kind == ObuType.TEMPORAL_DELIMITER
        assert reader.read(unit) is not None
        # As we would send it, it comes out the same.
        again = b"".join(depayload(part).data for part in rtp_av1.packetize(unit))
        assert assemble(again) == unit
    assert ObuType.SEQUENCE_HEADER in [obu.kind for obu in split_temporal_unit(units[0])]
    assert len(payloads) >= len(units)


@pytest.mark.parametrize("codec", ["av1", "h264"])
async def test_chromium_plays_what_we_send(codec: CodecWish) -> None:
    pictures: LatestBuffer[Frame] = LatestBuffer(10)
    encoder = LiveEncoder(
        RateController(300_000), frame_rate=25, preset="veryfast", intra_refresh=False
    )
    video = SendingVideo(source=pictures, encoder=encoder, codecs=offered_codecs(codec))
    peer = SendingPeer(video, None, NetworkScope.LOOPBACK)
    async with chromium() as browser:
        page = await browser.new_page()
        await peer.set_answer(await page.evaluate(PLAY, await peer.create_offer()))
        await peer.wait_connected()
        seen: list[int] = []
        async with asyncio.timeout(PATIENCE_S):
            for index in range(1000):
                if index % 25 == 0 and len(seen := await page.evaluate("window.seen")) > 40:
                    break
                number = index % 256
                pictures.put(marked(number, size=Size(width=320, height=180), pts=index * 3600))
                await asyncio.sleep(0.04)
        shown = await page.evaluate(DECODER)
        await peer.close()
    assert shown.lower() == f"video/{codec}"
    assert_in_order(seen, at_least=40)
