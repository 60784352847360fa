from benchmarks.live.latency import percentiles, picture_times
from benchmarks.live.playout import play
from benchmarks.live.wire_record import PicturePackets

FED = {number: 40.0 * (number - 10) for number in range(10, 20)}


def test_pictures_in_time_are_seen_each_at_its_moment() -> None:
    playout = play(FED, {number: at_ms + 150 for number, at_ms in FED.items()}, delay_ms=200)
    assert playout.shown == tuple(FED)
    assert (playout.dropped, playout.late, playout.longest_freeze) == (0, 0, 1)


def test_instead_of_a_dropped_picture_the_one_before_stays() -> None:
    out = {number: at_ms + 150 for number, at_ms in FED.items() if number not in (13, 14)}
    playout = play(FED, out, delay_ms=200)
    assert playout.shown[:6] == (10, 11, 12, 12, 12, 15)
    assert (playout.dropped, playout.late, playout.longest_freeze) == (2, 0, 3)


def test_a_late_picture_counts_as_missing_at_its_moment_and_may_be_seen_after_it() -> None:
    out = {number: at_ms + 150 for number, at_ms in FED.items()}
    out[13] = FED[13] + 230  # 30 ms late: shown neither then nor later, 14 came before that
    playout = play(FED, out, delay_ms=200)
    assert playout.shown == (10, 11, 12, 12, 14, 15, 16, 17, 18, 19)
    assert (playout.dropped, playout.late) == (0, 1)


def test_a_picture_is_never_seen_before_its_moment() -> None:
    playout = play(FED, {number: FED[number] for number in FED}, delay_ms=200)
    assert playout.shown == tuple(FED)


def test_everything_late_is_seen_late() -> None:
    out = {number: at_ms + 280 for number, at_ms in FED.items()}  # two frames too late
    playout = play(FED, out, delay_ms=200)
    assert playout.shown == (10, 10, 10, 11, 12, 13, 14, 15, 16, 17)
    assert playout.late == len(FED)


def test_where_nothing_came_nothing_was_seen() -> None:
    playout = play(FED, {}, delay_ms=200)
    assert set(playout.shown) == {None}
    assert playout.dropped == len(FED)


def test_the_stages_of_a_picture_add_up_to_glass_to_glass() -> None:
    packets = PicturePackets(timestamp=0, first_ms=20.0, last_ms=24.0, packets=2, bytes=900)
    times = picture_times({10: 5.0, 11: 45.0}, {10: packets}, {10: 94.0, 11: 130.0})
    assert [each.total_ms for each in times] == [89.0]
    figures = percentiles(times)
    assert figures["send"]["p50"] == 15.0
    assert figures["wire"]["p95"] == 4.0
    assert figures["receive"]["p99"] == 70.0
