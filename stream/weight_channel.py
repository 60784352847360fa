"""The two ends of the data channel for weight deltas, on an aiortc connection.

Messages and their rules are in `stream.weight_messages`. Only whoever publishes a stream has a
connection with its receiver, so nobody else can send weights for it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from aiortc import RTCDataChannel, RTCPeerConnection
from aiortc.rtcsctptransport import DataChunk

from stream.buffer import LatestBuffer
from stream.errors import DeltaRefused
from stream.weight_messages import (
    CHANNEL,
    WANT_STATE,
    DeltaAssembler,
    is_state_wanted,
    model_told,
    pieces_of,
    restores_with,
    useless,
    useless_digest,
)

_log = logging.getLogger(__name__)

USELESS_KEPT = 256
"""Digests that are remembered of what a receiver cannot use."""

DELTAS_WAITING = 4
"""Complete deltas that nobody has taken; more push the oldest out."""


class ReceivingWeights:
    """The receiver's end. `deltas` drops its oldest when nobody takes them."""

    def __init__(self, connection: RTCPeerConnection, *, on_misuse: Callable[[str], None]) -> None:
        """on_misuse: called with a reason when the other end breaks the channel's limits."""
        self.deltas: LatestBuffer[bytes] = LatestBuffer(DELTAS_WAITING)
        self.bytes_received = 0
        self.refused = 0
        """Messages that are no piece of a delta."""
        self._connection, self._on_misuse = connection, on_misuse
        self._channel: RTCDataChannel | None = None
        self._assembler = DeltaAssembler()
        self._is_wanted = True
        connection.on("datachannel", self._on_channel)

    def refuse(self) -> None:
        """Take no weights: the publisher's channel is closed as soon as it is there."""
        self._is_wanted = False
        self.deltas.close()
        if self._channel is not None:
            self._channel.close()

    def ask_for_state(self) -> None:
        """Ask the publisher for a state; nothing happens where it has no channel open."""
        self._say(WANT_STATE)

    def call_useless(self, digest: str) -> None:
        """Tell the publisher not to send the delta with this digest again."""
        self._say(useless(digest))

    def _say(self, message: bytes) -> None:
        if self._channel is not None and self._channel.readyState == "open":
            self._channel.send(message)

    def tell_model(self, base_sha256: str) -> bool:
        """Tell the publisher which model restores its stream; False where it has no channel."""
        if self._channel is None or self._channel.readyState != "open":
            return False
        self._channel.send(restores_with(base_sha256))
        return True

    def watch(self) -> None:
        """Bound what aiortc collects of messages that are not complete; before it connects."""
        transport = self._connection.sctp
        if transport is None:
            return
        receive = transport._receive_data_chunk

        async def receive_data_chunk(chunk: DataChunk) -> None:
            await receive(chunk)
            if transport._advertised_rwnd < 0:  # who keeps to the window never gets there
                self._on_misuse("the other end sends more on a data channel than it may")

        vars(transport)["_receive_data_chunk"] = receive_data_chunk

    def close(self) -> None:
        """No more deltas; callable twice."""
        self.deltas.close()

    def _on_channel(self, channel: RTCDataChannel) -> None:
        if channel.label != CHANNEL or self._channel is not None or not self._is_wanted:
            _log.debug("a data channel %r is of no use here", channel.label[:40])
            channel.close()
            return
        self._channel = channel
        channel.on("message", self._on_message)

    def _on_message(self, message: str | bytes) -> None:
        self.bytes_received += len(message)
        try:
            delta = self._assembler.push(message)
        except DeltaRefused as error:
            self.refused += 1
            _log.debug("%s", error)
            return
        if delta is not None:
            self.deltas.put(delta)


class SendingWeights:
    """The publisher's end."""

    def __init__(self, connection: RTCPeerConnection) -> None:
        """Call before the offer is made, which then asks for the channel."""
        self.is_state_wanted = False
        """Whether the receiver has asked for a state; for whoever sends one to take back."""
        self.model: str | None = None
        """SHA-256 of the model that the receiver restores with; None until it said so."""
        self.useless: set[str] = set()
        """Digests of deltas that the receiver says it can never use."""
        self._number = 0
        self._channel = connection.createDataChannel(CHANNEL, ordered=True)
        self._channel.on("message", self._on_message)

    @property
    def is_open(self) -> bool:
        """Whether the other end takes weights."""
        return bool(self._channel.readyState == "open")

    @property
    def is_refused(self) -> bool:
        """Whether the other end has closed the channel: it takes no weights."""
        return self._channel.readyState in ("closing", "closed")

    @property
    def waiting_bytes(self) -> int:
        """What was handed over and is not sent yet."""
        return int(self._channel.bufferedAmount)

    def pieces(self, delta: bytes) -> list[bytes]:
        """The messages that carry a delta, to be sent one after another."""
        self._number += 1
        return pieces_of(delta, self._number)

    def send(self, piece: bytes) -> None:
        """Send one of them. Nothing happens when the channel is not open."""
        if self.is_open:
            self._channel.send(piece)

    def _on_message(self, message: str | bytes) -> None:
        self.is_state_wanted |= is_state_wanted(message)
        self.model = model_told(message) or self.model
        digest = useless_digest(message)
        if digest is not None and len(self.useless) < USELESS_KEPT:
            self.useless.add(digest)
