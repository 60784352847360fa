import pytest

from encoder.content_limits import coded_effort
from encoder.effort_meter import LEAST_MS, WINDOW_MS, EffortMeter
from stream.frame import Size

SMALL, LARGE = Size(width=320, height=180), Size(width=640, height=360)


def feed(
    meter: EffortMeter, mse: float, *, from_ms: float, to_ms: float, size: Size = SMALL
) -> None:
    for now_ms in range(round(from_ms), round(to_ms), 40):
        meter.add(mse, size=size, bitrate_bps=100_000, now_ms=now_ms)


def effort(meter: EffortMeter) -> tuple[Size, float]:
    assert meter.effort is not None
    return meter.effort


def test_nothing_is_said_before_a_size_has_been_coded_for_a_while() -> None:
    assert EffortMeter().effort is None
    meter = EffortMeter()
    feed(meter, 10, from_ms=0, to_ms=LEAST_MS)
    assert not meter.effort
    feed(meter, 10, from_ms=LEAST_MS, to_ms=LEAST_MS + 80)
    assert effort(meter)[0] == SMALL
    assert effort(meter)[1] == pytest.approx(coded_effort(10, 100_000))
    feed(meter, 10, from_ms=LEAST_MS + 80, to_ms=LEAST_MS + 120, size=LARGE)
    assert not meter.effort


def test_what_is_long_ago_does_not_count() -> None:
    meter = EffortMeter()
    feed(meter, 50, from_ms=0, to_ms=5000)
    feed(meter, 10, from_ms=5000, to_ms=5000 + WINDOW_MS)
    assert effort(meter)[0] == SMALL
    assert effort(meter)[1] == pytest.approx(coded_effort(10, 100_000))


def test_after_a_change_of_rate_the_same_pictures_are_as_hard_as_before() -> None:
    low, high = EffortMeter(), EffortMeter()
    for now_ms in range(0, 3000, 40):
        low.add(44.0, size=SMALL, bitrate_bps=100_000, now_ms=now_ms)
        high.add(44.0 / 2**1.1, size=SMALL, bitrate_bps=200_000, now_ms=now_ms)
    assert effort(low)[1] == pytest.approx(effort(high)[1])
