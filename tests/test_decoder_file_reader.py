import itertools
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from decoder.file_reader import FileReader
from stream.errors import ConfigError
from stream.frame import CLOCK_HZ, Frame, Size
from tests.clips import picture, sound_packets, write_clip


def _frames(path: Path) -> list[Frame]:
    reader = FileReader(path)
    frames = [item for item in reader.items() if isinstance(item, Frame)]
    reader.close()
    return frames


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mkv", "clip.mov", "clip.ts", "clip.nut"])
def test_every_frame_of_every_container_is_read(tmp_path: Path, name: str) -> None:
    frames = _frames(write_clip(tmp_path / name))
    assert len(frames) == 10
    steps = np.diff([frame.pts for frame in frames])
    assert np.all(np.abs(steps - CLOCK_HZ // 25) <= CLOCK_HZ // 1000)
    assert frames[0].is_keyframe


def test_variable_frame_times_are_kept(tmp_path: Path) -> None:
    times_ms = [0, 40, 50, 300, 1800, 1801]
    frames = _frames(write_clip(tmp_path / "clip.mkv", times_ms=times_ms))
    assert [frame.pts for frame in frames] == [90 * time_ms for time_ms in times_ms]


def test_the_quantiser_of_h264_is_read_from_mp4_and_ts(tmp_path: Path) -> None:
    for name in ("clip.mp4", "clip.ts"):
        path = write_clip(tmp_path / name, options={"qp": "33", "bf": "2"})
        quantisers = [frame.quantiser for frame in _frames(path)]
        assert None not in quantisers
        assert all(28 <= quantiser <= 36 for quantiser in quantisers if quantiser is not None)


def test_other_codecs_have_no_quantiser(tmp_path: Path) -> None:
    frames = _frames(write_clip(tmp_path / "clip.mkv", codec="mpeg4"))
    assert {frame.quantiser for frame in frames} == {None}


def test_raw_h264_without_timestamps_gets_a_steady_clock(tmp_path: Path) -> None:
    frames = _frames(write_clip(tmp_path / "clip.h264"))
    assert len(frames) == 10
    steps = {b.pts - a.pts for a, b in itertools.pairwise(frames)}
    assert steps == {CLOCK_HZ // 25}


@pytest.mark.parametrize(
    ("codec", "pixels"),
    [
        ("ffv1", "yuv420p10le"),
        ("ffv1", "yuv422p"),
        ("ffv1", "yuv444p12le"),
        ("ffv1", "bgr0"),
        ("ffv1", "gray"),
        ("mjpeg", "yuvj422p"),
    ],
)
def test_any_pixel_format_becomes_the_same_limited_range_picture(
    tmp_path: Path, codec: str, pixels: str
) -> None:
    frame = _frames(write_clip(tmp_path / "clip.mkv", codec=codec, pixels=pixels))[0]
    ramp = np.floor(np.linspace(40, 160, 64))
    wanted = 16 + ramp * 219 / 255
    assert np.abs(frame.y[20].astype(float) - wanted).max() <= 4
    assert np.abs(frame.u.astype(int) - 128).max() <= 3


@pytest.mark.parametrize(("width", "height"), [(2, 2), (16, 16), (17, 9), (63, 47), (6, 64)])
def test_any_size_is_read_less_its_odd_edge(tmp_path: Path, width: int, height: int) -> None:
    path = write_clip(
        tmp_path / "clip.mkv", codec="ffv1", pixels="yuv444p", width=width, height=height
    )
    assert _frames(path)[0].size == Size(width=width & ~1, height=height & ~1)


def test_samples_that_are_not_square_are_made_so(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mp4", sample_aspect=Fraction(4, 3))
    assert _frames(path)[0].size == Size(width=86, height=48)


def test_interlaced_pictures_are_deinterlaced_one_for_one(tmp_path: Path) -> None:
    woven = []
    for index in range(10):
        early, late = picture(3 * index), picture(3 * index + 20)
        rows = late.to_ndarray()
        rows[0:48:2] = early.to_ndarray()[0:48:2]
        woven.append(av.VideoFrame.from_ndarray(rows, format="yuv420p"))
    options = {"flags": "+ildct+ilme", "x264-params": "tff=1", "qp": "4"}
    frames = _frames(write_clip(tmp_path / "clip.mkv", options=options, pictures=woven))
    assert [frame.pts for frame in frames] == [3600 * i for i in range(10)]
    combing = np.abs(np.diff(frames[5].y[8:40].astype(int), axis=0)).mean()
    assert combing < 4  # the fields are about 34 levels apart
    assert None not in [frame.quantiser for frame in frames]


def test_a_rotated_picture_is_turned_upright(tmp_path: Path) -> None:
    straight = write_clip(tmp_path / "straight.mp4", options={"qp": "10"})
    turned = tmp_path / "turned.mp4"
    _with_rotation(straight, turned)
    frame, upright = _frames(turned)[0], _frames(straight)[0]
    assert frame.size == Size(width=48, height=64)
    # The ramp grows to the right; turned clockwise by a quarter it grows downwards.
    assert np.abs(frame.y.astype(int) - np.rot90(upright.y, -1)).max() <= 1


def _with_rotation(source: Path, target: Path) -> None:
    """Patch the track header's matrix: a quarter clockwise (ISO/IEC 14496-12 section 8.3)."""
    data = bytearray(source.read_bytes())
    at = data.index(b"tkhd") + 4 + 4 + 20 + 16
    quarter = (0, 1 << 16, 0, -(1 << 16) & 0xFFFFFFFF, 0, 0, 48 << 16, 0, 1 << 30)
    data[at : at + 36] = b"".join(value.to_bytes(4, "big") for value in quarter)
    target.write_bytes(data)


def test_sound_comes_packet_for_packet(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mp4", sound="aac")
    reader = FileReader(path)
    packets = [bytes(item) for item in reader.items() if not isinstance(item, Frame)]
    assert packets == sound_packets(path)
    assert len(packets) > 10


def test_a_damaged_packet_costs_itself_and_not_the_rest(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mkv", codec="ffv1", options={"slicecrc": "1"})
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 40] = bytes(40)
    path.write_bytes(data)
    assert 7 <= len(_frames(path)) <= 10


def test_a_truncated_file_gives_what_it_has(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.ts")
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    assert 1 <= len(_frames(path)) < 10


@pytest.mark.parametrize("content", [b"", b"not a video at all" * 100, b"\x00" * 4096])
def test_files_that_are_no_video_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"clip\.mp4"):
        FileReader(path)


def test_missing_files_and_directories_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not exist"):
        FileReader(tmp_path / "none.mp4")
    with pytest.raises(ConfigError, match="not a file"):
        FileReader(tmp_path)


def test_sound_alone_is_no_video(tmp_path: Path) -> None:
    path = tmp_path / "tone.wav"
    with av.open(str(path), "w") as container:
        container.add_stream("pcm_s16le", rate=48_000)
        container.start_encoding()
    with pytest.raises(ConfigError, match="no video"):
        FileReader(path)


def test_a_name_that_looks_like_a_protocol_is_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_clip(tmp_path / "clip.mp4").rename(tmp_path / "concat:clip.mp4")
    monkeypatch.chdir(tmp_path)
    assert len(_frames(Path("concat:clip.mp4"))) == 10
