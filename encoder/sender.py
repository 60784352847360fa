"""The sender as a whole: capture, downscale, compress, publish; again and again if need be."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
import time
from collections.abc import Callable
from typing import Literal
from urllib.parse import urlsplit

from encoder.adaptation import Adaptation, check_trainable
from encoder.announced_profiles import read_profiles
from encoder.capture import open_source
from encoder.capture_thread import CaptureThread
from encoder.codec_choice import offered_codecs
from encoder.config import SenderConfig
from encoder.daemon_call import call_in_daemon
from encoder.explanation import explain
from encoder.live_encoder import LiveEncoder
from encoder.quality_preview import QualityPreview
from encoder.rate_control import AUTO_START_BPS, RateController
from encoder.sizing import Sizing
from encoder.source import Source
from encoder.status import StatusLine
from encoder.trainer_process import TrainerProcess
from encoder.video_encoder import MAX_BITRATE_BPS
from encoder.weight_publisher import WeightPublisher
from encoder.window_watch import WindowWatch
from stream.backoff import Backoff, BackoffConfig
from stream.config import is_loopback
from stream.errors import ConfigError, PeerError
from stream.peer import NetworkScope, SendingPeer
from stream.tracks import SendingAudio, SendingVideo
from stream.whip_client import WhipClient

_log = logging.getLogger(__name__)

DRAIN_S = 0.5
"""After the last frame was captured: to code it, and for retransmissions that are asked for."""

POLL_S = 0.1
"""How often the codec learns what the path carries."""

LONGEST_WAIT_S = 5.0
"""Between two attempts: viewers wait for as long when a receiver comes back."""


async def run(config: SenderConfig) -> None:
    """Send until the source ends, or until SIGINT or SIGTERM.

    Raises ConfigError for what the user must change.
    """
    sending = asyncio.create_task(_send(config))
    loop = asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, sending.cancel)
    try:
        await sending
    except asyncio.CancelledError:
        _log.info("stopped")
    finally:
        for name in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(name)


async def _send(config: SenderConfig) -> None:
    """Data flow: source -> CaptureThread (pace, downscale) -> LatestBuffer -> aiortc track
    -> LiveEncoder -> RTP. A lost or refused connection is tried again for ever, with backoff.
    """
    profiles = await asyncio.to_thread(read_profiles, config.profiles)
    if config.adapt != "off":
        await asyncio.to_thread(check_trainable, config.adapt)
    source = await call_in_daemon(
        lambda: open_source(config.source), name="open source", discard=lambda late: late.close()
    )
    sizing = Sizing(
        config.size,
        bitrate_bps=config.bitrate_bps or AUTO_START_BPS,
        hd=config.hd_size,
        codec="h264" if config.codec == "auto" else config.codec,
    )
    capture = CaptureThread(source, sizing=sizing, duration_s=config.duration_s)
    weights = WeightPublisher(profiles, budget_bps=config.adapt_budget_bps)
    adaptation = None if config.adapt == "off" else _adaptation(config, weights)
    backoff, was_connected = Backoff(BackoffConfig(longest_s=LONGEST_WAIT_S)), False

    def on_connected() -> None:
        nonlocal was_connected
        was_connected = True
        backoff.reset()

    try:
        while not capture.finished.is_set():
            try:
                await _one_session(
                    config, capture, source, weights, adaptation, on_connected=on_connected
                )
            except (PeerError, ConfigError) as error:
                # What worked before is not for the user to correct: a proxy, say, answers 404
                # while the receiver behind it starts again.
                if isinstance(error, ConfigError) and not was_connected:
                    raise
                retry_after_s = getattr(error, "retry_after_s", None)
                delay_s = backoff.next_delay_s(retry_after_s=retry_after_s)
                _log.warning("%s; trying again in %.1f s", error, delay_s)
                await _finished(capture, within_s=delay_s)
    finally:
        await asyncio.to_thread(capture.stop)
        if adaptation is not None:
            await asyncio.to_thread(adaptation.close)
    if capture.error is not None:
        raise capture.error


def _adaptation(config: SenderConfig, weights: WeightPublisher) -> Adaptation:
    device: Literal["cpu", "cuda"] = "cuda" if config.adapt == "gpu" else "cpu"
    video_bps = config.bitrate_bps or AUTO_START_BPS
    return Adaptation(
        weights,
        model=config.adapt_model,
        start=lambda model: TrainerProcess(model=model, device=device, video_bps=video_bps),
    )


async def _one_session(
    config: SenderConfig,
    capture: CaptureThread,
    source: Source,
    weights: WeightPublisher,
    adaptation: Adaptation | None,
    *,
    on_connected: Callable[[], None],
) -> None:
    """Publish until the source ends; PeerError when the session does not come up or breaks."""
    audio = None
    if config.audio and source.info.has_audio:
        audio = SendingAudio(source=capture.audio, bitrate_bps=config.audio_bitrate_bps)
    rate = RateController(config.bitrate_bps)
    encoder = LiveEncoder(
        rate,
        frame_rate=source.info.fps,
        preset=config.preset,
        intra_refresh=config.intra_refresh,
    )
    host = urlsplit(config.whip).hostname or ""
    scope = NetworkScope.LOOPBACK if is_loopback(host) else NetworkScope.ALL
    preview = QualityPreview(encoder, hd=config.hd_size) if config.preview_quality else None
    watch = None
    if adaptation is not None:
        watch = WindowWatch(
            preview or encoder, needs=lambda: adaptation.needs, take=adaptation.give
        )
    capture.watchers = tuple(each.watch for each in (preview, watch) if each is not None)
    video = SendingVideo(
        source=capture.video,
        encoder=watch or preview or encoder,
        codecs=offered_codecs(config.codec),
        start_bps=config.bitrate_bps or AUTO_START_BPS,
        max_bps=config.bitrate_bps or MAX_BITRATE_BPS,
    )
    is_adapting = adaptation is not None or bool(config.profiles)
    peer = SendingPeer(video, audio, scope, with_weights=is_adapting)
    is_explained = not config.explain
    try:
        async with WhipClient(config.whip, config.token) as client:
            await peer.set_answer(await client.publish(await peer.create_offer()))
            await peer.wait_connected()
            on_connected()
            _log.info("publishing to %s", config.whip)
            capture.sizing.follow(rate.wire_bps, codec=peer.stats().codec)
            capture.start()
            weights.begin_session(peer.weights, now_ms=1000 * time.monotonic())
            if adaptation is not None:
                adaptation.begin(peer.weights)
            with StatusLine(sys.stderr) as status:
                while not await _finished(capture, within_s=POLL_S) and not peer.closed.is_set():
                    stats, now_ms = peer.stats(), 1000 * time.monotonic()
                    weights.poll(now_ms=now_ms)
                    if adaptation is not None:
                        adaptation.poll(now_ms=now_ms)
                    rate.reserved_bps = weights.sending_bps
                    if (target_bps := encoder.counts.target_bps) > 0:
                        # What deltas take for a while is no reason for another size.
                        capture.sizing.follow(
                            target_bps + rate.reserved_bps,
                            codec=stats.codec,
                            effort=encoder.effort,
                        )
                    encoder.note_path(
                        packets_lost=stats.packets_lost,
                        rtt_ms=stats.rtt_ms,
                        link_bps=stats.link_bps,
                    )
                    status.update(
                        encoder.counts,
                        stats,
                        frames_dropped=capture.video.dropped,
                        now_ms=now_ms,
                        adaptation=None if adaptation is None else adaptation.stats(),
                    )
                    is_explained = is_explained or _explain(config, peer, encoder, rate, source)
            if peer.closed.is_set():
                raise PeerError(f"connection lost: {peer.close_reason}")
            await asyncio.sleep(DRAIN_S)
    finally:
        await peer.close()
        if preview is not None:
            await asyncio.to_thread(preview.close)


def _explain(
    config: SenderConfig,
    peer: SendingPeer,
    encoder: LiveEncoder,
    rate: RateController,
    source: Source,
) -> bool:
    """Say what was agreed on and is sent; False while it is not known."""
    agreement, settings = peer.agreement(), encoder.settings
    if agreement is None or settings is None:
        return False
    for line in explain(
        agreement,
        settings,
        wish=config.codec,
        source_size=source.info.size,
        wanted_size=config.size,
        wanted_bps=config.bitrate_bps,
        wire_bps=rate.wire_bps,
        adapt=config.adapt,
        adapt_budget_bps=config.adapt_budget_bps,
    ):
        _log.info("%s", line)
    return True


async def _finished(capture: CaptureThread, *, within_s: float) -> bool:
    """Wait so long, or until the source ended; whether it did."""
    deadline_s = time.monotonic() + within_s
    while (  # noqa: ASYNC110 (a thread's event)
        not capture.finished.is_set() and (left_s := deadline_s - time.monotonic()) > 0
    ):
        await asyncio.sleep(min(POLL_S, left_s))
    return capture.finished.is_set()
