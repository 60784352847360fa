"""A WHIP client that nobody here wrote publishes; a reader that nobody here wrote checks."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from stream.frame import Plane, Size
from tests.live_processes import Receiver, wait_until
from tests.marked_pictures import marked, number_in, write_marked
from tests.sink_media import FFMPEG

LR = Size(width=320, height=180)
COUNT = 70
EVENTS_S = (0.8, 2.0)
LIPS_S = 0.040
LOUD = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class _Heard:
    """What the ffmpeg binary decodes: pictures scaled to LR, mono samples at 48 kHz."""

    pictures: list[Plane]
    samples: NDArray[np.float32]


def _decode(source: Path) -> _Heard:
    read = [FFMPEG, "-v", "error", "-xerror", "-i", str(source)]
    scale = f"scale={LR.width}:{LR.height}:flags=area"
    as_gray = ["-map", "0:v", "-vf", scale, "-fps_mode", "passthrough", "-pix_fmt", "gray"]
    raw = subprocess.run(
        [*read, *as_gray, "-f", "rawvideo", "-"], capture_output=True, timeout=60, check=True
    )
    # aresample: where sound is missing in the file, silence, so that samples tell the time.
    as_mono = ["-map", "0:a?", "-af", "aresample=async=1:first_pts=0", "-ac", "1", "-f", "f32le"]
    sound = subprocess.run([*read, *as_mono, "-"], capture_output=True, timeout=60, check=False)
    return _Heard(
        pictures=list(np.frombuffer(raw.stdout, np.uint8).reshape(-1, LR.height, LR.width)),
        samples=np.frombuffer(sound.stdout, np.float32),
    )


def _assert_all_pictures(heard: _Heard) -> None:
    """Each picture sent comes out once, in order, and looks as it should."""
    flashes = {round(25 * at_s) for at_s in EVENTS_S}
    expected = [255 if number in flashes else number for number in range(COUNT)]
    assert [number_in(luma) for luma in heard.pictures] == expected
    for number, luma in enumerate(heard.pictures):
        if number not in flashes:
            error = luma.astype(float) - marked(number, size=LR).y
            assert 10 * np.log10(255**2 / np.mean(error**2)) > 24, number


def _assert_lips(heard: _Heard) -> None:
    """Each beep is heard within 40 ms of its flash."""
    flashes_s = [n / 25 for n, luma in enumerate(heard.pictures) if luma.mean() > 200]
    assert len(flashes_s) == len(EVENTS_S)
    for flash_s in flashes_s:
        around = heard.samples[round(48_000 * (flash_s - 0.3)) : round(48_000 * (flash_s + 0.3))]
        beep_s = flash_s - 0.3 + int(np.argmax(np.abs(around) > LOUD)) / 48_000
        assert np.abs(around).max() > LOUD
        print(f"beep {1000 * (beep_s - flash_s):+.0f} ms from its flash")
        assert abs(beep_s - flash_s) <= LIPS_S


@pytest.mark.real_peer
def test_what_ffmpeg_publishes_by_whip_comes_out_frame_by_frame_with_its_sound(
    tmp_path: Path,
) -> None:
    source = write_marked(
        tmp_path / "source.mkv", sizes=[LR] * COUNT, beeps_at=EVENTS_S, flashes_at=EVENTS_S
    )
    mp4, raw, hls = tmp_path / "out.mp4", tmp_path / "out.y4m", tmp_path / "hls"
    outputs = ("--output", str(mp4), str(raw), f"hls:{hls}")
    settings = ("--model", "lanczos", "--size", "640x360", "--token", "secret")
    with Receiver(tmp_path, *settings, *outputs) as receiver:
        command = [FFMPEG, "-v", "error", "-re", "-i", str(source)]
        command += ["-c:v", "libx264", "-profile:v", "baseline", "-preset", "ultrafast"]
        command += ["-tune", "zerolatency", "-b:v", "900k", "-g", "25", "-c:a", "libopus"]
        command += ["-f", "whip", "-authorization", "secret", receiver.url]
        subprocess.run(command, stdin=subprocess.DEVNULL, timeout=60, check=True)
        receiver.wait_for("no longer receiving: the publisher left")
        wait_until(lambda: receiver.stats()[-1]["frames_restored"] >= COUNT, "all frames")
        assert receiver.end() == 0
        print(receiver.log)
    assert receiver.stats()[-1]["codec"] == "h264"
    for output in (mp4, hls / "index.m3u8"):
        heard = _decode(output)
        _assert_all_pictures(heard)
        _assert_lips(heard)
    _assert_all_pictures(_decode(raw))
