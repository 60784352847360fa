"""The library itself: its settings, its failures, and what reaches beyond its pictures."""

import ctypes
import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import pytest

from encoder.svt_av1 import SvtAv1, library
from stream.errors import CodecError, FrameError
from stream.frame import Size
from tests.busy_neighbours import busy_neighbours
from tests.live_media import SIZE, picture

TASKS = Path("/proc/self/task")


def test_a_coarser_quantiser_gives_fewer_bytes_from_one_frame_to_the_next() -> None:
    codec = SvtAv1(SIZE, frame_rate=Fraction(25), preset=10)
    sizes = [
        len(codec.encode(picture(index), quantiser=quantiser, is_keyframe=True))
        for index, quantiser in enumerate((20, 40, 60, 20))
    ]
    assert sizes[0] > 1.3 * sizes[1] > 1.3 * sizes[2]
    assert sizes[3] == pytest.approx(sizes[0], rel=0.2)
    codec.close()
    codec.close()


def test_many_can_be_opened_and_forgotten() -> None:
    for _ in range(20):
        SvtAv1(SIZE, frame_rate=Fraction(25), preset=10).encode(
            picture(0), quantiser=40, is_keyframe=True
        )


def test_another_size_is_refused() -> None:
    codec = SvtAv1(SIZE, frame_rate=Fraction(25), preset=10)
    with pytest.raises(FrameError, match="opened for 160x96 got 64x48"):
        codec.encode(picture(0, size=Size(width=64, height=48)), quantiser=40, is_keyframe=True)


def test_settings_that_the_library_refuses_say_so() -> None:
    with pytest.raises(CodecError, match="2x2"):
        SvtAv1(Size(width=2, height=2), frame_rate=Fraction(25), preset=10)


def test_a_library_of_another_version_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    class Other:
        class svt_av1_get_version:  # noqa: N801 (a C function's name)
            restype = ctypes.c_char_p

            def __new__(cls) -> bytes:  # type: ignore[misc] # called like the C function
                return b"v5.0.0"

    def other(path: str) -> Other:
        return Other()

    monkeypatch.setattr(ctypes, "CDLL", other)
    library.cache_clear()
    try:
        with pytest.raises(CodecError, match=r"SVT-AV1 v5.0.0 is not supported, only 4.1"):
            library()
    finally:
        library.cache_clear()


@pytest.mark.skipif(not TASKS.is_dir(), reason="threads are listed in /proc on Linux only")
def test_its_threads_take_no_precedence_over_other_threads() -> None:
    before = {each.name for each in TASKS.iterdir()}
    opened = SvtAv1(Size(width=64, height=64), frame_rate=Fraction(25), preset=10)
    threads = {each.name for each in TASKS.iterdir()} - before
    assert len(threads) > 3
    policies = {os.sched_getscheduler(int(thread)) for thread in threads}
    assert policies == {os.SCHED_BATCH}
    assert os.sched_getscheduler(0) == os.SCHED_OTHER
    opened.close()


_CODES_FOR_A_WHILE = """
from encoder.scene import Scene, SceneConfig
from encoder.video_encoder import AV1Settings, open_video_encoder
from stream.frame import Size

size = Size(width=320, height=180)
scene = Scene(SceneConfig(size=size, fps=25, duration_s=1.6))
frames = [scene.frame(index) for index in range(40)]
for _ in range(30):
    encoder = open_video_encoder(AV1Settings(size=size, target_bitrate_bps=60_000, preset="10"))
    for index, frame in enumerate(frames):
        encoder.encode(frame, force_keyframe=index == 30)
    encoder.close()
"""


def test_it_goes_on_while_other_programs_use_all_cores() -> None:
    """Ordinary threads of the library stop for ever here, mostly within a thousand frames."""
    with busy_neighbours(2):
        subprocess.run([sys.executable, "-c", _CODES_FOR_A_WHILE], check=True, timeout=100)
