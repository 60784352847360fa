"""The receiver as a whole: take publishers (or pull), restore each stream, write its outputs."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
import time
from contextlib import AsyncExitStack
from urllib.parse import urlsplit

from decoder.model_choice import AUTO
from decoder.pipeline import Pipeline
from decoder.receiver_config import DEFAULT_LISTEN, ReceiverConfig
from decoder.report import Reporter
from decoder.sink import check_target, parse_target
from decoder.sink_thread import SinkState
from stream.backoff import Backoff
from stream.config import is_loopback
from stream.errors import ConfigError, EdvrError, PeerError
from stream.http_server import HttpConfig, Offer, SignallingServer
from stream.peer import NetworkScope, ReceivingPeer
from stream.whip_client import CounterOffer, WhepClient

_log = logging.getLogger(__name__)

VIDEO_BUFFER_FRAMES = 4
"""Decoded frames that may wait for restoration; more only add latency."""

REPORT_INTERVAL_S = 1.0


class _WhipSession:
    """One publisher, as the signalling server sees it."""

    def __init__(self, peer: ReceivingPeer, answer_sdp: str) -> None:
        self._peer = peer
        self.answer_sdp = answer_sdp
        self.closed = peer.closed

    async def close(self) -> None:
        """End the session."""
        await self._peer.close()


class Receiver:
    """Streams by name, each with its pipeline and its current publisher.

    Data flow: RTP -> jitter buffer -> video decoder -> ReceivingPeer.video (bounded)
    -> Pipeline thread [Restorer] -> one thread a sink.
    """

    def __init__(self, config: ReceiverConfig) -> None:
        self._config = config
        self._pipelines: dict[str, Pipeline] = {}
        self._peers: dict[str, ReceivingPeer] = {}
        self._reporter = Reporter(config.stats)
        self._stop = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self.failure: EdvrError | None = None

    async def run(self) -> None:
        """Receive until `stop`. Raises what makes it impossible to go on."""
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self._close)
            if self._config.whep is None:
                await self._listen(stack)
                await self._watch()
            else:
                pulling = asyncio.create_task(self._pull(self._config.whep))
                stack.callback(pulling.cancel)
                pulling.add_done_callback(self._on_pull_done)
                await self._watch()
        if self.failure is not None:
            raise self.failure

    def stop(self) -> None:
        """Finalise everything and return from `run`."""
        self._stop.set()

    async def _listen(self, stack: AsyncExitStack) -> None:
        listen = self._config.listen or DEFAULT_LISTEN
        http = HttpConfig(
            host=listen.host,
            port=listen.port,
            token=self._config.token,
            max_sessions=self._config.max_streams,
            replace_publisher=True,  # a sender that was killed may come back at once
        )
        server = SignallingServer(http, self._accept)
        await server.start()
        stack.push_async_callback(server.stop)
        _log.info("listening for publishers at %s", server.url)

    async def _accept(self, offer: Offer) -> _WhipSession:
        listen = self._config.listen or DEFAULT_LISTEN
        peer = self._new_peer(is_loopback(listen.host))
        answer = await peer.answer(offer.sdp)
        self._attach(offer.stream, peer)
        return _WhipSession(peer, answer)

    async def _pull(self, url: str) -> None:
        """Pull for ever; ConfigError ends the receiver, anything else is tried again."""
        backoff, was_connected = Backoff(), False
        while True:
            peer = self._new_peer(is_loopback(urlsplit(url).hostname or ""))
            try:
                async with WhepClient(url, self._config.token) as client:
                    reply = await client.pull(await peer.create_offer())
                    if isinstance(reply, CounterOffer):
                        await client.answer(await peer.answer(reply.offer_sdp))
                    else:
                        await peer.set_answer(reply.answer_sdp)
                    self._attach("live", peer)
                    await peer.connected.wait()
                    was_connected = True
                    backoff.reset()
                    await peer.closed.wait()
                raise PeerError(f"connection lost: {peer.close_reason}")
            except PeerError as error:
                delay_s = backoff.next_delay_s(retry_after_s=getattr(error, "retry_after_s", None))
                _log.warning("%s; trying again in %.1f s", error, delay_s)
            except ConfigError as error:
                if not was_connected:
                    raise
                delay_s = backoff.next_delay_s()  # the stream may only be between two publishers
                _log.warning("%s; trying again in %.1f s", error, delay_s)
            finally:
                await peer.close()
            await asyncio.sleep(delay_s)

    def _on_pull_done(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self.failure = error if isinstance(error, EdvrError) else EdvrError(str(error))
            self._stop.set()

    def _new_peer(self, is_local: bool) -> ReceivingPeer:
        scope = NetworkScope.LOOPBACK if is_local else NetworkScope.ALL
        return ReceivingPeer(scope, video_capacity=VIDEO_BUFFER_FRAMES)

    def _attach(self, stream: str, peer: ReceivingPeer) -> None:
        pipeline = self._pipelines.get(stream)
        if pipeline is None:
            pipeline = Pipeline(
                stream,
                self._config.restorer,
                self._config.outputs_of(stream),
                on_failure=self._on_pipeline_failure,
            )
            self._pipelines[stream] = pipeline
        self._reporter.start_session(stream, self._peers.get(stream))
        self._peers[stream] = peer
        pipeline.attach(peer.video, peer.audio)

    def _on_pipeline_failure(self, error: EdvrError) -> None:
        def fail() -> None:
            self.failure = error
            self._stop.set()

        self._loop.call_soon_threadsafe(fail)

    async def _watch(self) -> None:
        """Report once a second until stopped, or until no output is left."""
        while not self._stop.is_set():
            try:
                async with asyncio.timeout(REPORT_INTERVAL_S):
                    await self._stop.wait()
            except TimeoutError:
                pass
            now_ms = 1000 * time.monotonic()
            for name, pipeline in self._pipelines.items():
                self._reporter.update(name, pipeline, self._peers[name].stats(), now_ms=now_ms)
                sinks = pipeline.counts().sinks
                if sinks and all(sink.state is SinkState.FAILED for sink in sinks):
                    self.failure = PeerError(f"stream {name}: no output is left; see above")
                    self._stop.set()

    async def _close(self) -> None:
        await asyncio.gather(*(peer.close() for peer in self._peers.values()))
        for pipeline in self._pipelines.values():
            await asyncio.to_thread(pipeline.close)
        now_ms = 1000 * time.monotonic()
        for name, pipeline in self._pipelines.items():
            self._reporter.update(name, pipeline, self._peers[name].stats(), now_ms=now_ms)
        self._reporter.close(self._pipelines, sys.stderr)


async def run(config: ReceiverConfig) -> None:
    """Run a receiver until SIGINT or SIGTERM. Raises ConfigError for what the user must change."""
    for output in config.outputs:
        check_target(parse_target(output.replace("{stream}", "live")))
    if config.model not in (AUTO, "lanczos"):
        from decoder.artefact import find_artefact

        await asyncio.to_thread(find_artefact, config.model)
    receiver = Receiver(config)
    loop = asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, receiver.stop)
    try:
        await receiver.run()
    finally:
        for name in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(name)
