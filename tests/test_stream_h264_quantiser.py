from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.h264_quantiser import MAX_QP, QuantiserReader

START = b"\x00\x00\x00\x01"


def encode(quantiser: int, profile: str, extra: str = "", frames: int = 6) -> list[bytes]:
    context = av.CodecContext.create("libx264", "w")
    context.width, context.height, context.pix_fmt = 96, 64, "yuv420p"
    context.framerate, context.time_base = Fraction(25), Fraction(1, 25)
    context.options = {
        "preset": "medium",
        "tune": "zerolatency",
        "profile": profile,
        "qp": str(quantiser),
        "x264-params": f"threads=1:sliced-threads=0:ipratio=1:aq-mode=0:repeat-headers=1{extra}",
    }
    rng = np.random.default_rng(1)
    base = rng.integers(0, 255, (96, 96), dtype=np.uint8)
    units = []
    for index in range(frames):
        image = np.full((96, 96), 128, np.uint8)
        image[:64] = np.roll(base[:64], 3 * index, axis=1) // (1 + index)
        picture = av.VideoFrame.from_ndarray(image, format="yuv420p")
        picture.pts = index
        units += [bytes(packet) for packet in context.encode(picture)]
    return units


@pytest.mark.parametrize("profile", ["baseline", "main", "high"])
@pytest.mark.parametrize("quantiser", [1, 18, 26, 40, 51])
def test_the_slice_quantiser_is_read_for_every_profile(profile: str, quantiser: int) -> None:
    reader = QuantiserReader()
    assert [reader.read(unit) for unit in encode(quantiser, profile)] == [quantiser] * 6


@pytest.mark.parametrize("extra", [":weightp=2:ref=4", ":slices=4", ":interlaced=1", ":ref=1"])
def test_weights_slices_fields_and_references_are_skipped_correctly(extra: str) -> None:
    reader = QuantiserReader()
    assert [reader.read(unit) for unit in encode(33, "high", extra)] == [33] * 6


def test_without_parameter_sets_nothing_is_told() -> None:
    unit = encode(30, "high")[3]
    assert QuantiserReader().read(unit) is None


@given(st.binary(max_size=300), st.sampled_from([0x65, 0x41, 0x67, 0x68]))
def test_junk_never_raises_and_stays_in_range(junk: bytes, header: int) -> None:
    reader = QuantiserReader()
    reader.read(HEAD)
    told = reader.read(START + bytes([header]) + junk)
    assert told is None or 0 <= told <= MAX_QP


HEAD = encode(30, "high", frames=1)[0]


@given(st.integers(0, len(HEAD)), st.integers(0, 7))
def test_truncated_and_flipped_streams_never_raise(length: int, bit: int) -> None:
    reader = QuantiserReader()
    reader.read(HEAD[:length])
    damaged = bytearray(HEAD)
    damaged[min(length, len(HEAD) - 1)] ^= 1 << bit
    told = reader.read(bytes(damaged))
    assert told is None or 0 <= told <= MAX_QP
