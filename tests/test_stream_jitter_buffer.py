from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import replace
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from stream.jitter_buffer import (
    CAPACITY_PACKETS,
    KEYFRAME_REQUEST_INTERVAL_MS,
    VIDEO_WAIT_MS,
    CodedFrame,
    JitterBuffer,
    MediaPacket,
    PayloadPart,
)

INTERVAL = 3600  # 40 ms


def packets_of(
    sizes: Iterable[int],
    *,
    keyframes: frozenset[int] = frozenset({0}),
    sequence: int = 0,
    timestamp: int = 0,
    marker: bool = True,
    ssrc: int = 1,
) -> list[MediaPacket]:
    """Frames of so many packets each, 40 ms apart; each payload names its frame and place."""
    packets: list[MediaPacket] = []
    for frame, size in enumerate(sizes):
        for place in range(size):
            packets.append(
                MediaPacket(
                    ssrc=ssrc,
                    sequence_number=(sequence + len(packets)) % 0x10000,
                    timestamp=(timestamp + frame * INTERVAL) % 0x100000000,
                    ends_frame=marker and place == size - 1,
                    part=PayloadPart(
                        data=f"<{frame}.{place}>".encode(),
                        starts_frame=place == 0,
                        is_keyframe=frame in keyframes,
                    ),
                    arrived_ms=40.0 * frame + place,
                )
            )
    return packets


def blind(packets: Iterable[MediaPacket]) -> list[MediaPacket]:
    """As from a codec whose payloads do not show where a predicted frame starts."""
    return [
        p if p.part.is_keyframe else replace(p, part=replace(p.part, starts_frame=False))
        for p in packets
    ]


def run(buffer: JitterBuffer, packets: Iterable[MediaPacket]) -> tuple[list[CodedFrame], int]:
    """Everything released, and how many keyframes were asked for."""
    frames: list[CodedFrame] = []
    requests = 0
    for packet in packets:
        released = buffer.add(packet)
        frames += released.frames
        requests += released.wants_keyframe
    return frames, requests


def video() -> JitterBuffer:
    return JitterBuffer(clock_hz=90_000)


def names(frames: Iterable[CodedFrame]) -> list[int]:
    """Which frames these are."""
    return [int(frame.data[1:].split(b".")[0]) for frame in frames]


def test_a_frame_is_released_with_its_own_last_packet() -> None:
    buffer = video()
    first, last = packets_of([2])
    assert buffer.add(first).frames == ()
    (frame,) = buffer.add(last).frames
    assert (frame.data, frame.is_keyframe, frame.after_loss) == (b"<0.0><0.1>", True, False)
    assert frame.arrived_ms == 1.0
    assert len(buffer) == 0


def test_without_markers_a_frame_is_released_by_the_next_timestamp() -> None:
    frames, requests = run(video(), packets_of([2, 1, 3], marker=False))
    assert (names(frames), requests) == ([0, 1], 0)


@given(
    st.lists(st.integers(1, 6), min_size=1, max_size=40),
    st.integers(0, 0xFFFF),
    st.integers(0, 0xFFFFFFFF),
    st.booleans(),
    st.integers(0, 2**32),
)
def test_any_reordering_and_duplication_gives_exactly_the_sent_frames_in_order(
    sizes: list[int], sequence: int, timestamp: int, marker: bool, seed: int
) -> None:
    sent = blind(packets_of(sizes, sequence=sequence, timestamp=timestamp, marker=marker))
    order = random.Random(seed)
    # Each packet is displaced by at most 5 places, which is less than the wait; the first is first.
    keyed = [(index + order.uniform(0, 5), packet) for index, packet in enumerate(sent[1:])]
    shuffled = [packet for _, packet in sorted(keyed, key=lambda pair: pair[0])]
    arriving = [sent[0]]
    for packet in shuffled:
        arriving += [packet] * order.choice((1, 1, 2))
    buffer = video()
    frames, requests = run(buffer, arriving)
    count = len(sizes) if marker else len(sizes) - 1
    assert names(frames) == list(range(count))
    assert b"".join(frame.data for frame in frames) == b"".join(
        packet.part.data for packet in sent if packet.timestamp in {f.timestamp for f in frames}
    )
    assert (requests, buffer.frames_lost, buffer.packets_lost) == (0, 0, 0)


def test_frames_behind_a_gap_wait_for_a_retransmission_and_all_come_out_with_it() -> None:
    packets = packets_of([1] * 6)
    late = packets.pop(2)
    buffer = video()
    frames, _ = run(buffer, packets)
    assert names(frames) == [0, 1]
    released = buffer.add(late)
    assert names(released.frames) == [2, 3, 4, 5]
    assert not any(frame.after_loss for frame in released.frames)
    assert buffer.frames_lost == 0


def test_a_gap_is_given_up_some_time_after_it_showed() -> None:
    packets = packets_of([1] * 20)
    del packets[2]
    buffer = video()
    waited_ms = next(
        packet.arrived_ms - packets[2].arrived_ms
        for packet in packets
        if 3 in names(buffer.add(packet).frames)
    )
    assert waited_ms == (VIDEO_WAIT_MS // 40 + 1) * 40
    assert (buffer.frames_lost, buffer.packets_lost) == (1, 1)


def test_frames_that_the_sender_left_out_do_not_shorten_the_wait() -> None:
    sent = packets_of([3, *[1] * 20])
    jump = 10 * INTERVAL  # nothing was sent for 0.4 s, say while a codec opened
    packets = [sent[0], *(replace(p, timestamp=p.timestamp + jump) for p in sent[2:])]
    packets[1] = sent[2]  # of the first frame
    buffer = video()
    frames, requests = run(buffer, packets[:6])
    assert (frames, requests, buffer.frames_lost) == ([], 0, 0)
    released = buffer.add(replace(sent[1], arrived_ms=170.0))
    assert names(released.frames) == [0, 1, 2, 3, 4]
    assert not released.frames[-1].after_loss


def test_frames_after_a_loss_are_marked_until_a_keyframe() -> None:
    packets = packets_of([1] * 30, keyframes=frozenset({0, 20}))
    del packets[5]
    frames, _ = run(video(), packets)
    assert [
        name for name, frame in zip(names(frames), frames, strict=True) if frame.after_loss
    ] == list(range(6, 20))


def test_where_no_payload_shows_a_start_the_frame_next_to_the_gap_is_given_up_too() -> None:
    packets = blind(packets_of([1] * 20))
    del packets[5]
    buffer = video()
    frames, _ = run(buffer, packets)
    assert names(frames) == [*range(5), *range(7, 20)]
    assert buffer.frames_lost == 1


def test_a_frame_with_a_packet_missing_inside_is_never_released() -> None:
    packets = packets_of([3] * 20)
    del packets[7]
    buffer = video()
    frames, _ = run(buffer, packets)
    assert names(frames) == [0, 1, *range(3, 20)]
    assert all(frame.data.count(b"<") == 3 for frame in frames)
    assert (buffer.frames_lost, buffer.packets_lost) == (1, 1)


def test_after_a_loss_keyframes_are_asked_for_at_the_set_interval_until_one_comes() -> None:
    packets = packets_of([1] * 100, keyframes=frozenset({0, 60}))
    del packets[10]
    buffer = video()
    asked = [p.timestamp // 90 for p in packets if buffer.add(p).wants_keyframe]
    steps = [later - earlier for earlier, later in pairwise(asked)]
    assert asked[0] <= 11 * 40 + VIDEO_WAIT_MS + 40
    assert all(step >= KEYFRAME_REQUEST_INTERVAL_MS for step in steps)
    assert len(asked) >= 5
    assert asked[-1] < 60 * 40


def test_nothing_is_released_before_the_first_keyframe_and_it_is_asked_for() -> None:
    frames, requests = run(video(), packets_of([1] * 12, keyframes=frozenset({10})))
    assert names(frames) == [10, 11]
    assert requests == 2


def test_a_keyframe_whose_packets_are_still_arriving_is_not_asked_for() -> None:
    keyframe = packets_of([4])
    _, requests = run(video(), [keyframe[0], keyframe[2], keyframe[1], keyframe[3]])
    assert requests == 0


def test_a_sender_that_starts_over_with_other_numbers_is_followed_at_once() -> None:
    buffer = video()
    run(buffer, packets_of([1] * 5, sequence=1000, timestamp=10**9))
    for restart in (
        packets_of([1] * 3, sequence=40_000, timestamp=7),
        packets_of([1] * 3, sequence=39_990, timestamp=2 * 10**9),  # numbers that look late
        packets_of([1] * 3, sequence=39_993, timestamp=2 * 10**9, ssrc=2),
    ):
        frames, _ = run(buffer, restart)
        assert names(frames) == [0, 1, 2]
        assert not frames[0].after_loss


def test_a_late_packet_of_a_frame_that_was_given_up_changes_nothing() -> None:
    packets = packets_of([1] * 20)
    lost = packets.pop(5)
    buffer = video()
    run(buffer, packets)
    assert buffer.add(lost).frames == ()
    assert len(buffer) == 0


def test_padding_between_frames_is_neither_a_frame_nor_a_loss() -> None:
    first, second = packets_of([1, 1])
    padding = replace(
        first,
        sequence_number=1,
        ends_frame=False,
        part=PayloadPart(data=b"", starts_frame=False, is_keyframe=False),
    )
    buffer = video()
    frames, requests = run(buffer, [first, padding, replace(second, sequence_number=2)])
    assert names(frames) == [0, 1]
    assert (requests, buffer.frames_lost) == (0, 0)


def test_a_frame_that_never_ends_is_dropped_before_it_fills_the_memory() -> None:
    buffer = video()
    endless = packets_of([CAPACITY_PACKETS + 100])
    for packet in endless[:-1]:
        buffer.add(packet)
        assert len(buffer) <= CAPACITY_PACKETS
    assert buffer.frames_lost == 1


def test_audio_goes_on_after_a_lost_packet_without_asking_for_anything() -> None:
    buffer = JitterBuffer(clock_hz=48_000, wait_ms=60)
    packets = packets_of([1] * 30, keyframes=frozenset(range(30)))
    packets = [replace(p, timestamp=index * 960) for index, p in enumerate(packets)]
    del packets[10]
    frames, requests = run(buffer, packets)
    assert names(frames) == [*range(10), *range(11, 30)]
    assert (requests, buffer.packets_lost) == (0, 1)
    assert not any(frame.after_loss for frame in frames)


@given(
    st.lists(
        st.builds(
            MediaPacket,
            ssrc=st.integers(0, 2),
            sequence_number=st.integers(0, 0xFFFF) | st.integers(0, 40),
            timestamp=st.integers(0, 0xFFFFFFFF) | st.integers(0, 100_000),
            ends_frame=st.booleans(),
            part=st.builds(
                PayloadPart,
                data=st.binary(max_size=3),
                starts_frame=st.booleans(),
                is_keyframe=st.booleans(),
            ),
            arrived_ms=st.just(0.0),
        ),
        max_size=100,
    )
)
def test_no_sequence_of_packets_breaks_it(packets: list[MediaPacket]) -> None:
    buffer = JitterBuffer(clock_hz=90_000, capacity_packets=16)
    for packet in packets:
        for frame in buffer.add(packet).frames:
            assert frame.data
        assert len(buffer) <= 16
