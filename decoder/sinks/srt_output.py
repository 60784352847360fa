"""The way out over SRT: a file for an MPEG transport stream that arrives at an address."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import select
import time

from stream.errors import PeerError
from stream.srt_gateway import MESSAGE_BYTES, SrtGateway

_NULL_PACKETS = 7 * (b"\x47\x1f\xff\x10" + b"\xff" * 184)
"""Stuffing, ISO/IEC 13818-1 section 2.4.3.3: pushes the last real packets out of the gateway."""

_STALLED_S = 10.0
"""SRT itself gives a silent peer up after 5 s; a gateway silent for twice that is hung."""

_LINGER_S = 0.5
"""SRT's receiver plays out with 120 ms of latency and drops at a shutdown what it still holds."""


class SrtOutput(io.RawIOBase):
    """A writable binary file whose bytes, an MPEG transport stream, go to an SRT address.

    Not seekable; `write` takes all or raises ConnectionError with the reason as its strerror.
    """

    def __init__(self, url: str) -> None:
        """Start the gateway; whether the peer answers shows when writing.

        Raises ConfigError when there is no gateway, PeerError when it does not start.
        """
        super().__init__()
        arguments = ["-f", "data", "-raw_packet_size", str(MESSAGE_BYTES), "-i", "pipe:0"]
        # Without flushing, FFmpeg fills each message, so packets stay aligned in them.
        arguments += ["-map", "0", "-c", "copy", "-flush_packets", "0", "-f", "data", url]
        try:
            self._gateway = SrtGateway(arguments, pipe="stdin")
        except OSError as error:
            raise PeerError(f"the SRT gateway does not start: {error.strerror}") from error
        os.set_blocking(self._gateway.pipe, False)

    def writable(self) -> bool:
        """Yes."""
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override] # bytes is all PyAV hands over
        """Send all of `data`. Raises ConnectionError when there is no connection, or no longer."""
        left = memoryview(data)
        while left:
            _, ready, _ = select.select([], [self._gateway.pipe], [], _STALLED_S)
            if not ready:
                raise ConnectionError(errno.ETIMEDOUT, "the SRT peer takes no data")
            try:
                left = left[os.write(self._gateway.pipe, left) :]
            except BlockingIOError:
                continue
            except OSError as error:
                raise ConnectionError(errno.ECONNRESET, self._reason()) from error
        return len(data)

    def close(self) -> None:
        """End the connection after what was written has arrived; never raises."""
        if self.closed:
            return
        super().close()
        if self._gateway.is_running:
            with contextlib.suppress(OSError):
                os.write(self._gateway.pipe, _NULL_PACKETS)
                time.sleep(_LINGER_S)
        self._gateway.end(grace_s=_LINGER_S)

    def _reason(self) -> str:
        cause = self._gateway.cause_of_failure(wait_s=_LINGER_S)
        return f"no SRT connection ({cause})" if cause else "the SRT connection was lost"
