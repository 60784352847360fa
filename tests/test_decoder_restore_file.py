from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from decoder.config import RestorerConfig
from decoder.file_writer import Compression
from decoder.restore_file import Progress, RestoreSummary, restore_file
from decoder.restorer import Restorer
from stream.errors import ConfigError
from stream.frame import Size
from tests.clips import frame_times_ms, picture, sound_packets, write_clip
from tests.tiny_artefact import write_tiny_artefact

HR = Size(width=128, height=96)
FAST = Compression(preset="ultrafast", crf=10)


def _restore(
    source: Path, output: Path, *, model: str = "lanczos", size: Size = HR
) -> tuple[RestoreSummary, list[Progress]]:
    config = RestorerConfig(size=size, model=model, backend="onnxruntime", threads=1)
    progress: list[Progress] = []
    summary = restore_file(
        source, str(output), Restorer(config), compression=FAST, report=progress.append
    )
    return summary, progress


def _left_behind(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("model", ["lanczos", "tiny-x2"])
@pytest.mark.parametrize("extension", [".mp4", ".mkv"])
def test_every_frame_is_there_at_its_time_with_the_same_sound(
    tmp_path: Path, extension: str, model: str
) -> None:
    times_ms = [0, 40, 50, 300, 340, 2000, 2040]
    source = write_clip(tmp_path / "in.mkv", times_ms=times_ms, sound="aac")
    if model != "lanczos":
        model = str(write_tiny_artefact(tmp_path / model).folder)
    output = tmp_path / f"out{extension}"
    summary, progress = _restore(source, output, model=model)
    assert frame_times_ms(output) == times_ms
    assert sound_packets(output) == sound_packets(source)
    assert summary.frames == 7
    assert [each.frames for each in progress] == list(range(1, 8))
    with av.open(str(output)) as container:
        video = container.streams.video[0]
        assert (video.width, video.height, video.codec_context.name) == (128, 96, "h264")


def test_the_picture_is_the_enlarged_one(tmp_path: Path) -> None:
    source = write_clip(tmp_path / "in.mp4", options={"qp": "2"})
    _restore(source, tmp_path / "out.mp4")
    with av.open(str(tmp_path / "out.mp4")) as container:
        found = [frame.to_ndarray()[:96] for frame in container.decode(video=0)]
    for index, luma in enumerate(found):
        drawn = picture(index, width=128, height=96).to_ndarray()[:96]
        assert np.abs(luma.astype(int) - drawn)[4:-4, 4:-4].max() <= 4


def test_y4m_holds_exactly_the_restored_samples(tmp_path: Path) -> None:
    source = write_clip(tmp_path / "in.mp4", width=128, height=96, options={"qp": "0"})
    _restore(source, tmp_path / "out.y4m")
    with av.open(str(source)) as container:
        wanted = [frame.to_ndarray() for frame in container.decode(video=0)]
    with av.open(str(tmp_path / "out.y4m")) as container:
        found = [frame.to_ndarray() for frame in container.decode(video=0)]
        assert container.streams.video[0].average_rate == 25
    assert len(found) == len(wanted) == 10
    assert all(np.array_equal(a, b) for a, b in zip(found, wanted, strict=True))


def test_sound_that_mp4_cannot_hold_becomes_aac(tmp_path: Path) -> None:
    source = write_clip(tmp_path / "in.mov", times_ms=range(0, 1000, 40), sound="pcm_mulaw")
    _restore(source, tmp_path / "out.mp4")
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert container.streams.audio[0].codec_context.name == "aac"
        seconds = sum(block.samples for block in container.decode(audio=0)) / 48_000
    assert seconds == pytest.approx(1.0, abs=0.1)


def test_colour_tags_are_carried(tmp_path: Path) -> None:
    options = {"color_primaries": "bt2020", "color_trc": "bt2020-10", "colorspace": "bt2020nc"}
    source = write_clip(tmp_path / "in.mp4", options=options)
    _restore(source, tmp_path / "out.mp4")
    with av.open(str(tmp_path / "out.mp4")) as container:
        frame = next(container.decode(video=0))
    assert (frame.color_primaries, frame.color_trc, frame.colorspace) == (9, 14, 9)
    assert int(frame.color_range) == 1


@pytest.mark.parametrize(("width", "height"), [(2, 2), (16, 16), (17, 9), (2, 64)])
def test_tiny_and_odd_pictures_are_enlarged(tmp_path: Path, width: int, height: int) -> None:
    source = write_clip(
        tmp_path / "in.mkv", codec="ffv1", pixels="yuv444p", width=width, height=height
    )
    summary, _ = _restore(source, tmp_path / "out.mp4")
    assert summary.frames == 10


def test_a_source_that_starts_late_keeps_its_start(tmp_path: Path) -> None:
    source = write_clip(tmp_path / "in.mkv", times_ms=[1000, 1040, 1080])
    _restore(source, tmp_path / "out.mkv")
    assert frame_times_ms(tmp_path / "out.mkv") == [1000, 1040, 1080]


def test_the_output_replaces_an_older_one_only_when_it_is_whole(tmp_path: Path) -> None:
    source = write_clip(tmp_path / "in.mp4")
    output = tmp_path / "out.mp4"
    output.write_bytes(b"precious")

    def stop(progress: Progress) -> None:
        assert output.read_bytes() == b"precious"
        if progress.frames == 5:
            raise KeyboardInterrupt

    restorer = Restorer(RestorerConfig(size=HR, model="lanczos"))
    with pytest.raises(KeyboardInterrupt):
        restore_file(source, str(output), restorer, compression=FAST, report=stop)
    assert output.read_bytes() == b"precious"
    assert _left_behind(tmp_path) == ["in.mp4", "out.mp4"]
    _restore(source, output)
    assert len(frame_times_ms(output)) == 10
    assert _left_behind(tmp_path) == ["in.mp4", "out.mp4"]


@pytest.mark.parametrize("extension", [".mp4", ".y4m"])
def test_a_failure_while_restoring_leaves_nothing(tmp_path: Path, extension: str) -> None:
    source = write_clip(tmp_path / "in.mp4")

    def fail(progress: Progress) -> None:
        raise OSError(f"after {progress.frames}")

    restorer = Restorer(RestorerConfig(size=HR, model="lanczos"))
    with pytest.raises(OSError, match="after 1"):
        restore_file(
            source, str(tmp_path / f"out{extension}"), restorer, compression=FAST, report=fail
        )
    assert _left_behind(tmp_path) == ["in.mp4"]


def test_an_output_that_cannot_be_is_refused_before_the_work(tmp_path: Path) -> None:
    source = write_clip(tmp_path / "in.mp4")
    before = source.read_bytes()
    (tmp_path / "link.mp4").symlink_to(source)
    (tmp_path / "folder.mp4").mkdir()
    for name, message in (
        ("in.mp4", "input itself"),
        ("link.mp4", "input itself"),
        ("out.webm", "must end in"),
        ("out", "must end in"),
        ("folder.mp4", "is a directory"),
        ("none/out.mp4", "does not exist"),
    ):
        with pytest.raises(ConfigError, match=message):
            _restore(source, tmp_path / name)
    assert source.read_bytes() == before


def test_a_file_without_one_picture_writes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "in.mkv"
    write_clip(path, codec="ffv1", options={"slicecrc": "1"})
    data = path.read_bytes()
    start = data.index(b"\x1f\x43\xb6\x75")  # the first Matroska cluster
    path.write_bytes(data[:start])
    with pytest.raises(ConfigError, match=r"in\.mkv"):
        _restore(path, tmp_path / "out.mp4")
    assert _left_behind(tmp_path) == ["in.mkv"]


def test_samples_are_square_in_the_output(tmp_path: Path) -> None:
    source = write_clip(tmp_path / "in.mp4", sample_aspect=Fraction(4, 3))
    _restore(source, tmp_path / "out.mp4")
    with av.open(str(tmp_path / "out.mp4")) as container:
        video = container.streams.video[0]
        assert (video.width, video.height) == (128, 72)
        assert video.sample_aspect_ratio in (None, 1)


@pytest.mark.parametrize("crf", [-1, 52])
def test_an_impossible_crf_is_refused(crf: int) -> None:
    with pytest.raises(ConfigError, match="crf"):
        Compression(crf=crf)
