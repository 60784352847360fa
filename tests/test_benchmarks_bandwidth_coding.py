from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.bandwidth.clips import BenchClip
from benchmarks.bandwidth.coding import (
    CodedClip,
    code_clip,
    coding_key,
    decoded,
    frames_per_second,
    written_options,
)
from benchmarks.bandwidth.codings import DIRECT_CODINGS, SMALL_CODINGS, Coding, small_coding
from benchmarks.bandwidth.store import Store, key_of
from benchmarks.quality import psnr_y
from encoder.downscale import downscale
from encoder.rate_control import MAX_PAYLOAD_BYTES, PACKET_OVERHEAD_BYTES
from encoder.video_encoder import H264Settings, open_video_encoder
from stream.errors import ConfigError
from stream.frame import Frame, Size
from tests.bench_clips import RATE, bench_clip, moving_frames

CUT = 9
RATE_BPS = 2_000_000


@pytest.fixture(scope="module")
def frames() -> list[Frame]:
    """Two shots."""
    return [*moving_frames(CUT, seed=1), *moving_frames(9, seed=2)]


@pytest.fixture(scope="module")
def clip(frames: list[Frame], tmp_path_factory: pytest.TempPathFactory) -> BenchClip:
    return bench_clip(tmp_path_factory.mktemp("coding"), frames, cuts=(CUT,))


@pytest.mark.parametrize("coding", [*DIRECT_CODINGS, *SMALL_CODINGS], ids=lambda c: c.name)
def test_every_coding_is_live(
    coding: Coding, clip: BenchClip, frames: Sequence[Frame], tmp_path: Path
) -> None:
    size = Size(width=216, height=120) if coding.is_small else clip.size
    coded = code_clip(clip, coding, size=size, target_bps=RATE_BPS, store=Store(tmp_path))
    assert len(coded.units) == clip.frames  # one access unit a frame: nothing waits for later ones
    assert coded.keyframes == (0, CUT)
    pictures = list(decoded(coded))  # in the order they went in: no B-frames
    for index, (picture, frame) in enumerate(zip(pictures, frames, strict=True)):
        assert psnr_y(picture.y, downscale(frame, size=size).y) > 22, index
    if coding.is_small:  # restoring is told how coarsely each picture was coded, as it is live
        assert all(picture.quantiser is not None for picture in pictures)
    assert coded.coded_bps == pytest.approx(8 * sum(map(len, coded.units)) * float(RATE) / 18)


def test_the_small_picture_is_coded_as_the_sender_codes_it(
    clip: BenchClip, frames: Sequence[Frame], tmp_path: Path
) -> None:
    size = Size(width=216, height=120)
    coded = code_clip(
        clip, small_coding("h264"), size=size, target_bps=RATE_BPS, store=Store(tmp_path)
    )
    encoder = open_video_encoder(
        H264Settings(size=size, target_bitrate_bps=RATE_BPS, frame_rate=float(RATE))
    )
    units = []
    for index, frame in enumerate(clip.read_coded()):
        small = downscale(frame, size=size)
        units.append(encoder.encode(small, force_keyframe=index == CUT).data)
    encoder.close()
    assert list(coded.units) == units


def test_bits_on_the_wire_have_the_headers_of_every_packet() -> None:
    units = (b"x" * (MAX_PAYLOAD_BYTES + 1), b"x" * 10)
    # What a stream's start costs counts, though it is not looked at.
    coded = CodedClip(codec="h264", units=units, keyframes=(0,), frame_rate=RATE, lead_in=1)
    assert coded.coded_bps == pytest.approx(8 * (MAX_PAYLOAD_BYTES + 11) * float(RATE) / 2)
    headers = 8 * 3 * PACKET_OVERHEAD_BYTES * float(RATE) / 2
    assert coded.wire_bps == pytest.approx(coded.coded_bps + headers)


def test_a_coded_clip_is_read_back_and_not_coded_again(
    clip: BenchClip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, coding = Store(tmp_path), DIRECT_CODINGS[0]

    def code() -> CodedClip:
        return code_clip(clip, coding, size=clip.size, target_bps=RATE_BPS, store=store)

    first = code()
    monkeypatch.setattr(Coding, "open", lambda *_, **__: pytest.fail("was coded again"))
    second = code()
    assert second == first
    assert second.digest == first.digest
    changed = CodedClip(
        codec=first.codec,
        units=(first.units[0] + b"x", *first.units[1:]),
        keyframes=first.keyframes,
        frame_rate=first.frame_rate,
    )
    assert changed.digest != first.digest


def test_what_the_bits_follow_from_names_them(clip: BenchClip) -> None:
    coding = SMALL_CODINGS[0]
    keys = [
        coding_key(clip, coding, clip.size, RATE_BPS),
        coding_key(replace(clip, digest="other"), coding, clip.size, RATE_BPS),
        coding_key(replace(clip, cuts=frozenset()), coding, clip.size, RATE_BPS),
        coding_key(clip, replace(coding, settings="other"), clip.size, RATE_BPS),
        coding_key(clip, coding, Size(width=2, height=2), RATE_BPS),
        coding_key(clip, coding, clip.size, RATE_BPS + 1),
    ]
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize("coding", [*DIRECT_CODINGS, *SMALL_CODINGS], ids=lambda c: c.name)
def test_what_x264_and_x265_write_about_themselves_has_no_b_frames_and_no_lookahead(
    coding: Coding, clip: BenchClip, tmp_path: Path
) -> None:
    coded = code_clip(clip, coding, size=clip.size, target_bps=RATE_BPS, store=Store(tmp_path))
    options = written_options(coded)
    if coding.codec == "av1":
        assert options is None
        return
    assert options is not None
    assert {"bframes=0", "scenecut=0"} <= set(options.split())
    assert {"rc_lookahead=0", "rc-lookahead=0"} & set(options.split())


def test_the_speed_of_an_encoder_is_measured(clip: BenchClip) -> None:
    assert frames_per_second(clip, DIRECT_CODINGS[0], target_bps=RATE_BPS, frames=6) > 1


def test_a_codec_that_the_sender_does_not_have_is_refused() -> None:
    with pytest.raises(ConfigError, match="known: h264, av1"):
        small_coding("vp7")


def test_the_store_gives_back_what_it_was_given_and_nothing_broken(tmp_path: Path) -> None:
    store, key = Store(tmp_path), key_of({"a": 1})
    assert store.read_json(key) is None
    store.write_json(key, {"psnr": 31.5})
    assert store.read_json(key) == {"psnr": 31.5}
    store.write(key, ".json", b"[1, 2")
    assert store.read_json(key) is None
    assert key_of({"b": 1, "a": 2}) == key_of({"a": 2, "b": 1}) != key
    assert not [path for path in tmp_path.rglob("*") if path.suffix not in ("", ".json")]
    assert np.all([path.name.startswith(key) for path in tmp_path.rglob("*.json")])
