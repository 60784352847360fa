"""The receiver as a whole: take publishers (or pull), restore each stream, write its outputs."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import sys
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import AsyncExitStack
from functools import partial

from decoder.hls_service import HlsService
from decoder.hls_shelf import HlsShelf
from decoder.operations import OperationsService
from decoder.pipeline import Pipeline
from decoder.pull import network_scope, new_peer, pull
from decoder.received_stream import ReceivedStream, WhipSession
from decoder.receiver_config import DEFAULT_LISTEN, MAX_STREAMS, ReceiverConfig
from decoder.report import Reporter
from decoder.restorer_supply import RestorerSupply
from decoder.sink import check_target, parse_target
from decoder.sink_thread import SinkCounters, SinkState
from decoder.video_codec import choose_codec
from decoder.viewing.sessions import StreamViews, Viewing
from decoder.web_pages import WebPages
from stream.config import is_loopback
from stream.errors import EdvrError, SignallingError, SinkError
from stream.http_front import check_free
from stream.http_server import Offer, SignallingServer
from stream.peer import ReceivingPeer
from stream.whep_service import WhepService

_log = logging.getLogger(__name__)

REPORT_INTERVAL_S = 1.0

BUSY_S = 10.0
"""After this long a publisher that found the machine full may ask again."""


async def run(config: ReceiverConfig) -> None:
    """Run a receiver until SIGINT or SIGTERM. Raises ConfigError for what the user must change."""
    for output in (*config.outputs_of("live"), *config.lr_outputs_of("live")):
        check_target(parse_target(output))
    choose_codec(config.output_codec, config.size)
    receiver = Receiver(config)
    loop = asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, receiver.stop)
    try:
        await receiver.run()
    finally:
        for name in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(name)


class Receiver:
    """Streams by name, each with its pipeline and its current publisher.

    Data flow: RTP -> jitter buffer -> video decoder -> ReceivingPeer.video (bounded)
    -> Pipeline thread [Restorer] -> one thread a sink.
    """

    def __init__(self, config: ReceiverConfig) -> None:
        """Raises ConfigError when the statistics cannot be written."""
        self._config = config
        self._streams: dict[str, ReceivedStream] = {}
        self._ending: set[str] = set()
        self._lives: Counter[str] = Counter()
        self._reporter = Reporter(config.stats, sys.stderr, direct_ratio=config.direct_ratio)
        self._supply = RestorerSupply(config.restorer, profiles=config.profiles)
        self._stop = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._shelf = HlsShelf(self._loop)
        self._failure: EdvrError | None = None
        self.url: str | None = None
        """Where to publish; None while it does not listen."""

    async def run(self) -> None:
        """Receive until `stop`. Raises what makes it impossible to go on."""
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self._close)
            if self._config.whep is None:
                check_free(self._config.listen or DEFAULT_LISTEN)
            await self._supply.open()
            if self._config.whep is None:
                await self._listen(stack)
            else:
                attach = partial(self._attach, "live")
                pulling = asyncio.create_task(
                    pull(self._config.whep, self._config.token, attach=attach)
                )
                pulling.add_done_callback(self._on_pull_done)
                stack.push_async_callback(_cancel, pulling)
            calibrating = asyncio.create_task(self._supply.calibrate_when_idle(self._is_idle))
            stack.push_async_callback(_cancel, calibrating)
            await self._watch()
        if self._failure is not None:
            raise self._failure

    def stop(self) -> None:
        """Finalise everything and return from `run`."""
        self._stop.set()

    async def _listen(self, stack: AsyncExitStack) -> None:
        listen, access = self._config.listen or DEFAULT_LISTEN, self._config.http.access
        operations = OperationsService(access, records=self._records, end_stream=self._end_stream)
        viewing = Viewing(network_scope(is_loopback(listen.host)), self._views_of)
        whep = WhepService(self._config.http, viewing, max_viewers=self._config.max_viewers)
        services = (operations, HlsService(access, self._shelf), whep, WebPages())
        server = SignallingServer(self._config.http, self._accept, services)
        await server.start()
        stack.push_async_callback(whep.close)
        stack.push_async_callback(server.stop)
        self.url = server.url
        _log.info("listening for publishers at %s", self.url)

    async def _accept(self, offer: Offer) -> WhipSession:
        if offer.stream not in self._streams and len(self._streams) >= self._config.max_streams:
            await self._make_room()
        if offer.stream in self._ending:
            raise SignallingError(f"stream {offer.stream} is being ended", retry_after_s=1)
        others = [name for name in self._publishing() if name != offer.stream]
        if len(others) >= (limit := self._supply.stream_limit):
            raise SignallingError(
                f"this machine restores {limit} streams at a time", retry_after_s=BUSY_S
            )
        listen = self._config.listen or DEFAULT_LISTEN
        peer = new_peer(is_loopback(listen.host))
        try:
            answer = await peer.answer(offer.sdp)
        except BaseException:  # a time limit, too, must not leave it behind
            await peer.close()
            raise
        self._attach(offer.stream, peer)
        return WhipSession(peer, answer, on_close=partial(self._log_end, offer.stream, peer))

    async def _make_room(self) -> None:
        """End a stream that nobody publishes any more, for another one to take its place."""
        absent = [name for name, each in self._streams.items() if not each.is_publishing]
        if not absent or self._config.max_streams == 1:
            names = ", ".join(self._streams)
            raise SignallingError(
                f"no output is free beside stream {names}; {MAX_STREAMS} streams fit where every"
                " --output has {stream} in its name"
            )
        await self._end_stream(absent[0])

    def _publishing(self) -> list[str]:
        return [name for name, each in self._streams.items() if each.is_publishing]

    def _is_idle(self) -> bool:
        return not self._publishing()

    def _log_end(self, stream: str, peer: ReceivingPeer) -> None:
        if not self._stop.is_set():
            reason = peer.close_reason or "the publisher left"
            _log.info("stream %s: no longer receiving: %s", stream, reason)

    def _on_pull_done(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._fail(error if isinstance(error, EdvrError) else EdvrError(str(error)))

    def _records(self) -> dict[str, Mapping[str, object]]:
        return {
            name: {**record, "publishing": self._streams[name].is_publishing}
            for name, record in self._reporter.records.items()
            if name in self._streams
        }

    async def _end_stream(self, name: str) -> bool:
        """Send the publisher away and finish the files; whether there was such a stream."""
        stream = self._streams.pop(name, None)
        if stream is None:
            return False
        _log.info("stream %s: ended by request", name)
        self._ending.add(name)
        try:
            await stream.close()
            self._summarise(name, stream)
        finally:
            self._ending.discard(name)
        self._reporter.forget(name)
        return True

    def _summarise(self, name: str, stream: ReceivedStream) -> None:
        pipeline = stream.pipeline
        self._reporter.summarise(name, pipeline.counts(), pipeline.stage_percentiles())

    def _attach(self, name: str, peer: ReceivingPeer) -> None:
        now_ms = 1000 * time.monotonic()
        stream = self._streams.get(name)
        if stream is None:
            self._reporter.start_session(name, None, now_ms=now_ms)
            self._lives[name] += 1
            life = self._lives[name]
            views = StreamViews(name, restored_codecs=self._config.view_codecs)
            pipeline = Pipeline(
                name,
                self._supply.take(),
                self._config.outputs_of(name, life=life),
                lr_outputs=self._config.lr_outputs_of(name, life=life),
                tap=views.restored.put,
                lr_tap=views.received.put,
                output_options=self._config.output_options(self._shelf),
                on_failure=self._on_pipeline_failure,
            )
            stream = self._streams[name] = ReceivedStream(pipeline=pipeline, peer=peer, views=views)
            self._report()  # so that it is listed from now on
        else:
            self._reporter.start_session(name, stream.peer.stats(), now_ms=now_ms)
        stream.adopt(peer)
        if self._config.adapt:
            stream.follow_weights(name, self._supply)
        else:
            peer.weights.refuse()

    def _views_of(self, name: str) -> StreamViews | None:
        return self._streams[name].views if name in self._streams else None

    def _on_pipeline_failure(self, error: EdvrError) -> None:
        with contextlib.suppress(RuntimeError):  # the event loop may have ended meanwhile
            self._loop.call_soon_threadsafe(self._fail, error)

    def _fail(self, error: EdvrError) -> None:
        self._failure = self._failure or error
        self._stop.set()

    async def _watch(self) -> None:
        """Report once a second until stopped, or until no output is left."""
        while not self._stop.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(REPORT_INTERVAL_S):
                    await self._stop.wait()
            self._report()
            sinks = [
                sink for each in self._streams.values() for sink in each.pipeline.counts().sinks
            ]
            if sinks and all(sink.state is SinkState.FAILED for sink in sinks):
                self._fail(SinkError(f"no output is left: {_reasons(sinks)}"))

    def _report(self) -> None:
        now_ms = 1000 * time.monotonic()
        for name, stream in self._streams.items():
            counts, stages = stream.pipeline.counts(), stream.pipeline.stage_percentiles()
            viewers = stream.views.counts()
            self._reporter.update(
                name, stream.peer.stats(), counts, stages, viewers=viewers, now_ms=now_ms
            )

    async def _close(self) -> None:
        await asyncio.gather(*(stream.close() for stream in self._streams.values()))
        self._supply.close()
        self._report()
        for name, stream in self._streams.items():
            self._summarise(name, stream)
        self._reporter.close()


def _reasons(sinks: list[SinkCounters]) -> str:
    return "; ".join(dict.fromkeys(sink.reason or f"{sink.name} stopped" for sink in sinks))


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
