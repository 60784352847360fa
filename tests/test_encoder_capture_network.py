"""Tests of `encoder.capture` on URLs: servers on loopback, run by Python and by FFmpeg."""

from __future__ import annotations

import functools
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path

import av
import pytest

from encoder.capture import Source, SourceConfig, open_source
from stream.errors import ConfigError
from tests.capture_media import capture, grey_frame, moving_pictures, read_all, write_video

imageio_ffmpeg = pytest.importorskip("imageio_ffmpeg")


class _QuietFiles(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        """Say nothing."""


@contextmanager
def _server(handler: object) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)  # type: ignore[arg-type] # a partial is fine
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


@pytest.fixture
def file_server(tmp_path: Path) -> Iterator[str]:
    with _server(functools.partial(_QuietFiles, directory=str(tmp_path))) as url:
        yield url


def test_a_file_is_read_over_http(tmp_path: Path, file_server: str) -> None:
    write_video(tmp_path / "clip.mp4", moving_pictures(30))
    frames, _ = capture(f"{file_server}/clip.mp4")
    assert [frame.pts for frame in frames] == [3_600 * n for n in range(30)]


def test_an_hls_playlist_is_read_across_its_segments(tmp_path: Path, file_server: str) -> None:
    with av.open(
        str(tmp_path / "live.m3u8"),
        "w",
        format="hls",
        options={"hls_time": "1", "hls_list_size": "0"},
    ) as output:
        stream = output.add_stream("libx264", rate=25, options={"g": "25", "bf": "0"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for picture in moving_pictures(75):
            output.mux(stream.encode(grey_frame(picture)))
        output.mux(stream.encode(None))
    assert len(list(tmp_path.glob("*.ts"))) == 3
    source = open_source(SourceConfig(url=f"{file_server}/live.m3u8"))
    assert not source.info.is_live
    frames, _ = read_all(source)
    assert [frame.pts for frame in frames] == [3_600 * n for n in range(75)]


@pytest.mark.parametrize("path", ["missing.mp4", "missing.m3u8"])
def test_a_missing_url_is_refused_with_what_the_server_said(file_server: str, path: str) -> None:
    with pytest.raises(ConfigError, match="404") as caught:
        open_source(SourceConfig(url=f"{file_server}/{path}"))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("scheme", ["http", "rtmp", "rtsp", "tcp"])
def test_a_server_that_is_not_there_is_named(scheme: str) -> None:
    url = f"{scheme}://127.0.0.1:{_free_port()}/live/stream"
    with pytest.raises(ConfigError, match="Connection refused") as caught:
        open_source(SourceConfig(url=url))
    assert url in str(caught.value)


def test_an_srt_caller_gives_up_and_tells_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("encoder.av_input.OPEN_TIMEOUT_S", 0.5)
    address = f"srt://127.0.0.1:{_free_port(socket.SOCK_DGRAM)}"
    with pytest.raises(ConfigError, match=f"cannot open {address}: ") as caught:
        open_source(SourceConfig(url=f"{address}?passphrase=open-sesame"))
    assert "sesame" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_closing_lets_a_reader_go_that_waits_for_a_silent_server(tmp_path: Path) -> None:
    path = write_video(tmp_path / "whole.ts", moving_pictures(100), options={"bf": "0"})
    released = threading.Event()

    class StallingHandler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(path.read_bytes())
            released.wait(30)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
            """Say nothing."""

    with _server(StallingHandler) as url:
        source = open_source(SourceConfig(url=f"{url}/live.ts"))
        ended = threading.Event()
        first = threading.Event()

        def read() -> None:
            while source.read() is not None:
                first.set()
            ended.set()

        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        assert first.wait(10)
        began_s = time.monotonic()
        source.close()
        assert ended.wait(2)
        assert time.monotonic() - began_s < 2
        released.set()
        reader.join(5)


def _free_port(kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def _ffmpeg(*arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """FFmpeg's own program, sending a test picture and a tone in real time."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-loglevel", "error", "-re"]
    command += ["-f", "lavfi", "-i", "testsrc=size=128x96:rate=25"]
    command += ["-f", "lavfi", "-i", "sine=frequency=440:sample_rate=44100"]
    command += ["-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-g", "12"]
    command += ["-pix_fmt", "yuv420p", "-c:a", "aac", "-t", "20", *arguments]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait(10)


def _open_when_up(url: str, process: subprocess.Popen[bytes]) -> Source:
    """Open a server that needs a moment to start."""
    deadline_s = time.monotonic() + 15
    while True:
        try:
            return open_source(SourceConfig(url=url))
        except ConfigError:
            if time.monotonic() > deadline_s or process.poll() is not None:
                raise
            time.sleep(0.1)


@pytest.mark.parametrize("scheme", ["srt", "rtmp"])
def test_a_live_stream_of_ffmpeg_is_read_with_sound(scheme: str) -> None:
    if scheme == "srt":
        url = f"srt://127.0.0.1:{_free_port(socket.SOCK_DGRAM)}"
        output = ["-f", "mpegts", f"{url}?mode=listener"]
    else:
        url = f"rtmp://127.0.0.1:{_free_port()}/live/stream"
        output = ["-f", "flv", "-listen", "1", url]
    with _ffmpeg(*output) as process:
        source = _open_when_up(url, process)
        assert source.info.is_live
        assert source.info.has_audio
        assert str(source.info.size) == "128x96"
        frames, chunks = read_all(source, limit=75)
    assert len(frames) >= 15
    assert len(chunks) >= 15
    steps = {later.pts - earlier.pts for earlier, later in pairwise(frames)}
    assert all(abs(step - 3_600) <= 200 for step in steps)
    assert 0 <= min(frames[0].pts, chunks[0].pts) <= 45_000


def test_a_live_stream_that_dies_ends() -> None:
    url = f"rtmp://127.0.0.1:{_free_port()}/live/stream"
    with _ffmpeg("-f", "flv", "-listen", "1", url) as process:
        source = _open_when_up(url, process)
        assert source.read() is not None
        process.kill()
        while source.read() is not None:  # the test's own time limit says if this does not end
            pass
    source.close()
