"""What the tables of the link report say: of made-up runs, and of real ones where root allows."""

from __future__ import annotations

from dataclasses import asdict

import pytest

from benchmarks.link import PathInterval, RtpStream, why_no_link
from benchmarks.link_page import page_text
from benchmarks.link_passage import Passage
from benchmarks.link_receiver import SeenFrame
from benchmarks.link_report import loss_row, measure_loss, measure_step, step_row
from stream.errors import EdvrError

needs_link = pytest.mark.skipif(why_no_link() is not None, reason=str(why_no_link()))
SENDER = ["test:", "--size", "320x180", "--no-audio", "--codec", "h264"]


def passage(
    frames: list[SeenFrame] | None = None,
    kbps: list[float] | None = None,
    *,
    trace_ms: float = 0,
    streams: tuple[RtpStream, ...] = (),
) -> Passage:
    """Rates are of intervals of 100 ms, beginning with the trace."""
    forward = [
        PathInterval(at_ms=trace_ms + 100 * index, sent_bytes=round(12.5 * rate), wait_ms=index)
        for index, rate in enumerate(kbps or [])
    ]
    return Passage(
        frames=tuple(frames or []),
        forward=tuple(forward),
        backward=(),
        streams=streams,
        trace_ms=trace_ms,
        codec="h264",
    )


def seen(index: int, *, late_ms: float = 0, is_whole: bool = True) -> SeenFrame:
    return SeenFrame(pts=3600 * index, at_ms=1000 + 40 * index + late_ms, is_whole=is_whole)


def sent(pictures: int) -> tuple[RtpStream, ...]:
    """So many pictures in one packet of 100 bytes each, and 20 retransmissions."""
    return (
        RtpStream(ssrc=1, packets=pictures, size_bytes=100 * pictures, pictures=pictures),
        RtpStream(ssrc=2, packets=20, size_bytes=2000, pictures=18),
    )


def test_missing_and_damaged_pictures_are_not_whole_and_freeze_the_picture() -> None:
    frames = [seen(n, is_whole=n != 5) for n in range(100) if n not in (3, 4)]
    row = loss_row(passage(frames, streams=sent(100)), 0.05, frame_rate=25)
    assert (row.frames, row.not_sent) == (100, 0)
    assert row.whole_percent == 97.0
    assert row.longest_freeze_ms == 120
    assert (row.sent_bytes, row.overhead_percent) == (12_000, 20.0)
    assert row.loss_percent == 5.0


def test_pictures_that_the_sender_left_out_were_not_lost_on_the_way() -> None:
    frames = [seen(n) for n in range(100) if n not in (3, 4)]
    row = loss_row(passage(frames, streams=sent(98)), 0.05, frame_rate=25)
    assert (row.frames, row.not_sent, row.whole_percent) == (98, 2, 100.0)


def test_a_late_picture_is_a_freeze_too() -> None:
    frames = [seen(n, late_ms=200 if n == 7 else 0) for n in range(20)]
    row = loss_row(passage(frames, streams=sent(20)), 0.0, frame_rate=25)
    assert row.longest_freeze_ms == 200


def test_a_run_without_a_picture_is_an_error() -> None:
    with pytest.raises(EdvrError, match="not one picture"):
        loss_row(passage(streams=sent(5)), 0.0, frame_rate=25)


def test_the_times_to_yield_and_to_recover_are_read_from_the_rate_sent() -> None:
    high, low = [200.0] * 100, [120.0] * 95
    climb = [120 + 2.0 * index for index in range(100)]  # 180 after 3 s
    row = step_row(
        passage(kbps=[*high, *[200.0] * 5, *low, *climb], trace_ms=3000),
        high_bps=300_000,
        low_bps=150_000,
        part_s=10,
    )
    assert (row.before_kbps, row.low_kbps) == (200.0, 120.0)
    assert row.yielded_s == pytest.approx(0.2)
    assert row.under_s == pytest.approx(0.1)  # 0.4 s of 200 and 0.6 s of 120 are 152 in a second
    assert row.recovered_s == pytest.approx(2.6, abs=0.11)
    assert row.longest_queue_ms == 299
    assert row.busiest_percent == 80.0
    assert len(row.rates) == 60
    assert [each.link_kbps for each in row.rates[::20]] == [300, 150, 300]
    assert row.rates[10].sent_kbps == pytest.approx(200)
    assert row.rates[35].sent_kbps == pytest.approx(120)
    assert row.rates[20].queue_ms == 99


def test_the_page_shows_rates_over_time_and_both_tables() -> None:
    step = step_row(
        passage(kbps=[200.0] * 100 + [100.0] * 200), high_bps=300_000, low_bps=150_000, part_s=10
    )
    loss = loss_row(passage([seen(n) for n in range(20)], streams=sent(20)), 0.05, frame_rate=25)
    page = page_text(
        {
            "machine": {"cores": 2, "processor": "P <fast>"},
            "figures": {
                "settings": {"round_trip_ms": 50},
                "loss": [asdict(loss)],
                "step": [asdict(step)],
            },
        }
    )
    assert "P &lt;fast&gt;" in page
    assert "50 ms of" in page
    assert "<td>never</td>" in page  # it did not recover
    assert page.count("Plotly.newPlot") >= 1
    assert "https://" not in page.split("</script>", 1)[1]


def test_a_rate_that_never_comes_back_is_said_to_be_so() -> None:
    row = step_row(
        passage(kbps=[200.0] * 100 + [100.0] * 200), high_bps=300_000, low_bps=150_000, part_s=10
    )
    assert row.under_s == 0.0
    assert row.recovered_s is None


@needs_link
def test_of_a_real_stream_over_a_lossy_link_nearly_all_pictures_are_whole() -> None:
    row = measure_loss(
        0.05, [*SENDER, "--bitrate", "100k", "--duration", "6"], delay_ms=25, frame_rate=25
    )
    assert row.frames > 30
    assert row.whole_percent > 85  # 100 on a quiet machine; without retransmissions 40


@needs_link
def test_a_real_sender_yields_to_a_link_that_became_thinner() -> None:
    row = measure_step(
        [*SENDER, "--bitrate", "250k"],
        high_bps=500_000,
        low_bps=120_000,
        part_s=4,
        delay_ms=25,
    )
    assert row.low_kbps < 1.05 * 120
    assert row.low_kbps < 0.8 * 250
