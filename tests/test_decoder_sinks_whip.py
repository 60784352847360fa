"""Restored video published to another WHIP server: here, to a second receiver."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

from decoder.sink import open_sink
from decoder.sink_thread import SinkState, SinkThread
from stream.backoff import Backoff, BackoffConfig
from stream.errors import PeerError
from stream.frame import Size
from tests.live_peers import until
from tests.marked_pictures import marked, numbers_in
from tests.receiver_rig import HR, LR, play, publishing, receiver_config, running
from tests.sink_media import read_with_pyav


async def test_what_one_receiver_restores_reaches_a_second_one(tmp_path: Path) -> None:
    path = tmp_path / "second.mp4"
    async with running(receiver_config(str(path), token="secret")) as second:
        assert second.url is not None
        first_config = receiver_config(f"whip+{second.url}/restored", whip_token="secret")
        async with running(first_config) as first:
            assert first.url is not None
            async with publishing(first.url) as frames:
                for start in range(0, 400, 10):
                    await play(frames, range(start, start + 10))
                    if (
                        len(second._streams)
                        and second._reporter.records["restored"]["frames_restored"]
                    ):
                        break
    numbers = numbers_in(path)
    assert len(numbers) >= 2
    assert numbers == sorted(numbers)
    assert threading.active_count() < 40
    with_sizes = read_with_pyav(path)
    assert len(with_sizes.frame_times) == len(numbers)


def test_a_server_that_is_not_there_is_tried_again() -> None:
    thread = SinkThread(
        lambda: open_sink("whip+http://127.0.0.1:9/whip", size=HR, frame_rate=25, with_audio=True),
        name="whip",
        reconnects=True,
        backoff=Backoff(BackoffConfig(first_s=0.01, longest_s=0.02)),
    )
    for _ in range(1000):
        if thread.counters().state is SinkState.RECONNECTING:
            break
        threading.Event().wait(0.02)
    assert "cannot reach" in (thread.counters().reason or "")
    assert thread.close(20)
    assert not [each for each in threading.enumerate() if each.name.startswith("whip ")]


async def test_a_wrong_token_is_told_and_nothing_stays_behind() -> None:
    async with running(receiver_config("null:", token="secret")) as server:
        url = f"whip+{server.url}"
        with pytest.raises(PeerError, match="wants a token") as refused:
            await asyncio.to_thread(
                lambda: open_sink(url, size=LR, frame_rate=25, with_audio=False)
            )
    assert str(refused.value).startswith("whip+http://127.0.0.1:")
    assert not [each for each in threading.enumerate() if each.name.startswith("whip ")]


async def test_a_session_that_the_server_ends_is_a_peer_error() -> None:
    async with running(receiver_config("null:", size=Size(width=64, height=48))) as server:
        url = f"whip+{server.url}"
        sink = await asyncio.to_thread(
            lambda: open_sink(url, size=LR, frame_rate=25, with_audio=False)
        )
        assert await server._end_stream("live")
        lost: list[PeerError] = []

        def write() -> bool:
            try:
                sink.write_video(marked(0, size=LR))
            except PeerError as error:
                lost.append(error)
            return bool(lost)

        await until(write)
        await asyncio.to_thread(sink.close)
    assert "connection lost" in str(lost[0])
