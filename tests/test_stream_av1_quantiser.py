from collections.abc import Iterator
from fractions import Fraction

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st

from encoder.svt_av1 import SvtAv1
from stream.av1_bits import Malformed
from stream.av1_frame_header import FrameHeaderReader
from stream.av1_quantiser import MAX_QP, QuantiserReader, qp_of
from stream.av1_sequence_header import SequenceHeader
from stream.frame import Size
from stream.frame_av import TIME_BASE, frame_to_av
from stream.obu import ObuType, split_temporal_unit
from stream.thread_scheduling import ordinary_threads
from tests.live_media import SIZE, picture

QUANTISERS = (30, 50, 63, 1, 62, 17)
INDICES = (120, 200, 255, 4, 249, 68)  # base_q_idx of these, in libaom's and SVT-AV1's table


@pytest.fixture(scope="module")
def units() -> list[bytes]:
    """12 temporal units; the first and the seventh are keyframes."""
    codec = SvtAv1(SIZE, frame_rate=Fraction(25), preset=10)
    coded = [
        codec.encode(picture(n), quantiser=QUANTISERS[n % 6], is_keyframe=n % 6 == 0)
        for n in range(12)
    ]
    codec.close()
    return coded


def indices(units: list[bytes]) -> Iterator[int]:
    reader = FrameHeaderReader()
    for unit in units:
        for obu in split_temporal_unit(unit):
            if obu.kind == ObuType.SEQUENCE_HEADER:
                reader.sequence = SequenceHeader.parse(obu.payload)
            if obu.kind == ObuType.FRAME:
                yield reader.read(obu).base_q_idx


def test_each_frame_says_what_it_was_coded_with(units: list[bytes]) -> None:
    assert list(indices(units)) == [*INDICES, *INDICES]
    reader = QuantiserReader()
    assert [reader.read(unit) for unit in units] == [qp_of(index) for index in (*INDICES, *INDICES)]


@pytest.mark.parametrize(
    "params",
    [
        "tile-columns=1:tile-rows=1:superres-mode=1:superres-denom=12",
        "rc=1:tbr=200",
        "pred-struct=1:lookahead=0:rc=2:rtc=1:tbr=100",
        "film-grain=8:sframe-dist=8:pred-struct=1",
    ],
)
def test_streams_of_other_settings_parse_frame_by_frame(params: str) -> None:
    """Superresolution, tiles, hidden and repeated frames: a wrong bit would give wild values."""
    context = av.CodecContext.create("libsvtav1", "w")
    assert isinstance(context, av.VideoCodecContext)
    context.width, context.height, context.pix_fmt = 320, 192, "yuv420p"
    context.time_base, context.framerate = TIME_BASE, Fraction(25)
    context.options = {"preset": "10", "svtav1-params": params}
    with ordinary_threads():
        context.open()
    size = Size(width=320, height=192)
    packets = [
        bytes(packet)
        for n in range(24)
        for packet in context.encode(frame_to_av(picture(n, size=size)))
    ]
    packets += [bytes(packet) for packet in context.encode(None)]
    reader = QuantiserReader()
    told = [reader.read(packet) for packet in packets]
    assert len(told) == 24
    assert all(quantiser is not None and 1 < quantiser <= MAX_QP for quantiser in told)


def test_the_scale_rises_from_0_to_51() -> None:
    scale = [qp_of(index) for index in range(256)]
    assert scale == sorted(scale)
    assert (scale[0], scale[255]) == (0, MAX_QP)


def test_nothing_is_told_before_a_sequence_header(units: list[bytes]) -> None:
    reader = QuantiserReader()
    assert [reader.read(unit) for unit in units[1:7]] == [None] * 5 + [qp_of(INDICES[0])]


def test_junk_and_cut_off_units_tell_nothing_and_the_next_one_is_read(units: list[bytes]) -> None:
    reader = QuantiserReader()
    reader.read(units[0])
    for junk in (b"", b"\xff", units[1][:3], units[1][:7], b"\x12\x00\x32\x7f"):
        assert reader.read(junk) is None
    assert reader.read(units[1]) == qp_of(INDICES[1])


@given(st.binary(max_size=200))
def test_hostile_units_raise_nothing(data: bytes) -> None:
    QuantiserReader().read(data)


@given(st.data())
def test_damaged_units_raise_nothing(units: list[bytes], data: st.DataObject) -> None:
    reader = QuantiserReader()
    for unit in units[:3]:
        damaged = bytearray(unit)
        for _ in range(data.draw(st.integers(1, 4))):
            damaged[data.draw(st.integers(0, min(60, len(damaged) - 1)))] = data.draw(
                st.integers(0, 255)
            )
        told = reader.read(bytes(damaged))
        assert told is None or 0 <= told <= MAX_QP


@given(st.binary(max_size=64))
def test_a_hostile_sequence_header_is_malformed_or_parses(data: bytes) -> None:
    try:
        header = SequenceHeader.parse(data)
    except Malformed:
        return
    assert all(1 <= side <= 65536 for side in header.max_size)
