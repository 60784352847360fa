from hypothesis import given
from hypothesis import strategies as st

from decoder.output_timeline import DEFAULT_INTERVAL, MAX_STEP, OutputTimeline
from stream.frame import CLOCK_HZ

STEP = CLOCK_HZ // 25


def _run(timeline: OutputTimeline, first: int, count: int, *, now_ms: float) -> list[int]:
    """`count` frames 40 ms apart, from pts `first`."""
    return [
        timeline.map(first + index * STEP, now_ms=now_ms + 40 * index) for index in range(count)
    ]


def test_the_first_frame_is_at_zero_and_the_rest_keep_their_distance() -> None:
    assert _run(OutputTimeline(), 987_654, 3, now_ms=5) == [0, STEP, 2 * STEP]


def test_a_publisher_that_comes_back_goes_on_after_the_time_it_was_away() -> None:
    timeline = OutputTimeline()
    before = _run(timeline, 0, 10, now_ms=0)
    timeline.start_session()
    after = _run(timeline, 55_000_000, 3, now_ms=360 + 3000)
    assert after == [before[-1] + 3 * CLOCK_HZ + index * STEP for index in range(3)]


def test_a_publisher_that_comes_back_at_once_goes_on_one_frame_later() -> None:
    timeline = OutputTimeline()
    before = _run(timeline, 0, 10, now_ms=0)
    timeline.start_session()
    assert timeline.map(77, now_ms=361) == before[-1] + DEFAULT_INTERVAL


def test_a_jump_of_the_timestamps_leaves_no_gap() -> None:
    for target in (0, MAX_STEP + 20 * STEP, 10**9):
        timeline = OutputTimeline()
        before = _run(timeline, 10 * STEP, 10, now_ms=0)
        assert timeline.map(target, now_ms=400) == before[-1] + DEFAULT_INTERVAL
        assert timeline.map(target + STEP, now_ms=440) == before[-1] + DEFAULT_INTERVAL + STEP


def test_a_pause_of_the_source_stays_a_pause() -> None:
    timeline = OutputTimeline()
    before = _run(timeline, 0, 2, now_ms=0)
    assert timeline.map(STEP + 4 * CLOCK_HZ, now_ms=9000) == before[-1] + 4 * CLOCK_HZ


def test_sound_of_a_session_is_shifted_as_its_picture_is() -> None:
    timeline = OutputTimeline()
    for first, now_ms in ((123, 0.0), (9_000_000, 5000.0)):
        timeline.start_session()
        assert timeline.map(first, now_ms=now_ms) == first + timeline.shift


@given(
    steps=st.lists(
        st.tuples(st.integers(-(2**40), 2**40), st.floats(0, 1e7), st.booleans()), max_size=40
    )
)
def test_output_time_always_moves_on(steps: list[tuple[int, float, bool]]) -> None:
    timeline, now_ms, last = OutputTimeline(), 0.0, -1
    for pts, elapsed_ms, is_new in steps:
        now_ms += elapsed_ms
        if is_new:
            timeline.start_session()
        out = timeline.map(pts, now_ms=now_ms)
        assert out > last
        last = out
