from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from decoder.training.metrics import psnr_db
from decoder.training.sent_clip import SentRung, code_as_sent, coded_bytes, decoded_frames
from stream.errors import CodecError
from stream.frame import Size
from tests.training_media import moving_frame, write_footage

FINE = SentRung(size=Size(width=128, height=96), bitrate_bps=600_000)
COARSE = SentRung(size=Size(width=64, height=48), bitrate_bps=30_000)


def test_a_clip_comes_back_at_every_rung_with_its_quantisers(tmp_path: Path) -> None:
    clip = write_footage(tmp_path / "clip.y4m", count=6)

    files = code_as_sent(clip, [FINE, COARSE, FINE], tmp_path)

    assert set(files) == {FINE, COARSE}
    fine, coarse = (list(decoded_frames(files[rung])) for rung in (FINE, COARSE))
    for frames, rung in ((fine, FINE), (coarse, COARSE)):
        assert [frame.pts for frame in frames] == list(range(6))
        assert {frame.size for frame in frames} == {rung.size}
        assert all(frame.quantiser is not None for frame in frames)
        assert frames[0].is_keyframe
        assert not any(frame.is_keyframe for frame in frames[1:])
    for index, frame in enumerate(fine):
        others = [psnr_db(frame.y, moving_frame(n).y) for n in range(6)]
        assert int(np.argmax(others)) == index
        assert others[index] > 28
    assert np.mean([f.quantiser for f in coarse]) > np.mean([f.quantiser for f in fine])


def test_av1_comes_back_too_with_quantisers_on_the_scale_of_h264(tmp_path: Path) -> None:
    clip = write_footage(tmp_path / "clip.y4m", count=6)
    rungs = [replace(rung, codec="av1") for rung in (FINE, COARSE)]

    files = code_as_sent(clip, rungs, tmp_path)

    fine, coarse = (list(decoded_frames(files[rung], "av1")) for rung in rungs)
    for frames, rung in ((fine, FINE), (coarse, COARSE)):
        assert [frame.pts for frame in frames] == list(range(6))
        assert {frame.size for frame in frames} == {rung.size}
        assert frames[0].is_keyframe
    found = [[frame.quantiser for frame in frames] for frames in (fine, coarse)]
    told = [[value for value in values if value is not None] for values in found]
    assert [len(values) for values in told] == [6, 6]
    assert 0 <= np.mean(told[0]) < np.mean(told[1]) <= 51
    for rung in rungs:
        assert 0 < coded_bytes(files[rung]) < files[rung].stat().st_size, "IVF has headers"
    assert psnr_db(fine[5].y, moving_frame(5).y) > 28


def test_what_the_sender_refuses_is_said_in_its_words(tmp_path: Path) -> None:
    clip = write_footage(tmp_path / "clip.y4m", count=1)
    larger = SentRung(size=Size(width=256, height=192), bitrate_bps=100_000)
    with pytest.raises(CodecError, match=r"clip\.y4m failed: .*cannot downscale 128x96"):
        code_as_sent(clip, [larger], tmp_path)


def test_a_file_that_is_no_h264_is_refused_or_empty(tmp_path: Path) -> None:
    path = tmp_path / "bad.h264"
    path.write_bytes(bytes(2000))
    with pytest.raises(CodecError, match=r"bad\.h264 cannot be decoded"):
        list(decoded_frames(path))
    with pytest.raises(CodecError, match=r"bad\.h264 cannot be read"):
        coded_bytes(path)
