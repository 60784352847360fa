"""Setting types that the sender and the receiver share, and how users write them.

Pure: text in, checked value out, ConfigError with the offending text and the accepted form.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from decimal import Decimal

from stream.errors import ConfigError
from stream.frame import Size

MAX_PICTURE_SIDE = 16_384
"""Largest width or height accepted, in luma samples: beyond it no live codec level exists."""

MAX_DURATION_S = 7 * 24 * 3600
"""A longer file than a week's is a mistake."""

_BITRATE = re.compile(r"(\d+(?:\.\d+)?)([kKmM]?)", re.ASCII)
_BITRATE_FACTOR = {
    "": 1,
    "k": 1_000,
    "m": 1_000_000,
}  # SI, as every streaming tool counts bits
_DURATION = re.compile(r"(\d{1,9}(?:\.\d{1,3})?)([sSmMhH]?)", re.ASCII)
_SIZE = re.compile(r"(\d{1,9})[xX](\d{1,9})", re.ASCII)
_PORT = re.compile(r"\d{1,5}", re.ASCII)
_HOST_NAME = re.compile(r"[0-9A-Za-z._-]+", re.ASCII)
_IPV6 = re.compile(r"[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*(%[0-9A-Za-z._-]+)?", re.ASCII)


def parse_bitrate(text: str) -> int:
    """Bits a second from `150k`, `1.5M` or `150000`; k is 1000 and M is 1000000.

    Raises ConfigError unless it is a positive whole number of bits.
    """
    match = _BITRATE.fullmatch(text)
    if match is None:
        raise ConfigError(f"{text!r} is not a bitrate; write it as 150k, 1.5M or 150000")
    bits = Decimal(match[1]) * _BITRATE_FACTOR[match[2].lower()]
    if bits < 1 or bits != bits.to_integral_value():
        raise ConfigError(f"{text!r} is not a positive whole number of bits a second")
    return int(bits)


def format_bitrate(bitrate_bps: int) -> str:
    """The shortest text that `parse_bitrate` reads back as `bitrate_bps`."""
    for suffix, factor in (("M", 1_000_000), ("k", 1_000)):
        if bitrate_bps >= factor and bitrate_bps % (factor // 100) == 0:
            return f"{Decimal(bitrate_bps) / factor:f}{suffix}"
    return str(bitrate_bps)


def parse_duration_s(text: str) -> float:
    """Seconds from `30s`, `10m`, `1.5h` or `90`.

    Raises ConfigError unless it is a second at least, and a week at most.
    """
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ConfigError(f"{text!r} is not a length of time; write it as 30s, 10m or 1h")
    seconds = float(match[1]) * {"": 1, "s": 1, "m": 60, "h": 3600}[match[2].lower()]
    if not 1 <= seconds <= MAX_DURATION_S:
        raise ConfigError(f"{text!r} is outside of 1 s to {MAX_DURATION_S // 3600} h")
    return seconds


def parse_size(text: str) -> Size:
    """A picture size from `1280x720`; odd sides are accepted, who needs even ones checks.

    Raises ConfigError when it is not WIDTHxHEIGHT with sides from 1 to MAX_PICTURE_SIDE.
    """
    match = _SIZE.fullmatch(text)
    if match is None:
        raise ConfigError(f"{text!r} is not a picture size; write it as 1280x720")
    width, height = int(match[1]), int(match[2])
    if not (1 <= width <= MAX_PICTURE_SIDE and 1 <= height <= MAX_PICTURE_SIDE):
        raise ConfigError(f"{text!r} has a side outside of 1 to {MAX_PICTURE_SIDE}")
    return Size(width=width, height=height)


@dataclass(frozen=True, slots=True, kw_only=True)
class HostPort:
    """An address to listen on or connect to; `host` is bare (no brackets around IPv6).

    Port 0 asks the system for any free port. Raises ConfigError for an impossible port or host.
    """

    host: str
    port: int

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65_535:
            raise ConfigError(f"port {self.port} is outside of 0 to 65535")
        pattern = _IPV6 if ":" in self.host else _HOST_NAME
        if pattern.fullmatch(self.host) is None:
            raise ConfigError(f"{self.host!r} is not a host name or IP address")

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @classmethod
    def parse(cls, text: str) -> HostPort:
        """From `127.0.0.1:8080`, `example.org:8080` or `[::1]:8080`.

        Raises ConfigError for anything else, in particular IPv6 without brackets.
        """
        host, separator, port = text.rpartition(":")
        if host.startswith("[") and host.endswith("]") and ":" in host:
            host = host[1:-1]
        elif ":" in host:
            separator = ""  # bare IPv6: the last group may or may not be a port
        if not separator or not host or _PORT.fullmatch(port) is None:
            raise ConfigError(
                f"{text!r} is not HOST:PORT; write it as 127.0.0.1:8080, 0.0.0.0:8080 for "
                "every interface, or [::1]:8080"
            )
        return cls(host=host, port=int(port))


def is_loopback(host: str) -> bool:
    """Whether a host name or address, written as in a URL, means this machine alone."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
