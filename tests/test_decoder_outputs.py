import time
from pathlib import Path

import pytest

from decoder.outputs import Outputs
from decoder.sink_thread import SinkState
from stream.errors import ConfigError
from tests.sink_media import CHUNK, STEP, frame_times_by_ffmpeg, picture, read_with_pyav, sound


def _feed(outputs: Outputs, frames: range, *, step: int = STEP) -> None:
    for index in frames:
        outputs.expect(index * step)
        outputs.put_frame(picture(index * STEP).at(index * step))
        _keep_up(outputs, index)


def _keep_up(outputs: Outputs, index: int) -> None:
    """Wait until each sink has seen all but the last few frames, so that none is dropped."""
    deadline_s = time.monotonic() + 10
    while any(sink.frames_written + sink.frames_dropped < index - 8 for sink in outputs.counters()):
        assert time.monotonic() < deadline_s
        time.sleep(0.002)


def test_sinks_are_opened_with_the_frame_rate_of_the_stream(tmp_path: Path) -> None:
    path = tmp_path / "out.y4m"
    outputs = Outputs((str(path),))
    _feed(outputs, range(2), step=3000)
    assert outputs.counters() == ()
    _feed(outputs, range(2, 5), step=3000)
    outputs.close()
    header = path.read_bytes().partition(b"\n")[0].decode()
    assert " F30:1 " in header
    assert outputs.counters()[0].frames_written == 5


def test_a_single_frame_goes_out_when_no_other_comes(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    outputs = Outputs((str(path),))
    _feed(outputs, range(1))
    outputs.settle()
    outputs.close()
    assert len(frame_times_by_ffmpeg(path)) == 1


def test_sound_waits_for_its_picture_and_stays_in_step(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    outputs = Outputs((str(path),))
    for index in range(50):
        for half in range(2):
            at = (2 * index + half) * CHUNK
            outputs.hold_audio(sound(at, amplitude=8000 if at >= 48_000 else 0))
        outputs.expect(index * STEP)
        outputs.put_frame(picture(index * STEP, luma=220 if index >= 25 else 60))
        _keep_up(outputs, index)
    outputs.settle()
    outputs.close()
    recording = read_with_pyav(path)
    assert len(recording.frame_times) == 50
    assert recording.flash_s() == 1.0
    assert recording.beep_s() == pytest.approx(1.0, abs=0.04)


def test_one_failing_output_does_not_touch_the_others(tmp_path: Path) -> None:
    whole = tmp_path / "whole.mp4"
    outputs = Outputs(("y4m:/dev/full", str(whole)))
    _feed(outputs, range(30))
    outputs.settle()
    outputs.close()
    full, kept = outputs.counters()
    assert (full.state, kept.state) == (SinkState.FAILED, SinkState.CLOSED)
    assert full.reason is not None
    assert "No space left" in full.reason
    assert len(frame_times_by_ffmpeg(whole)) == 30


def test_a_target_that_vanished_since_the_start_is_a_setting_to_correct(tmp_path: Path) -> None:
    outputs = Outputs((str(tmp_path / "gone" / "out.mp4"),))
    with pytest.raises(ConfigError, match="gone is not a directory"):
        _feed(outputs, range(3))
    outputs.close()


def test_without_any_frame_nothing_is_created(tmp_path: Path) -> None:
    outputs = Outputs((str(tmp_path / "out.mp4"),))
    outputs.settle()
    outputs.close()
    assert list(tmp_path.iterdir()) == []
