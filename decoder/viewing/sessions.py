"""WHEP sessions: from an offer to a viewer of one view."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from decoder.viewing.passing import Passing
from decoder.viewing.view import View, ViewCounts
from decoder.viewing.view_codec import RECEIVED, RESTORED
from stream.coded_media import CodedPicture
from stream.errors import PeerError
from stream.ice_path import NetworkScope
from stream.payload_formats import SENT_CODECS
from stream.signalling import Offer
from stream.viewing_peer import ViewingPeer

_log = logging.getLogger(__name__)


class StreamViews:
    """The two pictures of one stream that can be viewed; belongs to the event loop.

    The received one is passed on as it came wherever a viewer takes its codec.
    """

    def __init__(self, stream: str, *, restored_codecs: tuple[str, ...] = ("h264",)) -> None:
        """restored_codecs: see `View`."""
        loop = asyncio.get_running_loop()
        self.restored_codecs = restored_codecs
        self.restored = View(f"{stream} restored", RESTORED, loop, codecs=restored_codecs)
        self.received = View(f"{stream} received", RECEIVED, loop)
        self._passing = Passing()

    def pass_on(self, picture: CodedPicture, *, pts: int) -> bool:
        """Take a picture as it was received, at its output time (1/90000 s).

        Returns whether the publisher should be asked for a keyframe.
        """
        if not self.received.has_viewers:
            return False
        passed = self._passing.take(picture, pts=pts)
        return passed is not None and self.received.pass_on(passed)

    def counts(self) -> dict[str, ViewCounts]:
        """By the name that `Offer.view` has for it."""
        return {"restored": self.restored.counts(), "received": self.received.counts()}

    async def close(self) -> None:
        """Let go of all viewers."""
        await asyncio.gather(self.restored.close(), self.received.close())


class ViewSession:
    """One viewer, as the signalling server sees it."""

    def __init__(self, peer: ViewingPeer, sdp: str) -> None:
        self._peer = peer
        self.answer_sdp = sdp
        self.closed = peer.closed

    async def close(self) -> None:
        """End the session."""
        await self._peer.close()


class CounterOfferedSession(ViewSession):
    """A viewer whose own offer could not be used: `answer_sdp` is an offer of ours."""

    async def take_answer(self, sdp: str) -> None:
        """Go on with the client's answer. Raises PeerError, and ends, when it cannot be used."""
        await self._peer.set_answer(sdp)


class Viewing:
    """Who may be viewed, and by how many: what the signalling server asks."""

    def __init__(self, network: NetworkScope, find: Callable[[str], StreamViews | None]) -> None:
        """find: the views of a stream; None when there is no such stream."""
        self._network, self._find = network, find
        self._serving: set[asyncio.Task[None]] = set()

    def has_stream(self, name: str) -> bool:
        """Whether there is a stream of this name, live or waiting for its publisher."""
        return self._find(name) is not None

    async def accept(self, offer: Offer) -> ViewSession:
        """A session that sends the picture. Raises PeerError when the offer is no offer at all."""
        views = self._find(offer.stream)
        if views is None:
            raise PeerError(f"there is no stream {offer.stream}")
        is_restored = offer.view == "restored"
        view = views.restored if is_restored else views.received
        codecs = views.restored_codecs if is_restored else SENT_CODECS
        more_codecs = tuple(codec for codec in codecs if codec != "h264")
        peer = self._new_peer(view, more_codecs)
        try:
            session = ViewSession(peer, await peer.answer(offer.sdp))
        except PeerError as unusable:
            await peer.close()
            if not _is_complete(offer.sdp):
                raise
            _log.info("stream %s: an offer to view is countered: %s", offer.stream, unusable)
            peer = self._new_peer(view, more_codecs)
            try:
                session = CounterOfferedSession(peer, await peer.create_offer())
            except BaseException:
                await peer.close()
                raise
        except BaseException:  # a time limit, too, must not leave it behind
            await peer.close()
            raise
        task = asyncio.create_task(_serve(peer, view))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)
        return session

    def _new_peer(self, view: View, more_codecs: tuple[str, ...]) -> ViewingPeer:
        peer: ViewingPeer
        peer = ViewingPeer(
            self._network,
            on_keyframe_wanted=lambda: view.want_keyframe(peer),
            more_codecs=more_codecs,
        )
        return peer


async def _serve(peer: ViewingPeer, view: View) -> None:
    """The viewer counts from when it is connected, so that nothing is compressed for a ghost."""
    try:
        await peer.wait_connected()
    except PeerError as error:
        _log.debug("a viewer did not come: %s", error)
        return
    view.add(peer)
    try:
        await peer.closed.wait()
    finally:
        view.remove(peer)


def _is_complete(sdp: str) -> bool:
    """Whether it is an offer that only did not suit: then another one may."""
    return "\nm=" in sdp and "a=ice-ufrag:" in sdp and "a=fingerprint:" in sdp
