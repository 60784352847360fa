"""Watches over the ICE connections of one peer: which addresses it uses, what passes, who is there.

aioice has no option for any of this, so the methods of single connection objects are wrapped, never
its classes: other users of aioice in the process see nothing of it.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from enum import Enum

import aioice
from aioice.ice import StunProtocol
from aioice.stun import TransactionError

from stream.errors import CodecError

LOOPBACK_ADDRESS = "127.0.0.1"
LOST_AFTER_MS = 4500
"""Silence after which the other end is gone. RFC 7675 allows up to 30 s; viewers do not."""

_LOOK_INTERVAL_S = 0.5
_ASK_AFTER_SILENCE_MS = 1000
_ASK_INTERVAL_MS = 5000  # RFC 7675 section 5.1
_RTT_SMOOTHING = 0.25


class NetworkScope(Enum):
    """Which local addresses a peer tells the other end."""

    LOOPBACK = "loopback"
    ALL = "all"


class IcePath:
    """Wraps the connections given to `adopt`; counts and times over all of them together.

    Byte counts are UDP payloads: STUN, DTLS, SRTP and SRTCP. UDP and IP headers come on top.
    """

    def __init__(self, scope: NetworkScope, *, clock_ms: Callable[[], float]) -> None:
        self._scope = scope
        self._clock_ms = clock_ms
        self._heard_ms = clock_ms()
        self._adopted: list[aioice.Connection] = []
        self.bytes_sent = 0
        self.bytes_received = 0
        self.is_lost = False
        """Whether a connection was closed because nothing was heard any more."""
        self.rtt_ms: float | None = None
        """Smoothed round trip of STUN binding requests; None until one was answered."""

    @property
    def unsent_bytes(self) -> int:
        """What the system has not taken yet: asyncio keeps it, without a limit of its own."""
        transports = (
            protocol.transport for connection in self._adopted for protocol in connection._protocols
        )
        return sum(
            transport.get_write_buffer_size()
            for transport in transports
            if isinstance(transport, asyncio.WriteTransport)
        )

    def adopt(self, connection: aioice.Connection) -> None:
        """Take over a connection that has not gathered candidates yet; once is enough."""
        if any(connection is known for known in self._adopted):
            return
        self._adopted.append(connection)
        gather = connection.get_component_candidates

        async def get_component_candidates(
            component: int, addresses: list[str]
        ) -> list[aioice.Candidate]:
            if self._scope is NetworkScope.LOOPBACK or not addresses:
                addresses = [LOOPBACK_ADDRESS]
            before = list(connection._protocols)
            candidates = await gather(component, addresses)
            for protocol in connection._protocols:
                if protocol not in before:
                    self._count_bytes(protocol)
            return candidates

        async def query_consent() -> None:
            await self._watch(connection)

        vars(connection).update(
            get_component_candidates=get_component_candidates, query_consent=query_consent
        )

    def _count_bytes(self, protocol: StunProtocol) -> None:
        send_data, send_stun = protocol.send_data, protocol.send_stun
        receive = protocol.datagram_received

        async def counting_send_data(data: bytes, addr: tuple[str, int]) -> None:
            self.bytes_sent += len(data)
            await send_data(data, addr)

        def counting_send_stun(message: aioice.stun.Message, addr: tuple[str, int]) -> None:
            self.bytes_sent += len(bytes(message))
            send_stun(message, addr)

        def counting_receive(data: bytes, addr: tuple[str, int]) -> None:
            self.bytes_received += len(data)
            self._heard_ms = self._clock_ms()
            receive(data, addr)

        vars(protocol).update(
            send_data=counting_send_data,
            send_stun=counting_send_stun,
            datagram_received=counting_receive,
        )

    async def _watch(self, connection: aioice.Connection) -> None:
        """Replaces aioice's consent checks, which take half a minute to see that nobody is there.

        Any datagram is a sign of life; asking (which also measures the round trip) is for silence.
        """
        asked_ms = -float("inf")
        while True:
            await asyncio.sleep(_LOOK_INTERVAL_S)
            now_ms = self._clock_ms()
            silence_ms = now_ms - self._heard_ms
            if silence_ms > LOST_AFTER_MS:
                self.is_lost = True
                connection._query_consent_task = None  # close() would wait for this very task
                await connection.close()
                return
            if silence_ms > _ASK_AFTER_SILENCE_MS or now_ms - asked_ms > _ASK_INTERVAL_MS:
                asked_ms = now_ms
                await self._ask(connection)

    async def _ask(self, connection: aioice.Connection) -> None:
        for pair in list(connection._nominated.values()):
            asked_ms = self._clock_ms()
            password = (connection.remote_password or "").encode()
            try:
                await pair.protocol.request(
                    connection.build_request(pair, nominate=False),
                    pair.remote_addr,
                    integrity_key=password,
                    retransmissions=0,
                )
            except TransactionError:
                continue
            rtt_ms = self._clock_ms() - asked_ms
            known_ms = rtt_ms if self.rtt_ms is None else self.rtt_ms
            self.rtt_ms = known_ms + _RTT_SMOOTHING * (rtt_ms - known_ms)


def check_aioice() -> None:
    """Raise CodecError when this aioice is not made the way `IcePath` needs."""
    expected: dict[Callable[..., object], list[str]] = {
        aioice.Connection.get_component_candidates: ["self", "component", "addresses", "timeout"],
        aioice.Connection.query_consent: ["self"],
        aioice.Connection.build_request: ["self", "pair", "nominate"],
        StunProtocol.send_data: ["self", "data", "addr"],
        StunProtocol.send_stun: ["self", "message", "addr"],
        StunProtocol.datagram_received: ["self", "data", "addr"],
    }
    for method, parameters in expected.items():
        if list(inspect.signature(method).parameters) != parameters:
            raise CodecError(
                f"aioice {aioice.__version__} is not supported: {method.__qualname__} has changed; "
                "install the versions that edvr-live asks for"
            )
