"""Two namespaces joined by a thin link, for as long as a `with` block lasts; Linux, needs root."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path as FilePath
from typing import Any, Self

from benchmarks.link.namespaces import FAR_ADDRESS, NEAR_ADDRESS, enter_namespace
from benchmarks.link.path import PathConfig, PathInterval
from benchmarks.link.rtp_census import RtpStream
from stream.errors import ConfigError, EdvrError

_TUN_DEVICE = FilePath("/dev/net/tun")
_STOP_S = 5.0
_NO_LIMITS = PathConfig()


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkConfig:
    """forward: from the near end to the far one; backward: the other way. Default: no limits."""

    forward: PathConfig = _NO_LIMITS
    backward: PathConfig = _NO_LIMITS


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkRecord:
    """What passed so far, each way; streams: of RTP, forward."""

    forward: tuple[PathInterval, ...]
    backward: tuple[PathInterval, ...]
    streams: tuple[RtpStream, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkEnd:
    """One of the two namespaces. It has loopback, and `address` (IPv4) on the link."""

    address: str
    namespace: str

    def command(self, arguments: Sequence[str]) -> list[str]:
        """The command line that runs `arguments` at this end; it keeps its process id."""
        return ["nsenter", f"--net={self.namespace}", "--", *arguments]

    def enter(self) -> None:
        """Move the calling thread here, say a child process before it runs its program."""
        enter_namespace(self.namespace)


class EmulatedLink:
    """Entering it creates the namespaces and starts forwarding; leaving it removes them.

    Programs that still run in them then have no network any more.
    Raises ConfigError, in one line, where this machine does not let it.
    """

    def __init__(self, config: LinkConfig | None = None) -> None:
        self._config = LinkConfig() if config is None else config
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        reason = _obvious_hindrance()
        if reason is not None:
            raise ConfigError(reason)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.link.forwarder"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        try:
            ready = self._read()
            if "error" in ready:
                raise ConfigError(f"this system refuses an emulated link: {ready['error']}")
            self.near = LinkEnd(address=NEAR_ADDRESS, namespace=ready["near"])
            """Where `forward` begins; the sender's end."""
            self.far = LinkEnd(address=FAR_ADDRESS, namespace=ready["far"])
            """Where `forward` ends; the receiver's end."""
            self.started_ms = float(ready["started_ms"])
            """Zero of all times here, on the system's monotonic clock."""
            self.configure(self._config)
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stop()

    def configure(self, config: LinkConfig) -> float:
        """Change both directions, and begin their rate traces; when, in ms since the start."""
        self._config = config
        answer = self._ask(
            {"forward": config.forward.to_json(), "backward": config.backward.to_json()}
        )
        return float(answer["now_ms"])

    def restart_traces(self) -> float:
        """Begin both rate traces anew; when, in ms since the start."""
        return float(self._ask({"restart": True})["now_ms"])

    def record(self) -> LinkRecord:
        """What passed so far."""
        answer = self._ask({"record": True})
        forward, backward = (
            tuple(PathInterval(**interval) for interval in answer[name])
            for name in ("forward", "backward")
        )
        streams = tuple(RtpStream(**stream) for stream in answer["streams"])
        return LinkRecord(forward=forward, backward=backward, streams=streams)

    def _ask(self, command: dict[str, Any]) -> dict[str, Any]:
        assert self._process is not None
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(command) + "\n")
            self._process.stdin.flush()
        except OSError as error:
            raise EdvrError("the emulated link has ended") from error
        return self._read()

    def _read(self) -> dict[str, Any]:
        assert self._process is not None
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise EdvrError("the emulated link has ended")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _stop(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.close()
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


@lru_cache(maxsize=1)
def why_no_link() -> str | None:
    """Why no link can be emulated on this machine, in one line; None when it can (it is tried)."""
    try:
        with EmulatedLink():
            return None
    except EdvrError as error:
        return str(error)


def _obvious_hindrance() -> str | None:
    if sys.platform != "linux":
        return "an emulated link needs Linux"
    if os.geteuid() != 0:
        return "an emulated link needs root: run the command with sudo"
    if not os.access(_TUN_DEVICE, os.R_OK | os.W_OK):
        return f"an emulated link needs the TUN device {_TUN_DEVICE}: load the kernel module tun"
    if shutil.which("nsenter") is None:
        return "an emulated link needs the program nsenter: install util-linux"
    return None
