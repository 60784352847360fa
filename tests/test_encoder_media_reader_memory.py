"""A source that runs for hours holds the pictures in use, not what it ever decoded."""

import gc
from pathlib import Path

import av
import pytest

from encoder.capture import open_source
from encoder.source import SourceConfig
from stream.frame import Size
from tests.marked_pictures import write_marked

COUNT = 20


@pytest.mark.parametrize("is_looping", [False, True])
def test_no_decoded_picture_waits_for_the_garbage_collector(
    tmp_path: Path, is_looping: bool
) -> None:
    sizes = [Size(width=320, height=180)] * (COUNT if is_looping else 4 * COUNT)
    clip = write_marked(tmp_path / "clip.mkv", sizes=sizes)
    source = open_source(SourceConfig(url=str(clip), audio=False, loop=is_looping))
    gc.collect()
    before = _pictures()  # of other tests
    gc.disable()  # or it may come to the rescue: it counts objects, not their megabytes
    try:
        for _ in range(4 * COUNT - 1):
            assert source.read() is not None
        pictures = _pictures() - before
    finally:
        gc.enable()
        source.close()
    assert pictures < COUNT // 2


def _pictures() -> int:
    return sum(type(each) is av.VideoFrame for each in gc.get_objects())
