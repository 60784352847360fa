"""SRT by way of a child process, since PyAV's libraries are built without that protocol.

Any ffmpeg binary with libsrt serves, and only as a wire: an MPEG transport stream passes between a
pipe and an SRT address byte for byte.
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from functools import cache
from typing import Literal

from stream.errors import ConfigError

MESSAGE_BYTES = 7 * 188
"""Live-mode payload of SRT: as many transport packets as fit an Ethernet frame."""


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


class SrtGateway:
    """One running gateway. pipe: descriptor of our end of its standard input or output."""

    def __init__(self, arguments: Sequence[str], *, pipe: Literal["stdin", "stdout"]) -> None:
        """Start ffmpeg with what and how to copy.

        Raises ConfigError when there is none with SRT, OSError when it does not start.
        """
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the gateway
        try:
            self._child = subprocess.Popen(
                [find_gateway(), "-hide_banner", "-nostats", "-loglevel", "error", *arguments],
                stdin=subprocess.PIPE if pipe == "stdin" else subprocess.DEVNULL,
                stdout=subprocess.PIPE if pipe == "stdout" else subprocess.DEVNULL,
                stderr=self._errors,
                bufsize=0,
                start_new_session=True,  # Ctrl-C is for us, who end it
            )
        except BaseException:
            self._errors.close()
            raise
        file = self._child.stdin if pipe == "stdin" else self._child.stdout
        assert file is not None  # asked for above; tells mypy
        self._file = file
        self.pipe = file.fileno()

    @property
    def is_running(self) -> bool:
        """Whether the child has not ended by itself."""
        return self._child.poll() is None

    def cause_of_failure(self, *, wait_s: float) -> str | None:
        """Why it gave up, in words for a user, once it has ended or `wait_s` has passed.

        None when it did not say. Never holds the URL, which may hold a passphrase.
        """
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._child.wait(wait_s)
        self._errors.seek(0)
        first_line = self._errors.read().decode(errors="replace").partition("\n")[0]
        return first_line.rpartition("failed: ")[2] if "failed: " in first_line else None

    def end(self, *, grace_s: float) -> None:
        """Close the pipe and end the child, by force when it has not ended after `grace_s`."""
        self._file.close()
        try:
            self._child.wait(grace_s)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
        self._errors.close()


def _speaks_srt(path: str) -> bool:
    try:
        listing = subprocess.run(
            [path, "-hide_banner", "-protocols"], capture_output=True, text=True, timeout=10
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        return False
    return "srt" in listing.split()
