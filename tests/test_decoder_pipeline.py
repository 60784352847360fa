"""Sessions in, outputs out: order, time and sound, with real buffers, sinks and Restorers."""

import threading
import time
from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest

from decoder.artefact import Artefact
from decoder.config import RestorerConfig
from decoder.pipeline import Pipeline
from decoder.restorer import Restorer
from stream.errors import EdvrError
from stream.frame import CLOCK_HZ
from tests.live_media import tone
from tests.marked_pictures import STEP, numbers_in
from tests.pipeline_rig import HR, LANCZOS, LR, Publisher, is_empty, play, running, wait_until
from tests.sink_media import frame_times_by_ffmpeg, read_with_pyav
from tests.tiny_artefact import write_tiny_artefact


@pytest.fixture(scope="module")
def artefact(tmp_path_factory: pytest.TempPathFactory) -> Artefact:
    return write_tiny_artefact(tmp_path_factory.mktemp("models") / "tiny-x2")


def test_every_frame_comes_out_once_in_order_and_is_counted(
    tmp_path: Path, artefact: Artefact
) -> None:
    path = tmp_path / "out.mp4"
    config = RestorerConfig(size=HR, model=str(artefact.folder), backend="onnxruntime", threads=1)
    with running(str(path), restorer=lambda: Restorer(config)) as rig:
        publisher = rig.publish()
        play(rig, publisher, range(40), step=CLOCK_HZ // 5)
        rig.restored(40)  # the last one too, without a frame after it
        rig.pipeline.close()
        counts = rig.pipeline.counts()
    assert numbers_in(path) == list(range(40))
    assert (counts.frames_in, counts.frames_restored, counts.frames_dropped) == (40, 40, 0)
    assert (counts.model, counts.backend) == ("tiny-x2", "onnxruntime f32")  # also after closing
    assert (counts.lr_size, counts.hr_size) == (LR, HR)
    stages = rig.pipeline.stage_percentiles()
    assert list(stages) == ["wait", "extract", "fuse", "resize", "total"]
    assert stages["total"].count == stages["fuse"].count == 40
    assert rig.failures == []


def test_a_frame_without_successor_is_shown_soon(artefact: Artefact) -> None:
    config = RestorerConfig(size=HR, model=str(artefact.folder), backend="onnxruntime", threads=1)
    with running(restorer=lambda: Restorer(config)) as rig:
        rig.publish().put(0)
        rig.restored(1)


def test_a_publisher_that_comes_back_continues_the_same_file_after_the_gap(
    tmp_path: Path,
) -> None:
    path = tmp_path / "out.mp4"
    with running(str(path)) as rig:
        first = rig.publish()
        play(rig, first, range(10), first_pts=500_000)
        rig.restored(10)
        first.end()
        time.sleep(0.3)
        second = rig.publish()
        play(rig, second, range(10, 20))
        rig.restored(20)
    assert numbers_in(path) == list(range(20))
    times = frame_times_by_ffmpeg(path)
    steps = [later - earlier for earlier, later in pairwise(times)]
    assert min(steps) > 0
    assert steps.index(max(steps)) == 9
    assert 0.29 < max(steps) < 5


def test_a_publisher_that_takes_over_leaves_nothing_of_the_first_one(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    with running(str(path)) as rig:
        first = rig.publish()
        play(rig, first, range(5))
        rig.restored(5)
        second = rig.publish()
        play(rig, second, range(100, 110))
        rig.restored(15)
        first.put(6)
        play(rig, second, range(110, 115))
        rig.restored(20)
    assert numbers_in(path) == [*range(5), *range(100, 115)]


def test_sound_stays_with_its_picture_across_publishers(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    with running(str(path)) as rig:
        for first_pts in (0, 7_000_000):
            publisher = rig.publish()
            for number in range(25):
                publisher.put(number, pts=first_pts + number * STEP)
                at = first_pts * 48 // 90 + 1920 * number
                if number in (10, 11):
                    publisher.audio.put(tone(at, samples=1920))
                wait_until(partial(is_empty, publisher.video))
            publisher.end()
        rig.restored(50)
    recording = read_with_pyav(path)
    loud = abs(recording.samples) > 0.05
    assert recording.audio_start is not None
    for number in (10, 35):
        shown_s = float(recording.frame_times[number] - recording.audio_start)
        near = loud[round(48_000 * (shown_s - 0.2)) :]
        assert near.argmax() / 48_000 - 0.2 == pytest.approx(0, abs=0.04)


def test_closing_twice_or_without_any_frame_leaves_no_thread() -> None:
    with running() as rig:
        rig.publish()
        rig.pipeline.close()
        rig.pipeline.close()
    names = [thread.name for thread in threading.enumerate()]
    assert not [name for name in names if "restorer live" in name or "sink" in name]


def test_small_pictures_can_be_had_as_they_travelled(tmp_path: Path) -> None:
    restored, small = tmp_path / "out.mp4", tmp_path / "lr.mp4"
    failures: list[EdvrError] = []
    pipeline = Pipeline(
        "live",
        lambda: Restorer(LANCZOS),
        (str(restored),),
        lr_outputs=(str(small),),
        on_failure=failures.append,
    )
    publisher = Publisher()
    pipeline.attach(publisher.video, publisher.audio)
    for number in range(10):
        publisher.put(number)
    publisher.end()
    wait_until(lambda: pipeline.counts().frames_restored == 10)
    pipeline.close()
    assert numbers_in(small) == numbers_in(restored) == list(range(10))
    assert failures == []
