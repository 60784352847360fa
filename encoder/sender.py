"""The sender as a whole: capture, downscale, compress, publish; again and again if need be."""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from urllib.parse import urlsplit

from encoder.capture import open_source
from encoder.capture_thread import CaptureThread
from encoder.config import SenderConfig
from encoder.live_encoder import LiveEncoder
from encoder.rate_control import AUTO_START_BPS, RateController
from encoder.status import StatusLine
from stream.backoff import Backoff
from stream.config import is_loopback
from stream.errors import PeerError
from stream.peer import NetworkScope, SendingPeer
from stream.tracks import SendingAudio, SendingVideo
from stream.whip_client import WhipClient

_log = logging.getLogger(__name__)

DRAIN_S = 0.5
"""After the last frame was captured: to code it, and for retransmissions that are asked for."""


async def run(config: SenderConfig) -> None:
    """Send until the source ends. Raises ConfigError for what the user must change.

    Data flow: source -> CaptureThread (pace, downscale) -> LatestBuffer -> aiortc track
    -> LiveEncoder -> RTP. A lost or refused connection is tried again for ever, with backoff.
    """
    source = await asyncio.to_thread(open_source, config.source)
    capture = CaptureThread(
        source, size=config.size, bitrate_bps=config.bitrate_bps or AUTO_START_BPS
    )
    backoff = Backoff()
    try:
        while not capture.finished.is_set():
            try:
                await _one_session(config, capture, source.info.fps, source.info.has_audio)
                backoff.reset()
            except PeerError as error:
                retry_after_s = getattr(error, "retry_after_s", None)
                delay_s = backoff.next_delay_s(retry_after_s=retry_after_s)
                _log.warning("%s; trying again in %.1f s", error, delay_s)
                await asyncio.to_thread(capture.finished.wait, delay_s)
    finally:
        await asyncio.to_thread(capture.stop)
    if capture.error is not None:
        raise capture.error


async def _one_session(
    config: SenderConfig, capture: CaptureThread, fps: float, has_audio: bool
) -> None:
    """Publish until the source ends; PeerError when the session does not come up or breaks."""
    encoder = LiveEncoder(
        RateController(config.bitrate_bps),
        frame_rate=fps,
        preset=config.preset,
        intra_refresh=config.intra_refresh,
    )
    audio = None
    if config.audio and has_audio:
        audio = SendingAudio(source=capture.audio, bitrate_bps=config.audio_bitrate_bps)
    host = urlsplit(config.whip).hostname or ""
    scope = NetworkScope.LOOPBACK if is_loopback(host) else NetworkScope.ALL
    peer = SendingPeer(SendingVideo(source=capture.video, encoder=encoder), audio, scope)
    try:
        async with WhipClient(config.whip, config.token) as client:
            await peer.set_answer(await client.publish(await peer.create_offer()))
            await _connected(peer)
            _log.info("publishing to %s", config.whip)
            capture.start()
            with StatusLine(sys.stderr) as status:
                while not capture.finished.is_set() and not peer.closed.is_set():
                    await asyncio.sleep(0.2)
                    status.update(encoder, peer.stats(), capture, now_ms=1000 * time.monotonic())
            if peer.closed.is_set():
                raise PeerError(f"connection lost: {peer.close_reason}")
            await asyncio.sleep(DRAIN_S)
    finally:
        await peer.close()


async def _connected(peer: SendingPeer) -> None:
    waits = [asyncio.ensure_future(event.wait()) for event in (peer.connected, peer.closed)]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
    if peer.closed.is_set():
        raise PeerError(f"no connection: {peer.close_reason}")
