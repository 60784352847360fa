from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.config import (
    MAX_PICTURE_SIDE,
    HostPort,
    format_bitrate,
    parse_bitrate,
    parse_duration_s,
    parse_size,
)
from stream.errors import ConfigError
from stream.frame import Size


@pytest.mark.parametrize(
    ("text", "bits"),
    [
        ("150k", 150_000),
        ("150K", 150_000),
        ("1.5M", 1_500_000),
        ("1.5m", 1_500_000),
        ("0.001k", 1),
        ("30000", 30_000),
        ("64.25k", 64_250),
    ],
)
def test_a_bitrate_is_read_in_the_forms_users_write(text: str, bits: int) -> None:
    assert parse_bitrate(text) == bits


@pytest.mark.parametrize(
    "text",
    ["", "k", "-150k", "150 k", "1e5", "nan", "inf", "150kb", "0", "0k", "1.5", "0.0001k", "١٥٠k"],
)
def test_a_bitrate_that_is_not_whole_positive_bits_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="bit") as caught:
        parse_bitrate(text)
    assert repr(text) in str(caught.value)


@given(st.integers(1, 10**12))
def test_a_formatted_bitrate_reads_back_as_itself(bitrate_bps: int) -> None:
    assert parse_bitrate(format_bitrate(bitrate_bps)) == bitrate_bps


@pytest.mark.parametrize(
    ("bitrate_bps", "text"),
    [(150_000, "150k"), (1_500_000, "1.5M"), (999, "999"), (64_250, "64.25k"), (150_001, "150001")],
)
def test_a_bitrate_is_shown_the_short_way(bitrate_bps: int, text: str) -> None:
    assert format_bitrate(bitrate_bps) == text


@given(st.integers(1, MAX_PICTURE_SIDE), st.integers(1, MAX_PICTURE_SIDE))
def test_a_size_reads_back_from_its_own_text(width: int, height: int) -> None:
    size = Size(width=width, height=height)
    assert parse_size(str(size)) == size


@pytest.mark.parametrize(
    "text", ["", "1280", "x720", "1280x", "0x720", "1280x-720", "1280x720p", "16385x2", "1280×720"]
)
def test_a_size_that_no_picture_has_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"picture size|side"):
        parse_size(text)


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("127.0.0.1:8080", "127.0.0.1", 8080),
        ("0.0.0.0:0", "0.0.0.0", 0),
        ("studio-1.example.org:443", "studio-1.example.org", 443),
        ("[::1]:8080", "::1", 8080),
        ("[fe80::1%eth0]:65535", "fe80::1%eth0", 65_535),
    ],
)
def test_an_address_is_read_and_written_back(text: str, host: str, port: int) -> None:
    address = HostPort.parse(text)
    assert (address.host, address.port) == (host, port)
    assert str(address) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "8080",
        ":8080",
        "localhost",
        "localhost:",
        "localhost:http",
        "localhost:65536",
        "localhost:-1",
        "::1:8080",
        "[::1]",
        "[localhost]:80",
        "[]:80",
        "http://localhost:80",
        "local host:80",
        "localhost:٨٠",
    ],
)
def test_an_address_that_cannot_be_listened_on_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        HostPort.parse(text)


@given(st.text(max_size=40))
def test_no_text_makes_a_parser_fail_in_another_way_than_config_error(text: str) -> None:
    for parse in (parse_bitrate, parse_size, HostPort.parse):
        with contextlib.suppress(ConfigError):
            parse(text)


@pytest.mark.parametrize(
    ("text", "seconds"), [("30s", 30), ("10m", 600), ("1.5h", 5400), ("90", 90), ("1H", 3600)]
)
def test_a_length_of_time_has_a_unit(text: str, seconds: float) -> None:
    assert parse_duration_s(text) == seconds


@pytest.mark.parametrize("text", ["", "m", "-1s", "0", "0.5s", "1d", "1 h", "1e3", "169h", "1:30"])
def test_what_is_no_length_of_time_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"length of time|outside of"):
        parse_duration_s(text)
