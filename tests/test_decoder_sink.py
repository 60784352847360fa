from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from decoder.sink import (
    CameraTarget,
    FileTarget,
    HlsTarget,
    LiveHlsTarget,
    NullTarget,
    PushTarget,
    RawTarget,
    Target,
    WhipTarget,
    check_target,
    numbered,
    open_sink,
    parse_target,
    public_name,
)
from stream import srt_gateway
from stream.errors import CodecError, ConfigError, SinkError
from stream.frame import Size
from tests.sink_media import SIZE, picture, sound


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("x.mp4", FileTarget(path=Path("x.mp4"), container="mp4")),
        ("/a b/x.MKV", FileTarget(path=Path("/a b/x.MKV"), container="mkv")),
        ("10:30.mp4", FileTarget(path=Path("10:30.mp4"), container="mp4")),
        ("x.y4m", RawTarget(path=Path("x.y4m"))),
        ("y4m:-", RawTarget(path=None)),
        ("y4m:/tmp/fifo", RawTarget(path=Path("/tmp/fifo"))),
        ("hls:/srv/www", HlsTarget(directory=Path("/srv/www"))),
        ("null:", NullTarget()),
        ("raw:-", RawTarget(path=None, has_headers=False)),
        ("raw:x.yuv", RawTarget(path=Path("x.yuv"), has_headers=False)),
        ("llhls:live", LiveHlsTarget(stream="live")),
        ("llhls:{stream}", LiveHlsTarget(stream="{stream}")),
        ("camera:", CameraTarget()),
        ("camera:/dev/video9", CameraTarget(device="/dev/video9")),
        ("whip+http://h:80/whip/a", WhipTarget(url="http://h:80/whip/a")),
        ("whip+https://h/whip", WhipTarget(url="https://h/whip")),
        ("rtmp://h/live/k", PushTarget(url="rtmp://h/live/k", protocol="rtmp")),
        ("rtmps://h:443/live/k", PushTarget(url="rtmps://h:443/live/k", protocol="rtmp")),
        ("srt://h:9000?latency=200", PushTarget(url="srt://h:9000?latency=200", protocol="srt")),
    ],
)
def test_every_kind_of_target_is_read(text: str, target: Target) -> None:
    assert parse_target(text) == target


@pytest.mark.parametrize(
    "text",
    ["", "x.avi", "x", "y4m:", "hls:", "null:x", "null", "rtmp://", "rtmp:x", "srt://:9000",
     "srt://h:port", "http://h/x.mp4", "ftp://h/x.mkv", "rtmp://[h/live", "\0.mp4",
     "llhls:", "llhls:a/b", "camera", "raw:", "whip+http://", "whip+ftp://h/whip", "whip://h"],
)  # fmt: skip
def test_an_unknown_target_is_refused_with_one_line_that_lists_the_kinds(text: str) -> None:
    with pytest.raises(ConfigError) as refused:
        parse_target(text)
    message = str(refused.value)
    assert "\n" not in message
    for kind in (
        ".mp4",
        ".mkv",
        "rtmp://",
        "srt://",
        "hls:",
        "y4m:",
        "null:",
        "whip+https://",
        "llhls:",
    ):
        assert kind in message


@given(
    st.text(max_size=40)
    | st.from_regex(r"(rtmp|srt|hls|llhls|y4m|raw|camera|whip\+http|null):/{0,2}.{0,20}")
)
def test_any_text_is_a_target_or_a_config_error(text: str) -> None:
    try:
        target = parse_target(text)
    except ConfigError:
        return
    assert isinstance(target, Target)


@pytest.mark.parametrize("form", ["{}/no/x.mp4", "{}/no/x.mkv", "y4m:{}/no/x", "hls:{}/no/hls"])
def test_a_missing_directory_is_found_out_at_once(tmp_path: Path, form: str) -> None:
    with pytest.raises(ConfigError, match=r"no is not a directory"):
        check_target(parse_target(form.format(tmp_path)))


@pytest.mark.parametrize("form", ["{}/x.mp4", "y4m:{}/x", "hls:{}", "hls:{}/sub"])
def test_a_read_only_directory_is_found_out_at_once(
    tmp_path: Path, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The superuser may write anywhere, so the answer of the kernel is put in its mouth.
    monkeypatch.setattr(os, "access", lambda path, mode: not mode & os.W_OK)
    with pytest.raises(ConfigError, match="permission denied"):
        check_target(parse_target(form.format(tmp_path)))


def test_a_directory_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "x.mp4").mkdir()
    with pytest.raises(ConfigError, match="is a directory"):
        open_sink(f"{tmp_path}/x.mp4", size=SIZE, frame_rate=25, with_audio=False)


@pytest.mark.parametrize("form", ["{}/x.mp4", "{}/x.mkv", "hls:{}", "y4m:{}/x", "null:"])
def test_a_frame_of_another_size_is_refused(tmp_path: Path, form: str) -> None:
    sink = open_sink(form.format(tmp_path), size=SIZE, frame_rate=25, with_audio=False)
    assert sink.write_video(picture(0))
    with pytest.raises(CodecError, match=r"160x96.*64x48"):
        sink.write_video(picture(3600, size=Size(width=64, height=48)))
    sink.close()


@pytest.mark.parametrize("form", ["{}/x.mp4", "{}/x.mkv", "hls:{}", "y4m:{}/x", "null:"])
def test_a_sink_may_be_closed_twice_and_without_a_frame(tmp_path: Path, form: str) -> None:
    sink = open_sink(form.format(tmp_path), size=SIZE, frame_rate=25, with_audio=True)
    sink.write_audio(sound(0))
    sink.close()
    sink.close()
    assert sink.bytes_written == 0


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("rtmp://user:word@host:1935/live/secret", "rtmp://host:1935"),
        ("srt://host:9000?passphrase=secret&streamid=s", "srt://host:9000"),
        ("hls:/srv/www", "hls:/srv/www"),
        ("y4m:-", "y4m:-"),
        ("raw:x", "raw:x"),
        ("llhls:live", "llhls:live"),
        ("camera:", "camera:"),
        ("whip+https://user:word@h:8443/whip/secret?k=s", "whip+https://h:8443"),
        ("a/x.mp4", "a/x.mp4"),
        ("null:", "null:"),
    ],
)
def test_the_public_name_holds_no_secret(text: str, name: str) -> None:
    assert public_name(parse_target(text)) == name


@pytest.mark.parametrize(
    ("text", "third"),
    [
        ("a/x.mp4", "a/x-3.mp4"),
        ("x.y4m", "y4m:x-3.y4m"),
        ("raw:x", "raw:x-3"),
        ("y4m:-", "y4m:-"),
        ("hls:web", "hls:web"),
        ("rtmp://h/live/k", "rtmp://h/live/k"),
    ],
)
def test_a_file_is_not_written_over_by_the_next_life_of_its_stream(text: str, third: str) -> None:
    assert numbered(text, life=1) == text
    assert numbered(text, life=3) == third


def test_a_camera_shows_pictures_where_there_is_one() -> None:
    devices = list(Path("/sys/devices/virtual/video4linux").glob("video*"))
    if not devices:
        with pytest.raises(SinkError, match="camera: cannot be opened"):
            open_sink("camera:", size=SIZE, frame_rate=25, with_audio=False)
        pytest.skip("there is no v4l2loopback device")
    sink = open_sink("camera:", size=SIZE, frame_rate=25, with_audio=False)
    assert sink.write_video(picture(0))
    sink.close()
    assert sink.bytes_written == SIZE.width * SIZE.height * 3 // 2


def test_a_camera_without_its_library_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"edvr-live\[camera\]"):
        check_target(parse_target("camera:"))


def test_srt_without_a_gateway_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(srt_gateway, "_speaks_srt", lambda path: False)
    srt_gateway.find_gateway.cache_clear()
    with pytest.raises(ConfigError, match="pip install imageio-ffmpeg"):
        check_target(parse_target("srt://127.0.0.1:9000"))
