"""Either end goes away and comes back; the other goes on by itself: real processes and network."""

import signal
import socket
import time
from itertools import pairwise
from pathlib import Path

import av

from tests.live_processes import PATIENCE_S, Receiver, Sender
from tests.sink_media import read_with_pyav

LIVE = "test:?size=320x180"
SMALL = ("--size", "320x180", "--model", "lanczos")


def test_a_killed_sender_comes_back_with_another_size_and_the_same_file_goes_on(
    tmp_path: Path,
) -> None:
    output = tmp_path / "out.mp4"
    with Receiver(tmp_path, *SMALL, "--output", str(output)) as receiver:
        with Sender(tmp_path, LIVE, receiver.url, "--size", "160x90") as sender:
            receiver.wait_for_frames(20)
            sender.end(signal.SIGKILL)
        before = receiver.stats()[-1]["frames_restored"]
        with Sender(tmp_path, LIVE, receiver.url, "--size", "240x136") as sender:
            receiver.wait_for("receiving 240x136")
            receiver.wait_for_frames(before + 40)
            assert sender.end(signal.SIGTERM) == 0
        assert receiver.end(signal.SIGTERM) == 0
        assert "receiving 160x90" in receiver.log
        assert receiver.log.count("no longer receiving:") == 2
    last = receiver.stats()[-1]
    assert last["frames_in"] == last["frames_restored"] + last["frames_dropped"]
    recording = read_with_pyav(output)  # raises if a frame does not fit the track
    assert len(recording.frame_times) == last["frames_restored"]
    steps = [later - earlier for earlier, later in pairwise(recording.frame_times)]
    assert min(steps) > 0
    # While nobody published, time went on: a process takes far more than half a second to start.
    assert sum(step > 0.5 for step in steps) == 1
    with av.open(str(output)) as container:
        sizes = {(frame.width, frame.height) for frame in container.decode(video=0)}
    assert sizes == {(320, 180)}


def test_a_sender_finds_its_receiver_late_and_again_after_it_was_killed(tmp_path: Path) -> None:
    listen = f"127.0.0.1:{_free_port()}"
    first, second = tmp_path / "first.mp4", tmp_path / "second.mp4"
    with Sender(tmp_path, LIVE, f"http://{listen}/whip", "--size", "160x90") as sender:
        sender.wait_for("trying again in")
        with Receiver(tmp_path, *SMALL, "--output", str(first), listen=listen) as receiver:
            sender.wait_for("publishing to")
            receiver.wait_for_frames(60)
            receiver.end(signal.SIGKILL)
        receiver.stats_path.unlink()
        with Receiver(tmp_path, *SMALL, "--output", str(second), listen=listen) as receiver:
            sender.wait_for("nothing was heard from the other end; trying again")
            sender.wait_for("publishing to", count=2)
            receiver.wait_for_frames(10)
            assert sender.end(signal.SIGINT) == 0
            receiver.wait_for("no longer receiving: the publisher left")
            assert receiver.end() == 0
    # What the killed receiver wrote can be played, up to the last second or so.
    assert len(read_with_pyav(first).frame_times) >= 25
    assert len(read_with_pyav(second).frame_times) >= 10


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_sender_that_waits_for_a_silent_source_can_be_stopped_at_once(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(PATIENCE_S)
        source = f"rtmp://127.0.0.1:{silent.getsockname()[1]}/app/stream"
        with Sender(tmp_path, source, "http://127.0.0.1:9/whip") as sender:
            connection, _ = silent.accept()
            with connection:
                asked_s = time.monotonic()
                assert sender.end(signal.SIGINT) == 0
                assert time.monotonic() - asked_s < 10  # by itself it would wait for 20 s
                assert "Traceback" not in sender.log
