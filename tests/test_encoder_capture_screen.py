"""Tests of `encoder.capture` on a screen: an X server of our own, where there is one."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from itertools import pairwise

import pytest

from encoder.capture import SourceConfig, open_source
from stream.errors import ConfigError
from tests.capture_media import read_all


@pytest.fixture
def display() -> Iterator[str]:
    program = shutil.which("Xvfb")
    if program is None:
        reason = "Xvfb is not installed"
        if os.environ.get("CI"):
            pytest.fail(f"{reason}, and continuous integration must not skip this")
        pytest.skip(reason)
    read_end, write_end = os.pipe()
    process = subprocess.Popen(
        [program, "-displayfd", str(write_end), "-screen", "0", "320x240x24", "-nolisten", "tcp"],
        pass_fds=(write_end,),
        stderr=subprocess.DEVNULL,
    )
    os.close(write_end)
    try:
        with os.fdopen(read_end) as numbers:
            yield f":{numbers.readline().strip()}"
    finally:
        process.terminate()
        process.wait(10)


def test_a_whole_screen_is_captured_live(display: str) -> None:
    source = open_source(SourceConfig(url=f"x11:{display}?fps=25"))
    frames, chunks = read_all(source, limit=5)
    assert source.info.is_live
    assert str(source.info.size) == "320x240"
    assert len(frames) == 5
    assert chunks == []
    assert all(later.pts > earlier.pts for earlier, later in pairwise(frames))
    assert frames[0].pts < 9_000


def test_a_region_is_captured_at_its_place(display: str) -> None:
    source = open_source(SourceConfig(url=f"x11:{display}?size=64x48&at=100,50"))
    frames, _ = read_all(source, limit=2)
    assert str(frames[0].size) == "64x48"


def test_a_region_outside_the_screen_is_refused(display: str) -> None:
    with pytest.raises(ConfigError, match="cannot open screen"):
        open_source(SourceConfig(url=f"x11:{display}?size=640x480"))


def test_without_any_screen_the_message_says_how_to_name_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    with pytest.raises(ConfigError, match="set DISPLAY"):
        open_source(SourceConfig(url="x11:"))
