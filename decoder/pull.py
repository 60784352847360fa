"""Pulling a stream from somebody's WHEP server, again and again."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from urllib.parse import urlsplit

from stream.backoff import Backoff
from stream.config import is_loopback
from stream.errors import ConfigError, PeerError
from stream.peer import NetworkScope, ReceivingPeer
from stream.whip_client import CounterOffer, WhepClient

_log = logging.getLogger(__name__)

VIDEO_BUFFER_FRAMES = 60
"""Decoded frames that may wait for restoration: a burst of 2.4 s at 25 frames/s, such as ffmpeg
sends when it has connected. A backlog that stands is cut by `decoder.backlog`."""


def new_peer(is_local: bool) -> ReceivingPeer:
    """A peer of the receiver; `is_local`: only this machine can reach it."""
    return ReceivingPeer(network_scope(is_local), video_capacity=VIDEO_BUFFER_FRAMES)


def network_scope(is_local: bool) -> NetworkScope:
    """Which addresses peers are told of; `is_local`: only this machine can reach the receiver."""
    return NetworkScope.LOOPBACK if is_local else NetworkScope.ALL


async def pull(url: str, token: str | None, *, attach: Callable[[ReceivingPeer], None]) -> None:
    """Pull for ever; `attach` gets the peer of each new session.

    Raises ConfigError for what the user must change; anything else is tried again.
    """
    backoff, was_connected = Backoff(), False
    while True:
        peer = new_peer(is_loopback(urlsplit(url).hostname or ""))
        try:
            async with WhepClient(url, token) as client:
                reply = await client.pull(await peer.create_offer())
                if isinstance(reply, CounterOffer):
                    await peer.close()  # bound to the offer that it made itself
                    peer = new_peer(is_loopback(urlsplit(url).hostname or ""))
                    await client.answer(await peer.answer(reply.offer_sdp))
                else:
                    await peer.set_answer(reply.answer_sdp)
                attach(peer)
                await peer.wait_connected()
                was_connected = True
                backoff.reset()
                _log.info("pulling from %s", url)
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
