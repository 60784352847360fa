import pytest

from decoder.training.mask import Mask
from stream.errors import ConfigError


def test_a_mask_covers_the_squares_that_show_a_part_of_it() -> None:
    mask = Mask.parse("a clip.mp4  1115,20,1246,59")
    assert mask == Mask(name="a clip.mp4", left=1115, top=20, right=1246, bottom=59)
    assert mask.covers(1100, 0, 64)
    assert mask.covers(1245, 58, 64)
    assert mask.covers(1115, 20, 1)
    assert not mask.covers(1246, 20, 64)
    assert not mask.covers(1100, 59, 64)
    assert not mask.covers(1051, 0, 64)


@pytest.mark.parametrize("text", ["clip.mp4", "1,2,3,4", "clip.mp4 1,2,3", "clip.mp4 1,2,3,-4", ""])
def test_what_is_no_mask_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"must look like 'clip\.mp4 LEFT,TOP,RIGHT,BOTTOM'"):
        Mask.parse(text)


def test_an_empty_mask_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"mask of clip\.mp4 is empty"):
        Mask.parse("clip.mp4 4,4,4,8")
