"""A receiver's network learns what is sent while it runs: all programs as users start them."""

from __future__ import annotations

import contextlib
import re
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from decoder.training.raw_clip import RawClip
from stream.frame import Frame
from tests.live_processes import Program, Receiver, wait_until

WIDTH, HEIGHT, FPS = 384, 224, 8
LOOKAHEAD = 1
LEARNED_S = 240.0
"""For each part; on an idle machine all of it is over in a twentieth."""


def fine_detail(index: int) -> Frame:
    """A fine weave, which a quarter of the size cannot show, and a shape that moves over it."""
    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH]
    luma = 120 + 60 * ((columns // 2 + rows // 2) % 2) + 20 * (rows % 16 < 8)
    left = 8 * index % WIDTH
    luma[60:120, left : left + 60] = 40
    half = (HEIGHT // 2, WIDTH // 2)
    return Frame(
        y=luma.astype(np.uint8),
        u=np.full(half, 120, np.uint8),
        v=np.full(half, 136, np.uint8),
        pts=index,
    )


def names_what_restores(record: dict[str, Any]) -> bool:  # Any: whatever JSON holds
    """On a machine that is too busy for any network, neither a model nor weights are named."""
    weights = str(record["weights"])
    return (
        record["model"] == "lanczos"
        or re.fullmatch(r"the sender's weights \d+", weights) is not None
    )


def children_of(pid: int) -> list[int]:
    """Process numbers."""
    found = []
    for status in Path("/proc").glob("[0-9]*/status"):
        with contextlib.suppress(OSError):  # it has ended
            if f"\nPPid:\t{pid}\n" in status.read_text():
                found.append(int(status.parent.name))
    return found


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that ended and was not waited for does not."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="looks processes up in /proc")
@pytest.mark.timeout(720)
def test_a_receiver_goes_over_to_what_was_learned_of_its_stream(tmp_path: Path) -> None:
    clip = tmp_path / "weave.y4m"
    RawClip.write(clip, (fine_detail(index) for index in range(40)), Fraction(FPS))
    arguments = ["--size", f"{WIDTH}x{HEIGHT}", "--model", "live-xs-x4", "--threads", "1"]
    with Receiver(
        tmp_path, "--output", "null:", *arguments, "--backend", "onnxruntime"
    ) as receiver:
        command = [str(clip), "--whip", receiver.url, "--loop", "--codec", "h264", "--no-audio"]
        command += ["--size", f"{WIDTH // 4}x{HEIGHT // 4}", "--bitrate", "300k"]
        command += ["--adapt", "cpu", "--adapt-budget", "75k"]
        with Program("tests.learning_sender", command, tmp_path / "sender.log") as sender:
            sender.wait_for("learning this stream for the receiver's model", timeout_s=LEARNED_S)
            sender.wait_for(" kB of weights: ", timeout_s=LEARNED_S)
            receiver.wait_for("restoring with the sender's weights ", timeout_s=LEARNED_S)
            wait_until(lambda: names_what_restores(receiver.stats()[-1]), "it in the statistics")
            last = receiver.stats()[-1]
            assert last["weight_bytes"] > 200
            # The swap costs no frame; one that a busy machine leaves out is counted as dropped.
            missing = last["frames_in"] - last["frames_restored"] - last["frames_dropped"]
            assert 0 <= missing <= LOOKAHEAD
            assert (last["frames_failed"], last["frames_unusable"]) == (0, 0)
            told = re.findall(r"sending ([\d.]+) kB of weights: ([+-][\d.]+) dB", sender.log)
            assert told
            assert float(told[0][1]) > 0
            assert re.search(r"learned [1-9]\d* deltas", sender.log)
            trainers = children_of(sender.process.pid)
            assert trainers
            sender.process.kill()  # it cannot say goodbye to the process that trains
            sender.process.wait()
            wait_until(lambda: not any(map(is_alive, trainers)), "its trainer's end")
        assert receiver.end() == 0
        assert "weights are refused" not in receiver.log
