"""Viewers of a running receiver: many, late, slow, refused, and over a publisher's return."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import av
import numpy as np
import pytest

from decoder.receiver import Receiver
from decoder.viewing import compression
from decoder.viewing.view import ViewCounts
from stream.audio import SAMPLE_RATE_HZ, AudioChunk
from stream.errors import ConfigError, PeerError
from stream.frame import CLOCK_HZ
from stream.sdp_text import MAX_SDP_BYTES
from tests.live_peers import until
from tests.live_publisher import Publishing, live_publisher
from tests.live_viewers import Viewer, viewing
from tests.marked_pictures import marked, number_in
from tests.receiver_rig import HR, LR, receiver_config, running

FOREVER = range(1000)
FIRST_PICTURE_S = 1.0
LIPS_S = 0.040


def _base(receiver: Receiver) -> str:
    assert receiver.url is not None
    return receiver.url.removesuffix("/whip")


def _counts(receiver: Receiver, view: str = "restored") -> ViewCounts:
    views = receiver._views_of("live")
    assert views is not None
    return views.counts()[view]


async def _until_streaming(receiver: Receiver) -> None:
    await until(lambda: receiver._views_of("live") is not None)


async def test_twenty_viewers_share_one_encode_and_five_that_stop_reading_stall_nobody() -> None:
    async with running(receiver_config()) as receiver, AsyncExitStack() as stack:
        base = _base(receiver)
        publisher = await stack.enter_async_context(live_publisher(receiver.url or ""))
        playing = asyncio.create_task(publisher.play(FOREVER))
        await _until_streaming(receiver)
        assert _counts(receiver).frames_encoded == 0  # nobody views
        viewers: list[Viewer] = await asyncio.gather(
            *(stack.enter_async_context(viewing(f"{base}/whep/live")) for _ in range(20))
        )
        await asyncio.gather(*(viewer.got(10) for viewer in viewers))
        assert _counts(receiver).viewers == 20
        deaf, listening = viewers[:5], viewers[5:]
        for viewer in deaf:
            viewer.stop_reading()
        stopped_s = time.monotonic()
        # Those who hear nothing are let go after some seconds; the others go on all the time.
        async with asyncio.timeout(20):
            while _counts(receiver).viewers > 15:  # noqa: ASYNC110 (a count has no event)
                await asyncio.sleep(0.1)
        for viewer in listening:
            assert viewer.longest_gap_s(stopped_s) < 3  # the deaf stay for longer
        got = [len(viewer.frames) for viewer in listening]
        encoded = _counts(receiver)
        assert max(got) <= encoded.frames_encoded  # not one encode for each of them
        assert min(got) >= 0.8 * max(got)
        assert encoded.keyframes_encoded < 12  # those who joined together shared them
        playing.cancel()


async def test_a_late_viewer_sees_a_picture_within_a_second_and_nothing_is_made_for_nobody() -> (
    None
):
    async with (
        running(receiver_config()) as receiver,
        live_publisher(receiver.url or "") as publisher,
    ):
        playing = asyncio.create_task(publisher.play(FOREVER))
        await _until_streaming(receiver)
        await asyncio.sleep(0.5)
        assert _counts(receiver) == ViewCounts()
        waits = []
        for path in ("/whep/live", "/whep/live/lr", "/whep"):
            async with viewing(_base(receiver) + path) as viewer:
                await viewer.got(3)
                waits.append(viewer.first_picture_s)
                size = LR if path.endswith("lr") else HR
                assert {frame.size for frame in viewer.frames} == {size}
                numbers = [number_in(frame.y) for frame in viewer.frames]
                assert numbers == sorted(set(numbers))  # a busy machine may leave some out
        assert min(waits) < FIRST_PICTURE_S, waits  # a busy machine may delay some
        await until(lambda: _counts(receiver).viewers == _counts(receiver, "received").viewers == 0)
        encoded = _counts(receiver).frames_encoded
        await asyncio.sleep(0.3)
        assert _counts(receiver).frames_encoded == encoded
        playing.cancel()


async def test_the_received_picture_is_passed_on_untouched_and_replaced_where_that_fails(
    tmp_path: Path,
) -> None:
    lr_file = tmp_path / "lr.y4m"
    async with (
        running(receiver_config(lr_outputs=(str(lr_file),))) as receiver,
        live_publisher(receiver.url or "") as publisher,
    ):
        playing = asyncio.create_task(publisher.play(FOREVER))
        await _until_streaming(receiver)
        async with viewing(f"{_base(receiver)}/whep/live/lr") as viewer:
            await viewer.got(1)
            await until(lambda: _counts(receiver, "received").frames_passed > 5)
            await viewer.got(len(viewer.frames) + 10)
            untouched, encoded = viewer.frames[-5:], _counts(receiver, "received").frames_encoded
            await viewer.got(len(viewer.frames) + 5)
            assert _counts(receiver, "received").frames_encoded == encoded  # for nobody
            viewer.peer.request_keyframe()  # as one that lost a picture does
            await until(lambda: _counts(receiver, "received").frames_encoded > encoded + 10)
            await viewer.got(len(viewer.frames) + 10)
            replaced = viewer.frames[-5:]
        playing.cancel()
    with av.open(str(lr_file)) as file:
        lumas = [np.asarray(f.to_ndarray()[: LR.height], np.uint8) for f in file.decode(video=0)]
    sent = {number_in(luma): luma for luma in lumas}
    for frame in untouched:
        assert np.array_equal(frame.y, sent[number_in(frame.y)])
    for frame in replaced:
        difference = np.abs(frame.y.astype(int) - sent[number_in(frame.y)])
        assert 0 < difference.mean() < 2


async def test_av1_goes_to_those_who_take_it_and_ends_where_it_takes_too_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with (
        running(receiver_config(view_codec="av1")) as receiver,
        live_publisher(receiver.url or "") as publisher,
    ):
        playing = asyncio.create_task(publisher.play(FOREVER))
        await _until_streaming(receiver)
        whep = f"{_base(receiver)}/whep/live"
        async with (
            viewing(whep) as modern,
            viewing(whep, said=lambda offer: offer.replace("AV1/90000", "AV9/90000")) as old,
        ):
            await asyncio.gather(modern.got(5), old.got(5))
            assert (modern.peer.stats().codec, old.peer.stats().codec) == ("av1", "h264")
            monkeypatch.setattr(compression, "MOST_SHARE", 0.0)
            await until(lambda: modern.peer.stats().codec == "h264")
            await modern.got(len(modern.frames) + 5)
            numbers = [number_in(frame.y) for frame in modern.frames]
            assert numbers == sorted(numbers)
            assert modern.frames[-1].size == HR
        playing.cancel()


async def test_both_pictures_of_one_moment_carry_the_same_timestamp() -> None:
    async with (
        running(receiver_config()) as receiver,
        live_publisher(receiver.url or "") as publisher,
    ):
        playing = asyncio.create_task(publisher.play(FOREVER))
        await _until_streaming(receiver)
        base = _base(receiver)
        async with (
            viewing(f"{base}/whep/live") as restored,
            viewing(f"{base}/whep/live/lr") as received,
        ):
            # Read from the wire: a ReceivingPeer tells times from its own first picture.
            await asyncio.gather(restored.got(20), received.got(20))
            times = [
                {
                    number_in(frame.y): frame.pts - viewer.peer._clock._video_shift
                    for frame in viewer.frames
                    if viewer.peer._clock._video_shift is not None
                }
                for viewer in (restored, received)
            ]
        common = times[0].keys() & times[1].keys()
        assert len(common) > 5
        assert all(times[0][number] == times[1][number] for number in common)
        playing.cancel()


async def _flash_and_beep(publisher: Publishing, at_s: tuple[float, ...], length_s: float) -> None:
    """White pictures and tones at the same moments, sound sent as it would be recorded."""
    start_s = time.monotonic()
    for index in range(round(25 * length_s)):
        picture = marked(index % 200, size=LR, pts=index * 3600)
        if any(abs(index / 25 - at) < 0.02 for at in at_s):
            picture.y[:] = 235
        publisher.frames.put(picture)
        time_s = (index * 1920 + np.arange(1920)) / SAMPLE_RATE_HZ
        tone = sum(((time_s >= at) & (time_s < at + 0.1)) for at in at_s) * np.sin(6283 * time_s)
        samples = np.repeat((12_000 * tone).astype(np.int16)[:, None], 2, axis=1)
        publisher.sound.put(AudioChunk(samples=samples, pts=index * 1920))
        await asyncio.sleep(max(0.0, start_s + (index + 1) / 25 - time.monotonic()))


async def test_a_viewer_hears_beeps_within_40_ms_of_their_flashes() -> None:
    events_s = (2.0, 2.6, 3.2)
    async with (
        running(receiver_config()) as receiver,
        live_publisher(receiver.url or "", with_sound=True) as publisher,
    ):
        playing = asyncio.create_task(_flash_and_beep(publisher, events_s, 3.6))
        await _until_streaming(receiver)
        async with viewing(f"{_base(receiver)}/whep/live") as viewer:
            await playing
            # A busy receiver may skip a picture.
            await until(lambda: len(_flashes_s(viewer)) >= len(events_s) - 1)
            end_s = _flashes_s(viewer)[-1] + 0.2
            await until(lambda: viewer.sound[-1].pts > end_s * SAMPLE_RATE_HZ)
    flashes_s = [at_s for at_s in _flashes_s(viewer) if at_s < end_s]
    loud_s = np.concatenate(
        [
            (chunk.pts + np.flatnonzero(np.abs(chunk.samples[:, 0]) > 3000)) / SAMPLE_RATE_HZ
            for chunk in viewer.sound
        ]
    )
    for flash_s in flashes_s:
        beep_s = float(loud_s[np.abs(loud_s - flash_s) < 0.3].min())
        print(f"beep {1000 * (beep_s - flash_s):+.0f} ms from its flash")
        assert abs(beep_s - flash_s) <= LIPS_S


def _flashes_s(viewer: Viewer) -> list[float]:
    return [frame.pts / CLOCK_HZ for frame in viewer.frames if frame.y.mean() > 200]


async def test_a_viewer_stays_while_the_publisher_comes_back() -> None:
    async with running(receiver_config()) as receiver:
        url = receiver.url or ""
        async with live_publisher(url) as publisher:
            playing = asyncio.create_task(publisher.play(range(15)))
            async with AsyncExitStack() as stack:
                await _until_streaming(receiver)
                viewer = await stack.enter_async_context(viewing(f"{_base(receiver)}/whep/live"))
                await playing
                async with live_publisher(url) as again:
                    await again.play(range(100, 120))
                    await until(lambda: bool(viewer.frames) and _last(viewer) == 119)
                assert [f.pts for f in viewer.frames] == sorted({f.pts for f in viewer.frames})
                assert 100 in [number_in(frame.y) for frame in viewer.frames]


def _last(viewer: Viewer) -> int:
    return number_in(viewer.frames[-1].y)


async def test_who_cannot_view_is_told_why() -> None:
    config = receiver_config(token="publish", view_token="view", max_viewers=1)
    async with running(config) as receiver:
        whep = f"{_base(receiver)}/whep/live"
        with pytest.raises(ConfigError):
            async with viewing(whep):
                pass
        with pytest.raises(ConfigError):
            async with viewing(whep, "wrong"):
                pass
        with pytest.raises(ConfigError, match="there is no stream live"):
            async with viewing(whep, "view"):
                pass
        headers = {"Content-Type": "application/sdp", "Authorization": "Bearer view"}
        async with aiohttp.ClientSession(headers=headers) as http:
            for body, status in ((b"junk", 400), (b"v" * (MAX_SDP_BYTES + 1), 413)):
                async with http.post(whep, data=body) as response:
                    assert response.status == status
            async with http.options(whep, headers={"Origin": "http://a.example"}) as response:
                assert response.status == 204
                assert response.headers["Access-Control-Allow-Origin"] == "*"


async def test_a_client_that_offers_nothing_usable_is_made_an_offer() -> None:
    async with (
        running(receiver_config(max_viewers=1)) as receiver,
        live_publisher(receiver.url or "") as publisher,
    ):
        playing = asyncio.create_task(publisher.play(FOREVER))
        await _until_streaming(receiver)
        whep = f"{_base(receiver)}/whep/live"
        async with viewing(whep) as viewer:
            await viewer.got(3)
            with pytest.raises(PeerError, match="no session is free"):
                async with viewing(whep):
                    pass
        await until(lambda: _counts(receiver).viewers == 0)
        async with viewing(whep, said=_only_vp9) as viewer:
            await viewer.got(5)
            assert viewer.frames[0].size == HR
        playing.cancel()


def _only_vp9(offer: str) -> str:
    return offer.replace("H264/90000", "VP9/90000").replace("VP8/90000", "VP9/90000")
