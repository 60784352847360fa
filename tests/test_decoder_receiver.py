"""The receiver in this process, with real peers: several streams, pulling, and how it ends."""

import asyncio
import threading
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aiohttp import ClientSession, web

from decoder.calibrate import usual_lr_sizes
from decoder.calibration import Calibration, Measurement, artefact_key
from decoder.calibration_cache import save_calibration
from decoder.config import RestorerConfig
from decoder.receiver import Receiver
from decoder.restorer_supply import RestorerSupply
from stream.buffer import LatestBuffer
from stream.errors import ConfigError, EdvrError, ModelMismatch, PeerError, SignallingError
from stream.frame import Frame, Size
from stream.peer import NetworkScope, SendingPeer
from stream.tracks import SendingVideo
from stream.whip_client import WhipClient
from tests.http_sessions import OFFER, SDP, http_server
from tests.live_media import X264
from tests.live_peers import until
from tests.marked_pictures import marked, numbers_in
from tests.receiver_rig import HR, play, publishing, receiver_config, running
from tests.tiny_artefact import write_tiny_artefact


async def test_streams_with_names_of_their_own_are_restored_side_by_side(tmp_path: Path) -> None:
    async with running(receiver_config(str(tmp_path / "{stream}.mp4"))) as receiver:
        assert receiver.url is not None
        async with publishing(f"{receiver.url}/a") as a, publishing(f"{receiver.url}/b") as b:
            await asyncio.gather(play(a, range(10)), play(b, range(100, 112)))
    assert numbers_in(tmp_path / "a.mp4") == list(range(10))
    assert numbers_in(tmp_path / "b.mp4") == list(range(100, 112))


async def test_a_name_without_an_output_of_its_own_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    async with running(receiver_config(str(path))) as receiver:
        assert receiver.url is not None
        async with publishing(f"{receiver.url}/a") as frames:
            await play(frames, range(5))
        with pytest.raises(PeerError, match="no output is free beside stream a"):
            async with publishing(f"{receiver.url}/b"):
                pass
    assert numbers_in(path) == list(range(5))


async def test_a_publisher_beyond_what_the_machine_restores_is_asked_to_come_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(RestorerSupply, "stream_limit", 1)
    async with running(receiver_config("null:")) as receiver:
        assert receiver.url is not None
        async with publishing(f"{receiver.url}/a"):
            with pytest.raises(SignallingError, match="restores 1 streams at a time") as refusal:
                async with publishing(f"{receiver.url}/b"):
                    pass
            assert refusal.value.retry_after_s == 10
            async with publishing(f"{receiver.url}/a"):
                pass  # the same stream again is no further one
        await until(receiver._is_idle)
        async with publishing(f"{receiver.url}/b"):
            pass


async def test_how_many_publishers_are_let_in_follows_from_what_the_machine_was_measured_to_do(
    tmp_path: Path,
) -> None:
    model = write_tiny_artefact(tmp_path / "tiny-x2")
    rows = [
        Measurement(
            model="tiny-x2",
            key=artefact_key(model),
            backend="openvino",
            threads=1,
            lr_size=str(lr_size),
            p50_ms=13.0,  # of 28 ms that streams may take of 40: two of them
            p95_ms=15.0,
        )
        for lr_size in usual_lr_sizes(HR)
    ]
    save_calibration(Calibration(measurements=tuple(rows)))
    config = receiver_config("null:", model=str(model.folder), threads=1)
    async with running(config) as receiver:
        assert receiver.url is not None
        async with publishing(f"{receiver.url}/a") as a, publishing(f"{receiver.url}/b") as b:
            await asyncio.gather(play(a, range(5)), play(b, range(5)))
            async with (
                ClientSession() as http,
                http.post(f"{receiver.url}/c", data=OFFER, headers=SDP) as refused,
            ):
                assert (refused.status, refused.headers["Retry-After"]) == (503, "10")
                assert "restores 2 streams at a time" in await refused.text()
            tiers = [each.pipeline.counts().frames_by_tier for each in receiver._streams.values()]
            assert all(set(found) <= {"tiny-x2", "lanczos"} and found for found in tiers)
        await until(receiver._is_idle)
        async with publishing(f"{receiver.url}/c") as c:
            await play(c, range(3))


async def test_an_offer_that_cannot_be_used_leaves_no_task_behind() -> None:
    async with running(receiver_config("null:")) as receiver:
        assert receiver.url is not None
        before = len(asyncio.all_tasks())
        async with WhipClient(receiver.url) as client:
            for offer in ("v=0\r\n", "v=0\r\ns=-\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\n"):
                with pytest.raises(EdvrError):
                    await client.publish(offer)
        await until(lambda: len(asyncio.all_tasks()) <= before)


async def test_a_codec_that_nobody_here_decodes_is_refused_and_the_receiver_goes_on(
    tmp_path: Path,
) -> None:
    path = tmp_path / "out.mp4"
    video = SendingVideo(source=LatestBuffer(1), encoder=X264())
    peer = SendingPeer(video, None, NetworkScope.LOOPBACK)
    offer = (await peer.create_offer()).replace("H264/90000", "theora/90000")
    await peer.close()
    async with running(receiver_config(str(path))) as receiver:
        assert receiver.url is not None
        async with WhipClient(receiver.url) as client:
            with pytest.raises(PeerError) as refusal:
                await client.publish(offer)
        assert "codec" in str(refusal.value)
        async with publishing(receiver.url) as frames:
            await play(frames, range(5))
    assert numbers_in(path) == list(range(5))


async def test_when_restoring_fails_for_good_the_receiver_ends_with_the_reason(
    tmp_path: Path,
) -> None:
    path = tmp_path / "folder" / "out.mp4"
    path.parent.mkdir()
    receiver = Receiver(receiver_config(str(path)))
    run = asyncio.create_task(receiver.run())
    await until(lambda: receiver.url is not None)
    assert receiver.url is not None
    path.parent.rmdir()
    async with publishing(receiver.url) as frames:
        await play(frames, range(10))
    with pytest.raises(ConfigError, match="folder is not a directory"):
        await run


@dataclass(kw_only=True)
class _WhepServer:
    """Sends marked pictures to whoever pulls, and ends each session after a while."""

    numbers: int = 20
    status: int = 201
    counters: bool = False
    pulls: int = 0
    peers: list[SendingPeer] = field(default_factory=list)
    tasks: set[asyncio.Task[None]] = field(default_factory=set)
    frames: LatestBuffer[Frame] = field(default_factory=lambda: LatestBuffer(50))

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if request.method == "PATCH":
            await self.peers[-1].set_answer(await request.text())
            self._start_sending(self.peers[-1])
            return web.Response(status=204)
        if request.method != "POST":
            return web.Response()
        self.pulls += 1
        if self.status != 201:
            return web.Response(status=self.status, text="no such stream\n")
        self.frames = LatestBuffer(50)
        video = SendingVideo(source=self.frames, encoder=X264())
        peer = SendingPeer(video, None, NetworkScope.LOOPBACK)
        self.peers.append(peer)
        headers = {"Location": "/session", "Content-Type": "application/sdp"}
        if self.counters:
            offer = await peer.create_offer()
            return web.Response(status=406, body=offer.encode(), headers=headers)
        answer = await peer.answer(await request.text())
        self._start_sending(peer)
        return web.Response(status=201, body=answer.encode(), headers=headers)

    def _start_sending(self, peer: SendingPeer) -> None:
        task = asyncio.create_task(self._send(peer))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _send(self, peer: SendingPeer) -> None:
        await peer.wait_connected()
        await play(self.frames, range(self.numbers))
        await asyncio.sleep(0.2)
        await peer.close()


async def test_a_pulled_stream_is_restored_and_pulled_again_when_it_ends(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "decoder")
    path = tmp_path / "out.mp4"
    server = _WhepServer()
    async with http_server(server.handle) as base_url:
        config = receiver_config(str(path), listen=None, whep=f"{base_url}/whep")
        async with running(config):
            await until(lambda: len(server.peers) == 2 and server.peers[1].closed.is_set())
    assert numbers_in(path) == [*range(20), *range(20)]
    assert caplog.messages.count(f"pulling from {base_url}/whep") == 2
    assert any("the other end closed the session; trying again" in m for m in caplog.messages)


async def test_a_server_that_makes_an_offer_of_its_own_is_answered(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    server = _WhepServer(counters=True)
    async with http_server(server.handle) as base_url:
        config = receiver_config(str(path), listen=None, whep=f"{base_url}/whep")
        async with running(config):
            await until(lambda: bool(server.peers) and server.peers[0].closed.is_set())
    assert numbers_in(path)[:20] == list(range(20))


async def test_pulling_what_does_not_exist_ends_the_receiver(tmp_path: Path) -> None:
    server = _WhepServer(status=404)
    async with http_server(server.handle) as base_url:
        config = receiver_config("null:", listen=None, whep=f"{base_url}/whep")
        with pytest.raises(ConfigError):
            async with asyncio.timeout(8):
                await Receiver(config).run()


@pytest.mark.parametrize("share", [2, 4])
async def test_a_prepared_restorer_shows_its_first_frame_without_opening_anything(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, share: int
) -> None:
    caplog.set_level("INFO", "decoder")
    model = str(write_tiny_artefact(tmp_path / "tiny-x2").folder)
    supply = RestorerSupply(RestorerConfig(size=HR, model=model, backend="onnxruntime", threads=1))
    await supply.open()
    restorer = supply.take()()
    opened = [
        "160x96 to 320x192 by tiny-x2, onnxruntime f32",
        "80x48 to 320x192 by tiny-x2, onnxruntime f32",
    ]
    assert caplog.messages == opened
    restorer.push(marked(0, size=Size(width=HR.width // share, height=HR.height // share)))
    assert restorer.model_name == "tiny-x2"
    assert caplog.messages == opened
    restorer.close()
    supply.close()


@pytest.mark.parametrize(("is_broken", "error"), [(True, ModelMismatch), (False, ConfigError)])
async def test_a_model_that_cannot_be_used_ends_the_receiver_before_it_listens(
    tmp_path: Path, is_broken: bool, error: type[EdvrError]
) -> None:
    model = "nobody-x2"
    if is_broken:
        model = str(write_tiny_artefact(tmp_path / "broken-x2", is_broken=True).folder)
    receiver = Receiver(receiver_config("null:", model=model))
    with pytest.raises(error):
        await receiver.run()
    assert receiver.url is None
    assert not [each for each in threading.enumerate() if "restorer" in each.name]


async def test_a_receiver_that_nobody_publishes_to_stops_cleanly(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    before = asyncio.all_tasks()
    async with running(receiver_config(str(path))):
        pass
    assert asyncio.all_tasks() == before
    assert not path.exists()
