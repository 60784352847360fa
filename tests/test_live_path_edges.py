"""What live streams do that files do not. Real processes, real network."""

import resource
import signal
from pathlib import Path

from stream.frame import Size
from tests.live_processes import Receiver, Sender, wait_until
from tests.marked_pictures import numbers_in, write_marked
from tests.sink_media import frame_times_by_ffmpeg, read_with_pyav

SMALL = ("--size", "320x180", "--model", "lanczos")
LR = Size(width=160, height=90)


def test_a_picture_that_changes_size_in_the_stream_keeps_its_output_size(tmp_path: Path) -> None:
    wide = write_marked(tmp_path / "wide.h264", sizes=[LR] * 30)
    narrow = write_marked(tmp_path / "narrow.h264", sizes=[Size(width=120, height=90)] * 30)
    source, output = tmp_path / "source.h264", tmp_path / "out.mp4"
    source.write_bytes(wide.read_bytes() + narrow.read_bytes())
    with Receiver(tmp_path, *SMALL, "--output", str(output)) as receiver:
        with Sender(tmp_path, str(source), receiver.url, "--bitrate", "300k") as sender:
            assert sender.end(None) == 0
        assert receiver.end() == 0
        changed = "the picture changed from 160x90 to 120x90, the output stays 320x180"
        assert changed in receiver.log
    numbers = numbers_in(output)
    parts = numbers[: numbers.index(29) + 1], numbers[numbers.index(29) + 1 :]
    for part in parts:  # on a busy machine the sender may drop some
        assert part == sorted(set(part))
        assert len(part) > 20
        assert part[-1] == 29


def test_a_stream_of_a_single_frame_gives_that_frame(tmp_path: Path) -> None:
    source = write_marked(tmp_path / "one.mp4", sizes=[LR])
    output = tmp_path / "out.mp4"
    with Receiver(tmp_path, *SMALL, "--output", str(output)) as receiver:
        with Sender(tmp_path, str(source), receiver.url, "--bitrate", "300k") as sender:
            receiver.wait_for_frames(1)  # shown at once, not only when the session ends
            assert sender.end(None) == 0
        assert receiver.end() == 0
        assert "frames in 1, restored 1, dropped 0" in receiver.log
    assert numbers_in(output) == [0]


def test_a_full_disk_ends_one_output_and_leaves_its_file_playable(tmp_path: Path) -> None:
    output = tmp_path / "out.mp4"
    arguments = (*SMALL, "--output", str(output), "null:")
    with (
        Receiver(tmp_path, *arguments, preexec=_small_files) as receiver,
        Sender(tmp_path, "test:?size=320x180", receiver.url, "--bitrate", "300k") as sender,
    ):
        receiver.wait_for(f"{output} stopped: File too large")
        written = _frames_of(receiver, "null:")
        wait_until(lambda: _frames_of(receiver, "null:") >= written + 25, "null: going on")
        assert sender.end() == 0
        assert receiver.end() == 0
    # The picture in the middle of which the disk was full is the only one that is lost.
    assert len(frame_times_by_ffmpeg(output, strict=False)) > 10


def test_a_receiver_ends_when_its_only_output_is_full(tmp_path: Path) -> None:
    output = tmp_path / "out.mp4"
    with (
        Receiver(tmp_path, *SMALL, "--output", str(output), preexec=_small_files) as receiver,
        Sender(tmp_path, "test:?size=320x180", receiver.url, "--bitrate", "300k"),
    ):
        assert receiver.end(None) == 2
        last_line = receiver.log.splitlines()[-1]
        assert last_line == f"edvr-receive: no output is left: {output} stopped: File too large"


def test_a_stopped_receiver_finishes_its_files_in_the_middle_of_a_stream(tmp_path: Path) -> None:
    outputs = [tmp_path / "out.mkv", tmp_path / "out.mp4"]
    with (
        Receiver(tmp_path, *SMALL, "--output", *map(str, outputs)) as receiver,
        Sender(tmp_path, "test:?size=320x180", receiver.url, "--size", "160x90") as sender,
    ):
        receiver.wait_for_frames(30)
        assert receiver.end(signal.SIGTERM) == 0
        sender.wait_for("the other end closed the session; trying again")
        last = receiver.stats()[-1]
    assert last["frames_in"] == last["frames_restored"] + last["frames_dropped"]
    for output, counted in zip(outputs, last["outputs"], strict=True):
        assert counted["state"] == "closed"
        assert len(read_with_pyav(output).frame_times) == counted["frames_written"]
        assert counted["frames_written"] == last["frames_restored"]


def _small_files() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))


def _frames_of(receiver: Receiver, output: str) -> int:
    outputs = receiver.stats()[-1]["outputs"]
    return sum(each["frames_written"] for each in outputs if each["name"] == output)
