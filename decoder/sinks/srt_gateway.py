"""The way out over SRT: a child process, since PyAV's libraries are built without that protocol.

Any ffmpeg binary with libsrt serves, and only as a wire: it gets a finished MPEG transport stream
and sends it byte for byte in messages of seven packets.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import select
import shutil
import subprocess
import tempfile
import time
from functools import cache

from stream.errors import ConfigError, PeerError

_MESSAGE_BYTES = 7 * 188
"""Live-mode payload of SRT: as many transport packets as fit an Ethernet frame."""

_NULL_PACKETS = 7 * (b"\x47\x1f\xff\x10" + b"\xff" * 184)
"""Stuffing, ISO/IEC 13818-1 section 2.4.3.3: pushes the last real packets out of the gateway."""

_STALLED_S = 10.0
"""SRT itself gives a silent peer up after 5 s; a gateway silent for twice that is hung."""

_LINGER_S = 0.5
"""SRT's receiver plays out with 120 ms of latency and drops at a shutdown what it still holds."""


@cache
def find_gateway() -> str:
    """Path of an ffmpeg that speaks SRT: the system's, else that of the package imageio-ffmpeg.

    Raises ConfigError that says what to install.
    """
    candidates = [shutil.which("ffmpeg")]
    with contextlib.suppress(ImportError, RuntimeError):  # not installed, or without a binary
        import imageio_ffmpeg

        candidates.append(imageio_ffmpeg.get_ffmpeg_exe())
    for path in candidates:
        if path is not None and _speaks_srt(path):
            return path
    raise ConfigError("srt:// needs an ffmpeg with SRT: pip install imageio-ffmpeg")


class SrtGateway(io.RawIOBase):
    """A writable binary file whose bytes, an MPEG transport stream, go to an SRT address.

    Not seekable; `write` takes all or raises ConnectionError with the reason as its strerror.
    """

    def __init__(self, url: str) -> None:
        """Start the child; whether the peer answers shows when writing. Raises PeerError."""
        super().__init__()
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the gateway
        command = [find_gateway(), "-hide_banner", "-nostats", "-loglevel", "error"]
        command += ["-f", "data", "-raw_packet_size", str(_MESSAGE_BYTES), "-i", "pipe:0"]
        # Without flushing, FFmpeg fills each message, so packets stay aligned in them.
        command += ["-map", "0", "-c", "copy", "-flush_packets", "0", "-f", "data", url]
        try:
            self._child = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=self._errors,
                bufsize=0,
                start_new_session=True,  # Ctrl-C is for us: we close it after the last frame
            )
        except OSError as error:
            self._errors.close()
            raise PeerError(f"the SRT gateway does not start: {error.strerror}") from error
        assert self._child.stdin is not None  # asked for above; tells mypy
        self._pipe = self._child.stdin.fileno()
        os.set_blocking(self._pipe, False)

    def writable(self) -> bool:
        """Yes."""
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override] # bytes is all PyAV hands over
        """Send all of `data`. Raises ConnectionError when there is no connection, or no longer."""
        left = memoryview(data)
        while left:
            _, ready, _ = select.select([], [self._pipe], [], _STALLED_S)
            if not ready:
                raise ConnectionError(errno.ETIMEDOUT, "the SRT peer takes no data")
            try:
                left = left[os.write(self._pipe, left) :]
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
        if self._child.poll() is None:
            with contextlib.suppress(OSError):
                os.write(self._pipe, _NULL_PACKETS)
                time.sleep(_LINGER_S)
        assert self._child.stdin is not None  # see __init__; tells mypy
        self._child.stdin.close()
        try:
            self._child.wait(_LINGER_S)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
        self._errors.close()

    def _reason(self) -> str:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._child.wait(_LINGER_S)
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").split("\n")
        # The first line names the cause; the URL in it may hold a passphrase.
        cause = lines[0].rpartition("failed: ")[2] if "failed: " in lines[0] else ""
        return f"no SRT connection ({cause})" if cause else "the SRT connection was lost"


def _speaks_srt(path: str) -> bool:
    try:
        listing = subprocess.run(
            [path, "-hide_banner", "-protocols"], capture_output=True, text=True, timeout=10
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        return False
    return "srt" in listing.split()
