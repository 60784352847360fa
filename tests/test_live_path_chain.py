"""Receivers behind each other: one restores, one pulls from it and pushes on, one records."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from pathlib import Path

import av

from decoder.receiver import Receiver
from tests.live_peers import until
from tests.live_publisher import live_publisher
from tests.marked_pictures import numbers_in
from tests.receiver_rig import HR, receiver_config, running

COUNT = 40
PATIENCE_S = 40.0


def _restored(receiver: Receiver) -> int:
    stream = receiver._streams.get("live")
    return 0 if stream is None else stream.pipeline.counts().frames_restored


async def test_what_is_pulled_by_whep_and_pushed_by_whip_arrives_in_order(tmp_path: Path) -> None:
    recording = tmp_path / "end.mp4"
    async with (
        running(receiver_config(str(recording))) as last,
        running(receiver_config()) as first,
        live_publisher(first.url or "") as publisher,
    ):
        playing = asyncio.create_task(publisher.play(range(1000)))
        await until(lambda: first._views_of("live") is not None)
        whep = (first.url or "").replace("/whip", "/whep/live")
        config = receiver_config(f"whip+{last.url}", whep=whep, listen=None)
        async with running(config), asyncio.timeout(PATIENCE_S):
            while _restored(last) < COUNT:  # noqa: ASYNC110 (a counter has no event)
                await asyncio.sleep(0.1)
        playing.cancel()
    numbers = numbers_in(recording)
    assert len(numbers) >= COUNT
    steps = [(after - before) % 256 for before, after in pairwise(numbers)]
    assert steps.count(1) >= 0.9 * len(steps)  # a busy machine may leave some out
    assert max(steps) < 50
    with av.open(str(recording)) as file:
        picture = file.streams.video[0]
        assert (picture.width, picture.height) == (HR.width, HR.height)
