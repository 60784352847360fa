from hypothesis import given
from hypothesis import strategies as st

from encoder.delta_pacing import PIECE_OVERHEAD_BYTES, DeltaPacing


def test_pieces_keep_to_the_budget_and_the_video_leaves_it_only_meanwhile() -> None:
    pacing = DeltaPacing(10_000)
    assert pacing.reserved_bps == 0
    pieces = [bytes([number]) * 1100 for number in range(9)]
    pacing.start(pieces, now_ms=5000)
    assert pacing.reserved_bps == 10_000
    assert pacing.due(now_ms=5000) == []  # the video gives way first
    sent = []
    for now_ms in range(5000, 20_000, 100):
        sent += pacing.due(now_ms=now_ms)
        assert 8 * pacing.wire_bytes <= 10_000 * (now_ms - 5000 + 100) / 1000
    assert sent == pieces
    assert not pacing.is_sending
    assert pacing.reserved_bps == 0
    assert pacing.wire_bytes == 9 * (1100 + PIECE_OVERHEAD_BYTES)


@given(
    st.lists(st.integers(1, 1110), min_size=1, max_size=30),
    st.lists(st.integers(1, 5000), max_size=60),
)
def test_no_stretch_of_time_takes_more_than_its_share(sizes: list[int], waits: list[int]) -> None:
    pacing, now_ms, log = DeltaPacing(20_000), 0, []
    for wait_ms in waits:
        if not pacing.is_sending:
            pacing.start([bytes(size) for size in sizes], now_ms=now_ms)
        now_ms += wait_ms
        before = pacing.wire_bytes
        pacing.due(now_ms=now_ms)
        log.append((now_ms, pacing.wire_bytes - before))
    total = sum(size for _, size in log)
    assert 8 * total <= 20 * now_ms + 1e-6


def test_what_is_left_of_a_delta_can_be_given_up() -> None:
    pacing = DeltaPacing(10_000)
    pacing.start([b"a" * 1100] * 5, now_ms=0)
    assert len(pacing.due(now_ms=1000)) == 1
    pacing.stop()
    assert not pacing.is_sending
    assert pacing.due(now_ms=100_000) == []
    pacing.start([b"b"], now_ms=1000)
    assert pacing.due(now_ms=1000) == []
    assert pacing.due(now_ms=3000) == [b"b"]
