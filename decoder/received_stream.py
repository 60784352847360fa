"""One stream of a receiver: its publisher, its pipeline and its viewers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from decoder.pipeline import Pipeline
from decoder.restorer_supply import RestorerSupply
from decoder.viewing.sessions import StreamViews
from decoder.weight_intake import WeightFollower, WeightIntake
from stream.coded_media import CodedPicture
from stream.peer import ReceivingPeer


@dataclass(slots=True, kw_only=True)
class ReceivedStream:
    """peer: of the current publisher, or the last one."""

    pipeline: Pipeline
    peer: ReceivingPeer
    views: StreamViews
    intake: WeightIntake | None = None
    following: asyncio.Task[None] | None = None

    def follow_weights(self, name: str, supply: RestorerSupply) -> None:
        """Take the weights that the current publisher sends; what the last one sent is undone."""
        if self.intake is not None and self.intake.adapted is not None:
            self.pipeline.weights.put(*supply.usual_weights(self.intake.adapted))
        if self.following is not None:
            self.following.cancel()
        self.intake = WeightIntake(supply.models)
        follower = WeightFollower(
            self.peer,
            self.intake,
            adapt=self.pipeline.weights.put,
            stream=name,
            restoring=lambda: supply.base_of(self.pipeline.counts().model),
        )
        self.following = asyncio.create_task(follower.run())

    @property
    def is_publishing(self) -> bool:
        """Whether a publisher is connected."""
        return self.peer.connected.is_set() and not self.peer.closed.is_set()

    def adopt(self, peer: ReceivingPeer) -> None:
        """Take what this publisher sends from now on."""
        self.peer = peer
        peer.on_coded = partial(self._pass_on, peer)
        self.pipeline.attach(peer.video, peer.audio)

    def _pass_on(self, peer: ReceivingPeer, picture: CodedPicture) -> None:
        pts = self.pipeline.output_pts(peer.video, picture.pts)
        if pts is not None and self.views.pass_on(picture, pts=pts):
            peer.request_keyframe()

    async def close(self) -> None:
        """Send publisher and viewers away, and finish the outputs."""
        if self.following is not None:
            self.following.cancel()
            await asyncio.gather(self.following, return_exceptions=True)
        await self.peer.close()
        await self.views.close()
        await asyncio.to_thread(self.pipeline.close)


class WhipSession:
    """One publisher, as the signalling server sees it."""

    def __init__(
        self, peer: ReceivingPeer, answer_sdp: str, *, on_close: Callable[[], None]
    ) -> None:
        self._peer, self._on_close = peer, on_close
        self.answer_sdp = answer_sdp
        self.closed = peer.closed

    async def close(self) -> None:
        """End the session."""
        await self._peer.settle()
        self._on_close()
        await self._peer.close()
