"""Field types of config dataclasses that `stream.command_line` turns into flags.

`bitrate_bps: BitrateOrAuto` is an `int | None` to the program and `150k` or `auto` to the user.
`stream.config` has the rules for each; here is only how cyclopts applies and shows them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, TypeVar

from cyclopts import Parameter, Token

from stream.config import HostPort, format_bitrate, parse_bitrate, parse_duration_s, parse_size
from stream.errors import ConfigError
from stream.frame import Size

AUTO = "auto"
"""What a user writes to let the program choose; None in a config."""

_Value = TypeVar("_Value")


def one_value(
    parse: Callable[[str], object], *, metavar: str, show: Callable[[object], str] | bool = True
) -> Parameter:
    """How cyclopts reads a type from one value of a flag.

    parse: text in, value out, ConfigError for the user; the flag is put in front of its message.
    metavar: what stands for the value in the help. show: the default's text there, or whether.
    """

    def convert(_: object, tokens: Sequence[Token]) -> object:
        token = tokens[0]
        try:
            return parse(token.value)
        except ConfigError as error:
            flag = f"{token.keyword}: " if token.keyword else ""
            raise ConfigError(f"{flag}{error}") from None

    return Parameter(
        converter=convert,
        n_tokens=1,
        accepts_keys=False,  # a Size is one value, not --size.width and --size.height
        metavar=metavar,
        show_default=show,
    )


def or_auto(parse: Callable[[str], _Value]) -> Callable[[str], _Value | None]:
    """`parse` that also knows the word `auto`, which becomes None."""
    return lambda text: None if text == AUTO else parse(text)


def _stream_name(text: str) -> str:
    if not text:
        raise ConfigError("a file name or URL is empty")
    if text.startswith("-") and text != "-":  # cyclopts hands over misspelt flags too
        raise ConfigError(f"there is no flag {text}")
    return text


def _show_bitrate(value: object) -> str:
    return format_bitrate(value) if isinstance(value, int) else AUTO


def _show_or_auto(value: object) -> str:
    return AUTO if value is None else str(value)


BitrateOrAuto = Annotated[
    int | None, one_value(or_auto(parse_bitrate), metavar="RATE|auto", show=_show_bitrate)
]
"""Bits a second, written `150k`; or None for `auto`."""

PictureSize = Annotated[Size, one_value(parse_size, metavar="WxH", show=str)]
"""A `Size`, written `1280x720`."""

PictureSizeOrAuto = Annotated[
    Size | None, one_value(or_auto(parse_size), metavar="WxH|auto", show=_show_or_auto)
]
"""A `Size`, or None for `auto`."""

AddressOrNone = Annotated[
    HostPort | None, one_value(HostPort.parse, metavar="HOST:PORT", show=False)
]
"""A `HostPort`, written `127.0.0.1:8080`; None, and nothing in the help, when not given."""

DurationOrNone = Annotated[float | None, one_value(parse_duration_s, metavar="TIME", show=False)]
"""Seconds, written `30s`, `10m` or `1h`; None, and nothing in the help, when not given."""

StreamName = Annotated[
    str,
    one_value(_stream_name, metavar="TARGET"),
    Parameter(allow_leading_hyphen=True),
]
"""A file, a URL, or `-` for a standard stream; the one type that takes `-` as a value."""

StreamNames = Annotated[
    tuple[str, ...],
    Parameter(consume_multiple=(1, None), negative=(), metavar="TARGET", show_default=False),
]
"""One flag with several values, several flags with one value each, or both."""

BearerToken = Annotated[
    str | None, Parameter(env_var="EDVR_TOKEN", metavar="TOKEN", show_default=False)
]
"""A secret; also from the environment, so that it need not show up in the list of processes."""
