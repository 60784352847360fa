"""Publishes restored video by WHIP (RFC 9725) to another server, which hands it on to thousands."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from typing import TypeVar
from urllib.parse import urlsplit

from decoder.sink import WhipTarget, public_name
from decoder.whip_codec import WhipVideoEncoder
from stream.audio import AudioChunk
from stream.buffer import LatestBuffer
from stream.config import is_loopback
from stream.errors import CodecError, EdvrError, PeerError
from stream.frame import Frame, Size
from stream.peer import NetworkScope, SendingPeer
from stream.tracks import SendingAudio, SendingVideo
from stream.whip_client import WhipClient

AUDIO_BITRATE_BPS = 64_000

OPEN_TIMEOUT_S = 30.0
"""Signalling and ICE have limits of their own, well below."""

DRAIN_S = 0.5
"""At the end, for the last frames to be coded, and for retransmissions that are asked for."""

_QUEUED_FRAMES = 8
_QUEUED_CHUNKS = 100  # 2 s

_Result = TypeVar("_Result")


class WhipSink:
    """One session at a WHIP endpoint; see `decoder.sink.Sink` for the contract.

    aiortc needs an event loop: this one has its own, on a thread of its own, so that the receiver's
    never waits for a picture to be compressed.
    """

    def __init__(
        self, target: WhipTarget, *, size: Size, frame_rate: float, token: str | None
    ) -> None:
        """Connect. Raises PeerError: a new sink may have more luck, also after what looks like a
        wrong setting, since a server that is starting answers so, too.
        """
        self._name, self._size = public_name(target), size
        self._video: LatestBuffer[Frame] = LatestBuffer(_QUEUED_FRAMES)
        self._audio: LatestBuffer[AudioChunk] = LatestBuffer(_QUEUED_CHUNKS)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name=f"whip {self._name}", daemon=True
        )
        self._thread.start()
        self._is_closed = False
        try:
            self._client, self._peer = self._await(
                self._connect(target.url, token, frame_rate), OPEN_TIMEOUT_S
            )
        except EdvrError as error:
            self._stop_loop()
            raise PeerError(f"{self._name}: {error}") from error
        except BaseException:
            self._stop_loop()
            raise

    @property
    def name(self) -> str:
        """The target, without secrets."""
        return self._name

    @property
    def bytes_written(self) -> int:
        """UDP payload sent."""
        return self._peer.stats().wire_bytes_sent

    def write_video(self, frame: Frame) -> bool:
        """Send a frame. Raises PeerError once the connection has ended, CodecError (size)."""
        if frame.size != self._size:
            raise CodecError(f"the output is {self._size}, but a frame of {frame.size} came")
        if self._peer.closed.is_set():
            raise PeerError(f"{self._name}: connection lost: {self._peer.close_reason}")
        self._video.put(frame)
        return True

    def write_audio(self, chunk: AudioChunk) -> None:
        """Send sound."""
        self._audio.put(chunk)

    def close(self) -> None:
        """Send what is queued and end the session; never raises."""
        if self._is_closed:
            return
        self._is_closed = True
        try:
            self._await(self._disconnect(), OPEN_TIMEOUT_S)
        except (EdvrError, TimeoutError):
            pass  # it has ended one way or another
        finally:
            self._stop_loop()

    async def _connect(
        self, url: str, token: str | None, frame_rate: float
    ) -> tuple[WhipClient, SendingPeer]:
        scope = (
            NetworkScope.LOOPBACK if is_loopback(urlsplit(url).hostname or "") else NetworkScope.ALL
        )
        peer = SendingPeer(
            SendingVideo(source=self._video, encoder=WhipVideoEncoder(frame_rate=frame_rate)),
            SendingAudio(source=self._audio, bitrate_bps=AUDIO_BITRATE_BPS),
            scope,
        )
        client = WhipClient(url, token)
        await client.__aenter__()
        try:
            await peer.set_answer(await client.publish(await peer.create_offer()))
            await peer.wait_connected()
        except BaseException:
            await client.__aexit__()
            await peer.close()
            raise
        return client, peer

    async def _disconnect(self) -> None:
        if not self._peer.closed.is_set():
            await asyncio.sleep(DRAIN_S)
        await self._client.__aexit__()
        await self._peer.close()

    def _await(self, work: Coroutine[object, object, _Result], timeout_s: float) -> _Result:
        """The result of `work` on the loop's thread."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout_s)

    def _stop_loop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.run_until_complete(self._loop.shutdown_default_executor())
        self._loop.close()
