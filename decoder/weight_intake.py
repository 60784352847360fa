"""Takes the weight deltas of one stream's publisher and hands sound ones to its restorer."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import replace

from decoder.adapted_artefact import AdaptedWeights, adaptable_shapes
from decoder.artefact import Artefact
from stream.buffer import BufferClosed
from stream.errors import DeltaRefused, ModelMismatch
from stream.peer import ReceivingPeer
from stream.weight_chain import WeightChain
from stream.weight_delta import Shapes, decode_delta, read_header
from stream.weight_messages import LIVE_LIMITS

_log = logging.getLogger(__name__)

MIN_INTERVAL_S = 2.0
"""Decoding takes a good part of a second; whoever sends more often only pushes out his own."""

ASK_INTERVAL_S = 5.0
"""Before a state is asked for again."""

TELL_INTERVAL_S = 0.5
"""Between two looks at which model is in use."""


class WeightIntake:
    """The deltas of one session, in their order; for one thread at a time."""

    def __init__(self, models: Callable[[], Mapping[str, Artefact]]) -> None:
        """models: those that deltas may be for, by SHA-256; asked for when the first one comes."""
        self._models = models
        self._base: str | None = None
        self._shapes: Shapes = {}
        self._chain = WeightChain("")

    @property
    def adapted(self) -> str | None:
        """SHA-256 of the model that has other weights by now; one at a time has."""
        return self._base

    def take(self, container: bytes) -> AdaptedWeights:
        """The weights after one more delta; `valid_from_pts` is an RTP timestamp, as it travels.

        Takes a good part of a second. Raises DeltaRefused.
        """
        header = read_header(container, limits=LIVE_LIMITS)
        base, chain, shapes = header.base_sha256, self._chain, self._shapes
        if base != self._base:
            chain, shapes = WeightChain(base), self._shapes_of(base)
        delta = decode_delta(container, limits=LIVE_LIMITS, expected_shapes=shapes)
        changes = chain.apply(delta)
        self._base, self._chain, self._shapes = base, chain, shapes
        return AdaptedWeights(
            base_sha256=base,
            changes=changes,
            digest=delta.digest,
            label=f"the sender's weights {header.sequence}",
            valid_from_pts=header.valid_from_pts,
        )

    def _shapes_of(self, base: str) -> Shapes:
        model = self._models().get(base)
        if model is None:
            raise DeltaRefused(f"the weights are for a model that is not here ({base[:12]}…)")
        try:
            return adaptable_shapes(model)
        except (ModelMismatch, OSError) as error:
            raise DeltaRefused(f"the model cannot be adapted: {error}") from error


class WeightFollower:
    """Follows one publisher's deltas until its session ends."""

    def __init__(
        self,
        peer: ReceivingPeer,
        intake: WeightIntake,
        *,
        adapt: Callable[[AdaptedWeights], None],
        stream: str,
        restoring: Callable[[], str | None] = lambda: None,
    ) -> None:
        """adapt: takes the weights, with `valid_from_pts` on the session's time.

        restoring: SHA-256 of the model that restores the stream now; the publisher is told.
        """
        self._restoring = restoring
        self._peer, self._intake = peer, intake
        self._adapt, self._stream = adapt, stream
        self._asked_s = float("-inf")

    async def run(self) -> None:
        """Take deltas as they come; returns when the session is over."""
        telling = asyncio.create_task(self._tell())
        try:
            await self._follow()
        finally:
            telling.cancel()

    async def _tell(self) -> None:
        """Tell the publisher which model its stream is restored with, whenever that changes."""
        told: str | None = None
        while True:
            model = self._restoring()
            if model not in (told, None) and self._peer.weights.tell_model(str(model)):
                told = model
            await asyncio.sleep(TELL_INTERVAL_S)

    async def _follow(self) -> None:
        while True:
            try:
                container = await self._peer.weights.deltas.get_async()
            except BufferClosed:
                return
            try:
                weights = await asyncio.to_thread(self._intake.take, container)
            except DeltaRefused as error:
                _log.info("stream %s: weights are refused: %s", self._stream, error)
                self._ask()
            else:
                self._adapt(self._on_session_time(weights))
            await asyncio.sleep(MIN_INTERVAL_S)

    def _on_session_time(self, weights: AdaptedWeights) -> AdaptedWeights:
        rtp = weights.valid_from_pts
        if rtp is None:
            return weights
        return replace(weights, valid_from_pts=self._peer.video_pts(rtp & 0xFFFFFFFF))

    def _ask(self) -> None:
        now_s = time.monotonic()
        if now_s - self._asked_s >= ASK_INTERVAL_S:
            self._asked_s = now_s
            self._peer.weights.ask_for_state()
