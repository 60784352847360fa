"""Tests of `encoder.source_url`: what names of sources mean."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from encoder.source_url import SourceAddress, SourceKind, parse_source
from stream.errors import ConfigError
from stream.frame import Size


@pytest.mark.parametrize(
    ("text", "kind", "target"),
    [
        ("clip.mp4", SourceKind.FILE, "clip.mp4"),
        ("/a b/clip:1.mp4", SourceKind.FILE, "/a b/clip:1.mp4"),
        ("file:clip.mp4", SourceKind.FILE, "clip.mp4"),
        ("file:///a/clip.mp4", SourceKind.FILE, "/a/clip.mp4"),
        ("-", SourceKind.STDIN, ""),
        ("rtmp://h/live/key", SourceKind.NETWORK, "rtmp://h/live/key"),
        ("srt://h:9000?mode=caller", SourceKind.NETWORK, "srt://h:9000?mode=caller"),
        ("https://h/a.m3u8?t=1", SourceKind.NETWORK, "https://h/a.m3u8?t=1"),
        ("v4l2:/dev/video2", SourceKind.CAMERA, "/dev/video2"),
        ("v4l2:", SourceKind.CAMERA, "/dev/video0"),
        ("x11:", SourceKind.SCREEN, ""),
        ("x11::0.0", SourceKind.SCREEN, ":0.0"),
        ("test:", SourceKind.TEST, ""),
    ],
)
def test_each_form_names_its_kind_and_target(text: str, kind: SourceKind, target: str) -> None:
    address = parse_source(text)
    assert (address.kind, address.target) == (kind, target)


def test_options_of_a_screen_region_are_read() -> None:
    assert parse_source("x11::1.0?size=640x480&fps=12.5&at=10,20") == SourceAddress(
        kind=SourceKind.SCREEN,
        target=":1.0",
        size=Size(width=640, height=480),
        fps=12.5,
        at=(10, 20),
    )


def test_a_test_scene_has_a_length_a_size_and_a_rate() -> None:
    address = parse_source("test:2.5?size=320x180&fps=50")
    assert address.duration_s == 2.5
    assert address.size == Size(width=320, height=180)
    assert address.fps == 50


@pytest.mark.parametrize(
    ("text", "is_live"),
    [
        ("rtmp://h/a", True),
        ("RTSP://h/a", True),
        ("x11:", True),
        ("v4l2:", True),
        ("https://h/a.m3u8", False),
        ("clip.mp4", False),
        ("-", False),
        ("test:", False),
    ],
)
def test_only_sources_that_pace_themselves_are_live(text: str, is_live: bool) -> None:
    assert parse_source(text).is_live is is_live


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "a source is"),
        ("a\0b", "a source is"),
        ("gopher://h/a", "unknown scheme 'gopher'"),
        ("rtmp://", "names no host"),
        ("file:", "names no file"),
        ("rtsp://[half/a", "is no URL"),
        ("test:ten", "SECONDS must be a positive number"),
        ("test:-1", "SECONDS must be a positive number"),
        ("test:nan", "SECONDS must be a positive number"),
        ("test:1?size=641x360", "size must be even"),
        ("test:1?size=99998x2", "size must be even"),
        ("test:1?size=big", "size must look like"),
        ("test:1?fps=0", "fps must be a positive number"),
        ("test:1?fps=1000", "fps must be at most"),
        ("test:1?colour=red", "unknown option 'colour'"),
        ("test:1?fps=5&fps=6", "given twice"),
        ("x11:?at=1", "at must look like"),
        ("v4l2:/dev/video0?at=1,1", "unknown option 'at'"),
    ],
)
def test_a_bad_name_is_refused_with_the_reason(text: str, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint) as caught:
        parse_source(text)
    assert "\n" not in str(caught.value)


@given(st.one_of(st.text(), st.from_regex(r"(test|x11|v4l2|file|srt):.{0,30}", fullmatch=True)))
def test_any_text_is_either_a_source_or_a_config_error(text: str) -> None:
    try:
        parse_source(text)
    except ConfigError:
        return
