from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.errors import PeerError
from stream.twcc import (
    DELTA_US,
    MAX_PACKETS,
    WRAP_US,
    TransportFeedback,
    is_transport_feedback,
    parse_feedback,
    rtcp_packets,
    serialise_feedback,
)


def feedback(*arrivals_us: int | None, base: int = 0) -> TransportFeedback:
    return TransportFeedback(
        sender_ssrc=1,
        media_ssrc=0xFFFF_FFFF,
        base_sequence=base,
        feedback_count=200,
        arrivals_us=arrivals_us,
    )


def test_a_packet_laid_out_by_hand_from_the_draft_is_read() -> None:
    # Base 153, 20 packets: a run of 5 small deltas, 14 one-bit symbols of which every second is
    # received, then one large negative delta; reference time 2 x 64 ms.
    packet = bytes.fromhex(
        "8fcd000b 00000001 00000002 0099 0014 000002 07"
        "2005 aaaa 4001"  # run 5 x small; 1-bit vector 10101010101010; run 1 x large
        "04 04 04 04 04  08 08 08 08 08 08 08  fff0"
    )
    packet += bytes(-len(packet) % 4)
    read = parse_feedback(packet[:2] + (len(packet) // 4 - 1).to_bytes(2, "big") + packet[4:])
    assert (read.sender_ssrc, read.media_ssrc) == (1, 2)
    assert (read.base_sequence, read.feedback_count) == (153, 7)
    in_ms = [None if each is None else each / 1000 for each in read.arrivals_us]
    assert in_ms[:5] == [129, 130, 131, 132, 133]
    assert in_ms[5:9] == [135, None, 137, None]
    assert in_ms[17:] == [147, None, 143]


@given(
    st.lists(
        st.none() | st.integers(-30_000, 30_000).map(lambda steps: steps * DELTA_US), max_size=200
    ).filter(lambda steps: any(step is not None for step in steps)),
    st.integers(0, 0xFFFF),
    st.integers(0, WRAP_US // DELTA_US - 1),
)
def test_what_is_written_is_read(steps: list[int | None], base: int, start: int) -> None:
    time_us, arrivals = start * DELTA_US, []
    for step in steps:
        time_us += step or 0
        arrivals.append(None if step is None else max(0, time_us))
    received = [arrival for arrival in arrivals if arrival is not None]
    if any(abs(b - a) > 0x7F00 * DELTA_US for a, b in pairwise(received)):
        return
    written = serialise_feedback(feedback(*arrivals, base=base))
    assert len(written) % 4 == 0
    assert list(rtcp_packets(written + b"rest")) == [written]
    assert is_transport_feedback(written)
    read = parse_feedback(written)
    assert read.base_sequence == base
    wrapped = [None if each is None else each % WRAP_US for each in arrivals]
    assert [None if each is None else each % WRAP_US for each in read.arrivals_us] == wrapped


def test_long_runs_take_few_bytes() -> None:
    arrivals = [index * 1000 for index in range(500)]
    assert len(serialise_feedback(feedback(*arrivals))) < 500 + 40


@given(st.binary(max_size=120))
def test_junk_raises_nothing_but_a_peer_error(junk: bytes) -> None:
    for packet in (junk, b"\x8f\xcd\x00\x20" + junk, *rtcp_packets(junk)):
        try:
            read = parse_feedback(packet)
        except PeerError:
            continue
        assert len(read.arrivals_us) <= MAX_PACKETS


def test_every_truncation_is_refused_or_read() -> None:
    whole = serialise_feedback(feedback(0, None, 500, 900_000, None, 250 * 4, 64_000))
    for length in range(len(whole) - 3):  # without its padding it still says everything
        with pytest.raises(PeerError):
            parse_feedback(whole[:length])


def test_feedback_for_very_many_packets_is_refused_before_memory_is_taken() -> None:
    packet = bytes.fromhex("8fcd0005 00000001 00000002 0000 ffff 000000 00 3fff 3fff")
    with pytest.raises(PeerError, match="65535 packets"):
        parse_feedback(packet)


def test_nothing_and_too_much_cannot_be_written() -> None:
    for wrong in (feedback(), feedback(None), feedback(*range(MAX_PACKETS + 1))):
        with pytest.raises(ValueError, match="no feedback can hold"):
            serialise_feedback(wrong)
    with pytest.raises(ValueError, match="too far apart"):
        serialise_feedback(feedback(0, 9_000_000))


def test_a_compound_is_taken_apart_and_a_broken_end_left() -> None:
    one, two = serialise_feedback(feedback(0)), bytes.fromhex("81c90001 00000001")
    assert list(rtcp_packets(one + two)) == [one, two]
    assert list(rtcp_packets(two + one[:-1])) == [two]
    assert not is_transport_feedback(two)
