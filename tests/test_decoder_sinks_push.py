from __future__ import annotations

import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count, pairwise
from pathlib import Path

import pytest

from decoder.sink import PushTarget, open_sink, public_name
from decoder.sink_thread import SinkState, SinkThread, start_sink
from decoder.sinks import push
from stream.backoff import Backoff, BackoffConfig
from stream.errors import PeerError
from tests.sink_media import (
    CHUNK,
    FFMPEG,
    SIZE,
    STEP,
    frame_times_by_ffmpeg,
    picture,
    read_with_pyav,
    sound,
    write_both,
)

PATIENCE_S = 20
PROTOCOLS = ("rtmp", "srt")


def free_port(protocol: str) -> int:
    kind = socket.SOCK_STREAM if protocol == "rtmp" else socket.SOCK_DGRAM
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def listener(protocol: str, port: int, path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """An ffmpeg that waits for a push and records it without re-encoding."""
    command = [FFMPEG, "-v", "error", "-y", "-analyzeduration", "500k"]
    if protocol == "rtmp":
        command += ["-listen", "1", "-i", f"rtmp://127.0.0.1:{port}/live/key"]
    else:
        command += ["-i", f"srt://127.0.0.1:{port}?mode=listener"]
    command += ["-c", "copy", "-copyts", "-flush_packets", "1", str(path)]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            wait_for_socket(protocol, port, process)
            yield process
        finally:
            process.kill()


def wait_for_socket(protocol: str, port: int, process: subprocess.Popen[bytes]) -> None:
    """Until the port is bound; connecting to find out would use up its one connection."""
    table = Path("/proc/net/tcp" if protocol == "rtmp" else "/proc/net/udp")
    deadline_s = time.monotonic() + PATIENCE_S
    while f":{port:04X} " not in table.read_text():
        assert process.poll() is None, "the listener ended"
        assert time.monotonic() < deadline_s, "the listener never listened"
        time.sleep(0.02)


def url(protocol: str, port: int) -> str:
    path = "/live/key" if protocol == "rtmp" else "?streamid=key&connect_timeout=1000"
    return f"{protocol}://127.0.0.1:{port}{path}"


@pytest.mark.real_peer
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_server_receives_every_frame_with_its_sound(tmp_path: Path, protocol: str) -> None:
    port, path = free_port(protocol), tmp_path / "received.mkv"
    with listener(protocol, port, path) as server:
        sink = open_sink(url(protocol, port), size=SIZE, frame_rate=25, with_audio=True)
        write_both(sink, frames=100, first_s=9)
        sink.close()
        server.wait(PATIENCE_S)
    assert sink.bytes_written > 0
    times = frame_times_by_ffmpeg(path)
    assert len(times) == 100
    assert times[-1] - times[0] == pytest.approx(99 / 25, abs=0.002)
    read = read_with_pyav(path)
    assert read.keyframe_times[0] == read.frame_times[0]
    assert read.audio_start is not None
    assert abs(float(read.audio_start - read.frame_times[0])) <= 0.040


@pytest.mark.real_peer
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_server_that_restarts_is_reached_again_with_a_keyframe(
    tmp_path: Path, protocol: str
) -> None:
    port = free_port(protocol)
    target = PushTarget(url=url(protocol, port), protocol="rtmp" if protocol == "rtmp" else "srt")
    thread = SinkThread(
        lambda: open_sink(target.url, size=SIZE, frame_rate=25, with_audio=True),
        name=public_name(target),
        reconnects=True,
        backoff=Backoff(BackoffConfig(first_s=0.1, longest_s=0.2)),
    )
    index = count()

    def live_until(path: Path) -> None:
        """Feed at 25 fps until the server has written something."""
        deadline_s = time.monotonic() + PATIENCE_S
        while not path.exists() or path.stat().st_size < 30_000:
            assert time.monotonic() < deadline_s, thread.counters()
            number = next(index)
            thread.put(sound(number * 2 * CHUNK, amplitude=6000, samples=2 * CHUNK))
            thread.put(picture(number * STEP))
            time.sleep(0.04)

    first, second = tmp_path / "first.mkv", tmp_path / "second.mkv"
    with listener(protocol, port, first):
        live_until(first)
    # The first server is killed here; the second starts on the same port.
    with listener(protocol, port, second) as server:
        live_until(second)
        assert thread.close(PATIENCE_S)
        server.wait(PATIENCE_S)
    assert thread.counters().reason is not None
    for path in (first, second):
        read = read_with_pyav(path)
        assert read.frame_times[0] == read.keyframe_times[0]
        assert read.audio_start is not None
    assert "key" not in thread.counters().name


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_refused_push_is_a_peer_error_that_keeps_the_stream_key_secret(protocol: str) -> None:
    port = free_port(protocol)
    sink = open_sink(url(protocol, port), size=SIZE, frame_rate=25, with_audio=False)
    assert sink.name == f"{protocol}://127.0.0.1:{port}"
    with pytest.raises(PeerError) as refused:
        write_both(sink, frames=100_000)
    message = str(refused.value)
    assert message.startswith(f"{sink.name} stopped: ")
    assert "\n" not in message
    assert "key" not in message
    sink.close()


def test_a_server_that_never_answers_neither_freezes_the_process_nor_blocks_the_producer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(push, "_SOCKET_TIMEOUT_US", 1_500_000)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        beats_s: list[float] = []
        done = threading.Event()

        def beat() -> None:
            while not done.wait(0.01):
                beats_s.append(time.monotonic())

        heart = threading.Thread(target=beat)
        heart.start()
        thread = start_sink(url("rtmp", port), size=SIZE, frame_rate=25, with_audio=False)
        index = 0
        deadline_s = time.monotonic() + PATIENCE_S
        while thread.counters().state is not SinkState.RECONNECTING:
            assert time.monotonic() < deadline_s, thread.counters()
            thread.put(picture(index * STEP))
            index += 1
            time.sleep(0.01)
        assert thread.close(PATIENCE_S)
        done.set()
        heart.join()
    pauses_s = [after - before for before, after in pairwise(beats_s)]
    assert max(pauses_s) < 0.75
    assert thread.counters().frames_dropped > 0
