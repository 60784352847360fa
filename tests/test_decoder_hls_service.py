"""Low-latency HLS as a player meets it: a real sink writes, requests wait for what comes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from decoder.hls_service import HlsService
from decoder.hls_shelf import HlsShelf
from decoder.output_options import OutputOptions
from decoder.sink import Sink, open_sink
from decoder.sinks import hls_sink
from stream.access import AccessRules
from stream.frame import CLOCK_HZ
from stream.signalling import HttpRequest, HttpResponse
from tests.hls_rules import check_history, read_playlist
from tests.sink_media import SIZE, STEP, picture, read_with_pyav, sound


class Rig:
    """A stream "live" on a shelf, and a service in front of it."""

    def __init__(self, access: AccessRules | None = None, *, frame_rate: float = 25) -> None:
        self.shelf = HlsShelf(asyncio.get_running_loop())
        self.service = HlsService(access or AccessRules(), self.shelf)
        self.next_frame = 0
        self.sink: Sink = open_sink(
            "llhls:live",
            size=SIZE,
            frame_rate=frame_rate,
            with_audio=True,
            options=OutputOptions(shelf=self.shelf),
        )

    def write(self, frames: int, *, offset: int = 0, step: int = STEP) -> None:
        for _ in range(frames):
            pts = self.next_frame * step + offset
            self.next_frame += 1
            self.sink.write_audio(sound(pts * 48 // 90, samples=step * 48 // 90, amplitude=3000))
            self.sink.write_video(picture(pts))

    async def ask(
        self,
        file: str = "index.m3u8",
        query: str = "",
        *,
        method: str = "GET",
        stream: str = "live",
    ) -> HttpResponse:
        path = f"/hls/{stream}/{file}"
        request = HttpRequest(method=method, path=path, headers={}, query=query)
        response = await self.service.respond(request)
        assert response is not None
        return response

    @property
    def written(self) -> str:
        """The playlist as it is, also where a request would wait; empty before there is one."""
        shelf = self.shelf.get("live")
        assert shelf is not None
        return shelf.text

    async def text(self, query: str = "") -> str:
        response = await self.ask(query=query)
        assert response.status == 200
        assert isinstance(response.body, str)
        return response.body


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    made = Rig()
    yield made
    made.sink.close()


async def test_every_playlist_of_a_live_stream_follows_the_rules(rig: Rig) -> None:
    texts: list[str] = []
    for index in range(230):
        rig.write(1, offset=30 * CLOCK_HZ if index >= 120 else 0)  # a gap on the way
        if (text := rig.written) and text not in texts[-1:]:
            texts.append(text)
    rig.sink.close()
    texts.append(await rig.text())
    playlists = check_history(texts)
    assert len(playlists) > 8
    assert {each.discontinuity_sequence for each in playlists[-1].segments} == {0, 1}
    assert playlists[-1].has_ended


@pytest.mark.parametrize("fps", [5, 24, 60])
async def test_parts_keep_to_their_target_at_any_frame_rate(fps: int) -> None:
    rig = Rig(frame_rate=fps)
    texts: list[str] = []
    for _ in range(5 * fps):
        rig.write(1, step=CLOCK_HZ // fps)
        if (text := rig.written) and text not in texts[-1:]:
            texts.append(text)
    rig.sink.close()
    assert sum(len(each.parts) for each in check_history([*texts, await rig.text()])[-1].segments)


async def test_a_segment_is_all_its_parts(rig: Rig) -> None:
    rig.write(110)
    playlist = read_playlist(await rig.text())
    for segment in playlist.complete:
        whole = (await rig.ask(segment.uri)).body
        parts = [(await rig.ask(part.uri)).body for part in segment.parts]
        assert whole == b"".join(parts)  # type: ignore[arg-type] # media is bytes
    assert len(playlist.complete) == 2


async def test_what_is_fetched_plays(rig: Rig, tmp_path_factory: pytest.TempPathFactory) -> None:
    rig.write(130)
    rig.sink.close()
    playlist = read_playlist(await rig.text())
    names = [playlist.segments[0].map_uri, *(each.uri for each in playlist.segments)]
    bodies = [(await rig.ask(name)).body for name in names]
    path = tmp_path_factory.mktemp("played") / "all.mp4"
    path.write_bytes(b"".join(bodies))  # type: ignore[arg-type] # media is bytes
    read = read_with_pyav(path)
    assert len(read.frame_times) == 130
    assert read.keyframe_times == [0, 2, 4]
    assert len(read.samples) == pytest.approx(130 * 1920, abs=2048)


async def test_a_playlist_is_held_until_the_part_is_there(rig: Rig) -> None:
    rig.write(135)
    playlist = read_playlist(await rig.text())
    growing = playlist.segments[-1]
    assert growing.uri == ""
    query = f"_HLS_msn={growing.sequence}&_HLS_part={len(growing.parts)}"
    waiting = asyncio.create_task(rig.text(query))
    hinted = asyncio.create_task(rig.ask(playlist.hint or ""))
    await asyncio.sleep(0)
    assert not waiting.done()
    while not waiting.done():
        rig.write(1)
        await asyncio.sleep(0.001)
    newer = read_playlist(await waiting)
    [same] = [each for each in newer.segments if each.sequence == growing.sequence]
    assert len(same.parts) == len(growing.parts) + 1
    assert same.parts[-1].uri == playlist.hint
    assert (await hinted).status == 200


async def test_a_whole_segment_can_be_waited_for(rig: Rig) -> None:
    rig.write(135)
    growing = read_playlist(await rig.text()).segments[-1]
    assert growing.uri == ""
    waiting = asyncio.create_task(rig.text(f"_HLS_msn={growing.sequence}"))
    while not waiting.done():
        rig.write(1)
        await asyncio.sleep(0.001)
    assert read_playlist(await waiting).complete[-1].sequence == growing.sequence
    assert rig.next_frame >= 150


async def test_a_player_that_comes_first_waits_until_there_is_enough_to_begin(rig: Rig) -> None:
    waiting = asyncio.create_task(rig.text())
    rig.write(60)
    await asyncio.sleep(0.001)
    assert len(read_playlist(rig.written).complete) == 1
    assert not waiting.done()
    while not waiting.done():
        rig.write(1)
        await asyncio.sleep(0.001)
    assert len(read_playlist(await waiting).complete) == 2


async def test_what_has_been_written_already_is_answered_at_once(rig: Rig) -> None:
    rig.write(130)
    first = read_playlist(await rig.text()).segments[0].sequence
    for query in (f"_HLS_msn={first}", f"_HLS_msn={first}&_HLS_part=9", f"_HLS_msn={first - 9}"):
        async with asyncio.timeout(1):
            await rig.text(query)


async def test_nobody_waits_for_a_stream_that_has_ended(rig: Rig) -> None:
    rig.write(110)
    sequence = read_playlist(await rig.text()).segments[-1].sequence
    waiting = asyncio.create_task(rig.text(f"_HLS_msn={sequence + 1}"))
    await asyncio.sleep(0)
    rig.sink.close()
    assert read_playlist(await waiting).has_ended


async def test_a_part_that_never_comes_is_503(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("decoder.hls_service.WAIT_TARGETS", 0.05)
    rig.write(135)
    sequence = read_playlist(await rig.text()).segments[-1].sequence
    assert (await rig.ask(query=f"_HLS_msn={sequence}")).status == 503


@pytest.mark.parametrize(
    ("file", "query", "status"),
    [
        ("index.m3u8", "_HLS_msn=x", 400),
        ("index.m3u8", "_HLS_msn=-1", 400),
        ("index.m3u8", "_HLS_msn=", 400),
        ("index.m3u8", "_HLS_part=0", 400),
        ("index.m3u8", "_HLS_msn=1&_HLS_msn=2", 400),
        ("index.m3u8", "_HLS_msn=9999999999999", 400),
        ("index.m3u8", "unknown=1", 200),
        ("segment_1.m4s", "", 404),
        ("..", "", 404),
    ],
)
async def test_requests_that_make_no_sense(rig: Rig, file: str, query: str, status: int) -> None:
    rig.write(110)
    assert (await rig.ask(file, query)).status == status


async def test_who_may_not_view_gets_nothing() -> None:
    rig = Rig(AccessRules(view_token="see"))
    rig.write(1)
    assert (await rig.ask()).status == 401
    assert (await rig.ask(method="OPTIONS")).status == 204
    rig.sink.close()


async def test_other_methods_streams_and_paths(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("decoder.hls_service.WAIT_TARGETS", 0.05)
    assert (await rig.ask()).status == 404  # nothing yet
    assert (await rig.ask(stream="nobody")).status == 404
    assert (await rig.ask(method="POST")).status == 405
    for path in ("/hls", "/hls/live", "/hls/live/a/b", "/hls//index.m3u8"):
        assert await rig.service.respond(HttpRequest(method="GET", path=path, headers={})) is None


async def test_memory_holds_what_is_listed_and_little_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(hls_sink, "SEGMENTS_LISTED", 4)
    monkeypatch.setattr(hls_sink, "SEGMENTS_KEPT", 6)
    rig = Rig()
    rig.write(16 * 5, step=CLOCK_HZ // 5)
    rig.sink.close()
    shelf = rig.shelf.get("live")
    assert shelf is not None
    playlist = read_playlist(await rig.text())
    assert len(playlist.complete) == 4
    # Of each segment that is kept: itself and two parts; besides one header.
    assert len(shelf._files) <= 6 * 3 + 1
