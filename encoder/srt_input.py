"""The way in over SRT: what arrives at an address, as a file that PyAV reads."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable

from stream.errors import ConfigError
from stream.srt_gateway import MESSAGE_BYTES, SrtGateway

_POLL_S = 0.2
"""How often a wait looks whether the source was closed."""


class SrtInput:
    """A readable file with the bytes that arrive at an SRT address."""

    name = "SRT"

    def __init__(
        self,
        url: str,
        *,
        is_closed: Callable[[], bool],
        connect_timeout_s: float,
        silence_timeout_s: float,
    ) -> None:
        """Start the gateway; raises ConfigError when there is none.

        The first bytes may take connect_timeout_s, later ones silence_timeout_s.
        """
        self._is_closed = is_closed
        self._timeout_s = connect_timeout_s
        self._silence_timeout_s = silence_timeout_s
        self._is_silent = False
        arguments = ["-f", "data", "-connect_timeout", str(round(1000 * connect_timeout_s))]
        arguments += ["-raw_packet_size", str(MESSAGE_BYTES), "-i", url]
        arguments += ["-map", "0", "-c", "copy", "-flush_packets", "1", "-f", "data", "pipe:1"]
        try:
            self._gateway = SrtGateway(arguments, pipe="stdout")
        except OSError as error:
            raise ConfigError(f"the SRT gateway does not start: {error.strerror}") from error

    def read(self, size: int) -> bytes:
        """Up to `size` bytes as they come; b"" at the end, after a timeout and once closed."""
        deadline_s = time.monotonic() + self._timeout_s
        while not self._is_closed():
            if select.select([self._gateway.pipe], [], [], _POLL_S)[0]:
                self._timeout_s = self._silence_timeout_s
                return os.read(self._gateway.pipe, size)
            if time.monotonic() > deadline_s:
                self._is_silent = True
                break
        return b""

    def reason(self) -> str:
        """Why nothing came, in words for a user."""
        if self._is_silent:
            return "no answer in time"
        return self._gateway.cause_of_failure(wait_s=_POLL_S) or "no SRT connection"

    def close(self) -> None:
        """End the connection; never raises."""
        self._gateway.end(grace_s=0)
