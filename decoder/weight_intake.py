"""Takes the weight deltas of one stream's publisher and hands sound ones to its restorer."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from decoder.adapted_artefact import AdaptedWeights, ShownScene, adaptable_shapes
from decoder.artefact import Artefact
from stream.buffer import BufferClosed
from stream.errors import DeltaRefused, ModelMismatch
from stream.peer import ReceivingPeer
from stream.scene_signature import MAX_SCENES, Signature
from stream.weight_chain import WeightChain
from stream.weight_delta import Shapes, decode_delta, read_header
from stream.weight_delta_head import DIGEST_BYTES
from stream.weight_messages import LIVE_LIMITS

_log = logging.getLogger(__name__)

MIN_INTERVAL_S = 2.0
"""Decoding takes a good part of a second; whoever sends more often only pushes out his own."""

ASK_INTERVAL_S = 5.0
"""Before a state is asked for again."""

TELL_INTERVAL_S = 0.5
"""Between two looks at which model is in use."""

_SEQUENCES_KEPT = 1024


class NotForUs(DeltaRefused):
    """Weights that will not be of use however often they come. digest: of the delta."""

    def __init__(self, message: str, *, digest: str) -> None:
        super().__init__(message)
        self.digest = digest


@dataclass(slots=True, kw_only=True)
class _Line:
    """The deltas of one model and scene, one after another."""

    chain: WeightChain
    signatures: tuple[Signature, ...] = ()


_Key = tuple[str, int | None]
"""SHA-256 of the model, and the number of the scene; None for all scenes."""


class WeightIntake:
    """The deltas of one session, in their order; for one thread at a time.

    Each scene has a chain of its own. Those of the scenes that were least lately sent are
    forgotten when there are too many; what follows them is refused until a state comes.
    """

    def __init__(self, models: Callable[[], Mapping[str, Artefact]]) -> None:
        """models: those that deltas may be for, by SHA-256; asked for when the first one comes."""
        self._models = models
        self._base: str | None = None
        self._shapes: dict[str, Shapes] = {}
        self._lines: OrderedDict[_Key, _Line] = OrderedDict()
        self._sequences: OrderedDict[_Key, int] = OrderedDict()

    @property
    def adapted(self) -> str | None:
        """SHA-256 of the model that other weights came for last; None before."""
        return self._base

    def take(self, container: bytes) -> AdaptedWeights:
        """The weights after one more delta; `valid_from_pts` is an RTP timestamp, as it travels.

        Takes a good part of a second. Raises DeltaRefused.
        """
        header = read_header(container, limits=LIVE_LIMITS)
        base, scene = header.base_sha256, header.scene
        digest = container[-DIGEST_BYTES:].hex()
        shapes = self._shapes_of(base, digest)
        delta = decode_delta(container, limits=LIVE_LIMITS, expected_shapes=shapes)
        key: _Key = (base, None if scene is None else scene.number)
        line = self._lines.get(key)
        if line is None:
            line = _Line(chain=WeightChain(base, after=self._sequences.get(key)))
        signatures = line.signatures
        if scene is not None:
            signatures = scene.signatures or signatures
            if not signatures:
                raise DeltaRefused("the weights do not say what their scene looks like")
        changes = line.chain.apply(delta)
        line.signatures, self._base, self._shapes[base] = signatures, base, shapes
        self._keep(key, line, header.sequence)
        label = f"the sender's weights {header.sequence}"
        return AdaptedWeights(
            base_sha256=base,
            changes=changes,
            digest=delta.digest,
            label=label if scene is None else f"{label} for scene {scene.number}",
            valid_from_pts=header.valid_from_pts,
            scene=None
            if scene is None
            else ShownScene(key=f"sender {base} {scene.number}", signatures=signatures),
        )

    def _keep(self, key: _Key, line: _Line, sequence: int) -> None:
        self._lines[key], self._sequences[key] = line, sequence
        self._lines.move_to_end(key)
        self._sequences.move_to_end(key)
        while len(self._lines) > MAX_SCENES + 1:
            self._lines.popitem(last=False)
        while len(self._sequences) > _SEQUENCES_KEPT:  # so that no old one can be played again
            self._sequences.popitem(last=False)

    def _shapes_of(self, base: str, digest: str) -> Shapes:
        if base in self._shapes:
            return self._shapes[base]
        model = self._models().get(base)
        if model is None:
            raise NotForUs(
                f"the weights are for a model that is not here ({base[:12]}…)", digest=digest
            )
        try:
            return adaptable_shapes(model)
        except (ModelMismatch, OSError) as error:
            raise NotForUs(f"the model cannot be adapted: {error}", digest=digest) from error


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
            except NotForUs as error:
                _log.info("stream %s: weights are refused: %s", self._stream, error)
                self._peer.weights.call_useless(error.digest)
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
