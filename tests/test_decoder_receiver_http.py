"""A real receiver as operators see it: its API, its metrics, and every way to be refused."""

from __future__ import annotations

import asyncio
import json
import ssl
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from decoder.receiver import Receiver
from decoder.receiver_config import MAX_STREAMS
from stream.errors import ConfigError, PeerError
from stream.sdp_text import MAX_SDP_BYTES
from tests.certificates import write_certificate
from tests.hls_rules import read_playlist
from tests.live_peers import until
from tests.marked_pictures import numbers_in
from tests.receiver_rig import play, publishing, receiver_config, running

OFFER = b"v=0\r\ns=-\r\nt=0 0\r\nm=video 9 UDP 96\r\na=ice-ufrag:EsAw\r\n"


async def ask(
    receiver: Receiver,
    method: str,
    path: str,
    *,
    token: str | None = None,
    body: bytes | None = None,
    context: ssl.SSLContext | None = None,
) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body, by Python's own HTTP client."""
    assert receiver.url is not None
    headers = {"Content-Type": "application/sdp"} if body is not None else {}
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    url = receiver.url.removesuffix("/whip") + path
    request = urllib.request.Request(url, data=body, headers=headers, method=method)

    def fetch() -> tuple[int, dict[str, str], bytes]:
        try:
            with urllib.request.urlopen(request, timeout=20, context=context) as reply:
                return reply.status, dict(reply.headers), reply.read()
        except urllib.error.HTTPError as refusal:
            with refusal:
                return refusal.code, dict(refusal.headers), refusal.read()

    return await asyncio.to_thread(fetch)


async def streams(receiver: Receiver) -> list[dict[str, Any]]:  # Any: whatever JSON holds
    status, _, body = await ask(receiver, "GET", "/api/streams")
    assert status == 200
    listed = json.loads(body)["streams"]
    assert isinstance(listed, list)
    return listed


async def test_the_api_and_the_metrics_say_what_the_statistics_say(tmp_path: Path) -> None:
    stats, path = tmp_path / "stats.jsonl", tmp_path / "out.mp4"
    async with running(receiver_config(str(path), stats=stats)) as receiver:
        assert await streams(receiver) == []
        assert (await ask(receiver, "GET", "/healthz"))[2] == b"ok\n"
        assert receiver.url is not None
        async with publishing(receiver.url) as frames:
            [listed] = await streams(receiver)
            assert (listed["stream"], listed["publishing"]) == ("live", True)
            await play(frames, range(10))
            await until(lambda: _last_line(stats)["frames_restored"] > 0)
            _, _, body = await ask(receiver, "GET", "/api/streams/live")
            _, headers, text = await ask(receiver, "GET", "/metrics")
        async with asyncio.timeout(30):
            while (await streams(receiver))[0]["publishing"]:  # noqa: ASYNC110 (asked over HTTP)
                await asyncio.sleep(0.05)
    lines = [json.loads(line) for line in stats.read_text().splitlines()]
    record = json.loads(body)
    assert record.pop("publishing") is True
    assert record in lines
    assert headers["Content-Type"].startswith("text/plain; version=0.0.4")
    families = {each.name: each for each in text_string_to_metric_families(text.decode())}
    [restored] = families["edvr_frames_restored"].samples
    assert restored.labels == {"stream": "live"}
    assert restored.value in {line["frames_restored"] for line in lines} - {0}


def _last_line(stats: Path) -> Any:  # noqa: ANN401 (whatever JSON holds)
    return json.loads(stats.read_text().rpartition("\n")[0].rpartition("\n")[2])


async def test_ending_a_stream_finishes_its_file_and_the_next_one_gets_its_own(
    tmp_path: Path,
) -> None:
    path = tmp_path / "out.mp4"
    async with running(receiver_config(str(path))) as receiver:
        assert receiver.url is not None
        for first in (0, 100):
            async with publishing(receiver.url) as frames:
                await play(frames, range(first, first + 8))
                await asyncio.sleep(0.2)
                assert (await ask(receiver, "DELETE", "/api/streams/live"))[0] == 204
                written = path if first == 0 else tmp_path / "out-2.mp4"
                assert numbers_in(written) == list(range(first, first + 8))
            assert await streams(receiver) == []
        assert (await ask(receiver, "DELETE", "/api/streams/live"))[0] == 404
    assert numbers_in(path) == list(range(8))


async def test_a_new_stream_takes_the_place_of_one_that_nobody_publishes(tmp_path: Path) -> None:
    async with running(receiver_config(str(tmp_path / "{stream}.mp4"))) as receiver:
        assert receiver.url is not None
        async with publishing(f"{receiver.url}/first") as frames:
            await play(frames, range(5))
        for number in range(1, MAX_STREAMS):
            async with publishing(f"{receiver.url}/n{number}"):
                pass
        assert len(await streams(receiver)) == MAX_STREAMS
        async with publishing(f"{receiver.url}/one-more"):
            names = [each["stream"] for each in await streams(receiver)]
            assert len(names) == MAX_STREAMS
            assert "first" not in names
            assert "one-more" in names
        assert numbers_in(tmp_path / "first.mp4") == list(range(5))


@pytest.mark.parametrize(
    ("method", "path", "token", "body", "status"),
    [
        ("POST", "/whip", None, OFFER, 401),
        ("POST", "/whip", "guess", OFFER, 401),
        ("POST", "/whip", "see", OFFER, 401),
        ("POST", "/whip/b", "pub-a", OFFER, 401),
        ("POST", "/whep/live", None, OFFER, 401),
        ("POST", "/whep/live", "guess", OFFER, 401),
        ("GET", "/hls/live/index.m3u8", None, None, 401),
        ("GET", "/api/streams", None, None, 401),
        ("GET", "/metrics", "guess", None, 401),
        ("POST", "/whep/nobody", "see", OFFER, 404),
        ("GET", "/hls/nobody/index.m3u8", "see", None, 404),
        ("GET", "/api/streams/nobody", "see", None, 404),
        ("DELETE", "/api/streams/nobody", "pub", None, 404),
        ("DELETE", "/whip/live/nobody", "pub", None, 404),
        ("GET", "/nothing/here", "pub", None, 404),
        ("GET", "/whip", "pub", None, 405),
        ("POST", "/whip", "pub", b"x" * (MAX_SDP_BYTES + 1), 413),
        ("POST", "/whep/live", "see", b"x" * (MAX_SDP_BYTES + 1), 413),
        ("POST", "/whep/live", "see", b"\xff\x00garbage", 400),
        ("POST", "/whip", "pub", b"\xff\x00garbage", 400),
        ("POST", "/whip", "pub", b"", 400),
        ("POST", "/whip/a", "pub-a", OFFER, 422),
    ],
)
async def test_what_is_wrong_gets_its_status_and_one_line(
    method: str, path: str, token: str | None, body: bytes | None, status: int
) -> None:
    config = receiver_config(
        "null:", token="pub", view_token="see", stream_tokens=("a=pub-a",), request_rate=0.0
    )
    async with running(config) as receiver:
        answered, headers, text = await ask(receiver, method, path, token=token, body=body)
    assert answered == status
    assert headers["Content-Type"].startswith("text/plain")
    assert text.count(b"\n") == 1


async def test_too_many_streams_are_told_to_come_back(tmp_path: Path) -> None:
    async with running(receiver_config(str(tmp_path / "out.mp4"))) as receiver:
        assert receiver.url is not None
        async with publishing(f"{receiver.url}/a"):
            with pytest.raises(PeerError, match="busy"):
                async with publishing(f"{receiver.url}/b"):
                    pass
            status, headers, _ = await ask(receiver, "POST", "/whip/b", body=OFFER)
            assert (status, int(headers["Retry-After"]) > 0) == (503, True)


async def test_too_many_requests_are_told_to_slow_down() -> None:
    async with running(receiver_config("null:", request_rate=0.5)) as receiver:
        replies = [await ask(receiver, "GET", "/healthz") for _ in range(4)]
    assert [status for status, _, _ in replies] == [200, 200, 429, 429]
    assert int(replies[-1][1]["Retry-After"]) >= 1


async def test_everything_works_over_tls(tmp_path: Path) -> None:
    certificate, key = write_certificate(tmp_path)
    config = receiver_config("null:", tls_cert=certificate, tls_key=key)
    trusting = ssl.create_default_context(cafile=certificate)
    async with running(config) as receiver:
        assert receiver.url is not None
        assert receiver.url.startswith("https://")
        assert (await ask(receiver, "GET", "/healthz", context=trusting))[0] == 200
        with pytest.raises(ConfigError, match="no secure connection"):
            async with publishing(receiver.url):
                pass  # a sender that does not trust the certificate


async def test_a_restored_stream_is_served_as_low_latency_hls(tmp_path: Path) -> None:
    config = receiver_config("llhls:{stream}", f"{tmp_path}/{{stream}}.mp4", segment_s=1)
    async with running(config) as receiver:
        assert receiver.url is not None
        async with publishing(f"{receiver.url}/show") as frames:
            playing = asyncio.create_task(play(frames, range(250)))
            async with asyncio.timeout(60):
                status = 404
                while status != 200:  # before its first picture there is no such stream
                    await asyncio.sleep(0.1)
                    status, headers, body = await ask(receiver, "GET", "/hls/show/index.m3u8")
            playing.cancel()
        playlist = read_playlist(body.decode())
        media = [playlist.segments[0].map_uri, playlist.segments[0].uri]
        parts = [(await ask(receiver, "GET", f"/hls/show/{name}"))[2] for name in media]
        assert (await ask(receiver, "GET", "/hls/other/index.m3u8"))[0] == 404
    assert headers["Content-Type"] == "application/vnd.apple.mpegurl"
    path = tmp_path / "fetched.mp4"
    path.write_bytes(b"".join(parts))
    fetched = numbers_in(path)
    assert len(fetched) >= 3
    assert fetched == sorted(fetched)
    assert len(recordings(tmp_path)) >= 2
    recorded = [number for each in recordings(tmp_path) for number in numbers_in(each)]
    assert recorded == sorted(set(recorded))


def recordings(folder: Path) -> list[Path]:
    return sorted(folder.glob("show-*.mp4"), key=lambda path: path.stat().st_mtime_ns)
