from pathlib import Path

import av
import pytest

from encoder.encode_file import OfflineRung, encode_file, main
from stream.errors import ConfigError, FrameError
from stream.frame import Size
from tests.marked_pictures import number_in, numbers_in, write_marked

LR = Size(width=160, height=90)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clip")
    return write_marked(folder / "clip.mp4", sizes=[Size(width=320, height=180)] * 50)


def test_every_rung_becomes_a_file_with_every_frame(clip: Path, tmp_path: Path) -> None:
    rungs = [OfflineRung.parse("160x90@120k"), OfflineRung.parse("320x180@200000")]
    assert encode_file(str(clip), tmp_path / "out", rungs=rungs) == 50
    small, large = tmp_path / "out/160x90@120000.h264", tmp_path / "out/320x180@200000.h264"
    for path, size, bitrate_bps in ((small, "160x90", 120_000), (large, "320x180", 200_000)):
        assert numbers_in(path) == list(range(50))
        assert 8 * path.stat().st_size < 1.1 * bitrate_bps * 50 / 25
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            assert f"{stream.width}x{stream.height}" == size


def test_av1_becomes_an_ivf_file_with_every_frame(clip: Path, tmp_path: Path) -> None:
    rung = OfflineRung.parse("160x90@120k", codec="av1")
    assert encode_file(str(clip), tmp_path, rungs=[rung]) == 50
    path = tmp_path / "160x90@120000.ivf"
    assert numbers_in(path) == list(range(50))
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.width, stream.height) == ("libdav1d", 160, 90)
        assert [frame.time for frame in container.decode(video=0)] == [n / 25 for n in range(50)]


def test_a_limit_ends_it_early(clip: Path, tmp_path: Path) -> None:
    rungs = [OfflineRung(size=LR, bitrate_bps=100_000)]
    assert encode_file(str(clip), tmp_path, rungs=rungs, limit=7) == 7
    assert numbers_in(tmp_path / rungs[0].file_name) == list(range(7))


def test_a_rung_larger_than_the_clip_is_refused(clip: Path, tmp_path: Path) -> None:
    with pytest.raises(FrameError, match="larger"):
        encode_file(str(clip), tmp_path, rungs=[OfflineRung.parse("640x360@100k")])


@pytest.mark.parametrize("text", ["640x360", "640x360@", "@100k", "640@100k", "640x360@fast"])
def test_a_rung_that_is_none_is_refused_with_its_text(text: str) -> None:
    with pytest.raises(ConfigError):
        OfflineRung.parse(text)


def test_the_command_line_codes_a_clip_and_explains_what_is_wrong(
    clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [str(clip), str(tmp_path), "--rung", "160x90@100k", "--frames", "3"]
    assert main(arguments) == 0
    with av.open(str(tmp_path / "160x90@100000.h264")) as container:
        decoded = [frame.to_ndarray()[:90, :160] for frame in container.decode(video=0)]
    assert [number_in(luma.astype("uint8")) for luma in decoded] == [0, 1, 2]
    assert main(["missing.mp4", str(tmp_path), "--rung", "160x90@100k"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "missing.mp4" in line
