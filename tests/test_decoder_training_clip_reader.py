from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from decoder.training.clip_reader import find_clips, read_clip, thinning_of
from stream.errors import ConfigError
from stream.frame import Size
from tests.clips import write_clip
from tests.training_media import moving_frame, write_footage


def _write_pictures(folder: Path, grey_levels: list[int]) -> Path:
    folder.mkdir()
    for index, grey in enumerate(grey_levels):
        Image.new("RGB", (64, 48), (grey, grey, grey)).save(folder / f"{index:05d}.jpg", quality=95)
    return folder


def test_a_raw_clip_is_read_as_it_is(tmp_path: Path) -> None:
    path = write_footage(tmp_path / "clip.y4m", count=3, rate=50)

    rate, frames = read_clip(path, multiple_of=2)

    assert rate == 50
    for index, frame in enumerate(frames):
        assert np.array_equal(frame.y, moving_frame(index).y)
        assert np.array_equal(frame.v, moving_frame(index).v)
        assert frame.pts == index


def test_the_right_and_the_bottom_are_cropped_to_the_wanted_multiples(tmp_path: Path) -> None:
    path = write_footage(tmp_path / "clip.y4m", count=2, width=130, height=100)

    _, frames = read_clip(path, multiple_of=12)

    expected = moving_frame(0, width=130, height=100)
    first = next(frames)
    assert first.size == Size(width=120, height=96)
    assert np.array_equal(first.y, expected.y[:96, :120])
    assert np.array_equal(first.u, expected.u[:48, :60])


def test_large_pictures_are_scaled_to_720_on_their_short_side(tmp_path: Path) -> None:
    for width, height, expected in ((1920, 1080, (1280, 720)), (1080, 1440, (720, 960))):
        path = write_footage(tmp_path / "clip.y4m", count=1, width=width, height=height)
        (frame,) = read_clip(path, multiple_of=2)[1]
        assert (frame.size.width, frame.size.height) == expected


def test_frames_are_left_out_at_the_start_and_between(tmp_path: Path) -> None:
    path = write_footage(tmp_path / "clip.y4m", count=10, rate=60)

    rate, frames = read_clip(path, multiple_of=2, start=3, highest_rate=30)

    assert rate == 30
    found = list(frames)
    assert [frame.pts for frame in found] == [0, 1, 2, 3]
    for frame, index in zip(found, (3, 5, 7, 9), strict=True):
        assert np.array_equal(frame.y, moving_frame(index).y)


@pytest.mark.parametrize(
    ("rate", "kept_of"), [(Fraction(24), 1), (Fraction(30000, 1001), 1), (50, 2), (60, 2), (120, 4)]
)
def test_only_much_faster_clips_are_thinned(rate: Fraction, kept_of: int) -> None:
    assert thinning_of(Fraction(rate), 30) == kept_of


def test_a_folder_of_pictures_is_a_clip_in_limited_range(tmp_path: Path) -> None:
    folder = _write_pictures(tmp_path / "shot", [0, 128, 255])

    rate, frames = read_clip(folder, multiple_of=2)

    assert rate == 30
    # BT.601 and BT.709 agree on grey: 16 + 219 * level / 255.
    assert [round(float(frame.y.mean())) for frame in frames] == [16, 126, 235]


def test_clips_are_found_in_files_folders_and_folders_of_pictures(tmp_path: Path) -> None:
    _write_pictures(tmp_path / "b_shot", [1])
    (tmp_path / "inner").mkdir()
    (tmp_path / "notes.md").write_text("no clip")
    paths = [write_footage(tmp_path / name, count=1) for name in ("a.y4m", "c.mkv", "inner/d.y4m")]

    assert find_clips((tmp_path,)) == [paths[0], tmp_path / "b_shot", paths[1], paths[2]]
    assert find_clips((paths[2], tmp_path / "b_shot")) == [paths[2], tmp_path / "b_shot"]


def test_what_holds_no_clip_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no clips at"):
        find_clips((tmp_path,))
    with pytest.raises(ConfigError, match="does not exist"):
        find_clips((tmp_path / "missing",))
    (tmp_path / "bad.mp4").write_bytes(b"not a video")
    with pytest.raises(ConfigError, match=r"bad\.mp4"):
        read_clip(tmp_path / "bad.mp4", multiple_of=2)
    (tmp_path / "shot").mkdir()
    (tmp_path / "shot" / "0.jpg").write_bytes(b"not a picture")
    with pytest.raises(ConfigError, match=r"0\.jpg cannot be read"):
        list(read_clip(tmp_path / "shot", multiple_of=2)[1])


def test_a_clip_smaller_than_a_multiple_or_of_two_sizes_is_refused(tmp_path: Path) -> None:
    small = write_footage(tmp_path / "small.y4m", count=1, width=16, height=8)
    with pytest.raises(ConfigError, match="less than 32"):
        list(read_clip(small, multiple_of=32)[1])
    folder = _write_pictures(tmp_path / "shot", [10])
    Image.new("RGB", (32, 32)).save(folder / "9.png")
    with pytest.raises(ConfigError, match="changes its size from 64x48 to 32x32"):
        list(read_clip(folder, multiple_of=2)[1])


def test_a_phone_clip_comes_out_upright(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "plain.mp4", width=64, height=48)
    turned = tmp_path / "turned.mp4"
    with av.open(str(path)) as source, av.open(str(turned), "w") as target:
        stream = source.streams.video[0]
        copy = target.add_stream_from_template(stream)
        copy.set_display_rotation(90)
        for packet in source.demux(stream):
            if packet.size:
                packet.stream = copy
                target.mux(packet)

    (first, *_) = read_clip(turned, multiple_of=2)[1]

    assert first.size == Size(width=48, height=64)
