"""The way in over SRT: a child process, since PyAV's libraries are built without that protocol.

Any ffmpeg binary with libsrt serves, and only as a wire: what arrives leaves byte for byte.
"""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from functools import cache

from stream.errors import ConfigError

_MESSAGE_BYTES = 7 * 188
"""Live-mode payload of SRT: as many transport packets as fit an Ethernet frame."""

_POLL_S = 0.2
"""How often a wait looks whether the source was closed."""

_EXIT_WAIT_S = 2.0
"""A killed child is gone much sooner."""


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


class SrtWire:
    """A readable file (as PyAV takes it) with the bytes that arrive at an SRT address."""

    name = "SRT"

    def __init__(
        self,
        url: str,
        *,
        is_closed: Callable[[], bool],
        connect_timeout_s: float,
        silence_timeout_s: float,
    ) -> None:
        """Start the child; raises ConfigError when there is none.

        The first bytes may take connect_timeout_s, later ones silence_timeout_s.
        """
        self._is_closed = is_closed
        self._timeout_s = connect_timeout_s
        self._silence_timeout_s = silence_timeout_s
        self._is_silent = False
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the wire
        command = [find_gateway(), "-hide_banner", "-nostats", "-loglevel", "error", "-f", "data"]
        command += ["-connect_timeout", str(round(1000 * connect_timeout_s))]
        command += ["-raw_packet_size", str(_MESSAGE_BYTES), "-i", url]
        command += ["-map", "0", "-c", "copy", "-flush_packets", "1", "-f", "data", "pipe:1"]
        try:
            self._child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                bufsize=0,
                start_new_session=True,  # Ctrl-C is for us, who end it
            )
        except OSError as error:
            self._errors.close()
            raise ConfigError(f"the SRT gateway does not start: {error.strerror}") from error
        assert self._child.stdout is not None  # asked for above; tells mypy
        self._pipe = self._child.stdout

    def read(self, size: int) -> bytes:
        """Up to `size` bytes as they come; b"" at the end, after a timeout and once closed."""
        deadline_s = time.monotonic() + self._timeout_s
        while not self._is_closed():
            if select.select([self._pipe], [], [], _POLL_S)[0]:
                self._timeout_s = self._silence_timeout_s
                return os.read(self._pipe.fileno(), size)
            if time.monotonic() > deadline_s:
                self._is_silent = True
                break
        return b""

    def reason(self) -> str:
        """Why nothing came, in words for a user; never the URL, which may hold a passphrase."""
        if self._is_silent:
            return "no answer in time"
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._child.wait(_POLL_S)
        self._errors.seek(0)
        first = self._errors.read().decode(errors="replace").partition("\n")[0]
        return first.rpartition("failed: ")[2] if "failed: " in first else "no SRT connection"

    def close(self) -> None:
        """End the connection; never raises."""
        self._child.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._child.wait(_EXIT_WAIT_S)
        self._pipe.close()
        self._errors.close()


def _speaks_srt(path: str) -> bool:
    try:
        listing = subprocess.run(
            [path, "-hide_banner", "-protocols"], capture_output=True, text=True, timeout=10
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        return False
    return "srt" in listing.split()
