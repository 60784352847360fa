from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from benchmarks.governor import GovernorRun, limit_ms, part, report, report_lines, watch
from benchmarks.governor_plot import plot, tier_colours
from benchmarks.watched_receiver import LIBRARY_THREADS, Newest, thread_cpu_s
from stream.errors import ConfigError
from stream.frame import Size
from stream.stats import Percentiles
from tests.clips import write_clip

Line = dict[str, Any]
RUN = GovernorRun(
    clip="a/clip.mp4",
    lr_size=Size(width=64, height=48),
    size=Size(width=128, height=96),
    alone_s=4.0,
    beside_s=6.0,
)


def _lines(*, dropped_from_s: float = 99.0, busy_ms: float = 60.0) -> list[Line]:
    """14 s at 24 frames a second: live-xs but for Lanczos from 4 to 10 s, which then is late."""
    lines, by_tier, dropped = [], {"live-xs-x2": 0, "lanczos": 0}, 0
    for half in range(29):
        at_s = half / 2
        is_beside = 4 < at_s <= 10
        by_tier["lanczos" if is_beside else "live-xs-x2"] += 12
        dropped += at_s >= dropped_from_s
        lines.append(
            {
                "at_s": at_s,
                "cpu_s": {"restorer live": 0.2 * half, "MainThread": 0.01 * half},
                "process_cpu_s": 0.25 * half,
                "model": "live-xs-x2",
                "backend": "openvino bf16",
                "frames_restored": 12 * (half + 1),
                "frames_dropped": dropped,
                "frames_by_tier": dict(by_tier),
                "total_ms": [30.0] * 10 + [busy_ms if is_beside else 40.0] * 2,
            }
        )
    return lines


def test_a_part_of_a_run_counts_what_became_of_its_own_frames_only() -> None:
    each = part(_lines(dropped_from_s=9.0), 4.0, 10.0)
    assert (each.frames, each.dropped, each.by_tier) == (144, 3, {"lanczos": 144})
    assert (each.p50_ms, each.p95_ms, each.cores) == (30.0, 60.0, 0.5)
    assert each.cpu_ms == {"restorer live": 16.67, "MainThread": 0.83}
    with pytest.raises(ConfigError, match="no frame came out"):
        part(_lines(), 20.0, 30.0)


@pytest.mark.parametrize(
    ("dropped_from_s", "busy_ms", "holds"),
    [(99.0, 119.0, True), (9.0, 119.0, False), (99.0, 121.0, False), (11.0, 60.0, True)],
)
def test_what_counts_is_the_time_beside_the_neighbour(
    dropped_from_s: float, busy_ms: float, holds: bool
) -> None:
    figures = report(RUN, _lines(dropped_from_s=dropped_from_s, busy_ms=busy_ms))
    assert figures["limit_ms"] == limit_ms(1) == 120.0
    assert figures["holds"] is holds
    assert list(figures["parts"]) == ["alone", "beside", "alone again"]
    assert report_lines(figures)[-1].endswith("does not hold" if not holds else ": holds")


def test_the_plot_is_a_picture_with_every_tier_and_the_limit() -> None:
    figures = report(RUN, _lines(dropped_from_s=9.0))
    picture = ElementTree.fromstring(plot(figures))
    texts = [element.text or "" for element in picture.iter() if element.tag.endswith("text")]
    assert {"live-xs-x2", "lanczos", "limit 120 ms", "-1"} <= set(texts)
    assert (
        tier_colours(figures["moments"])["lanczos"]
        != tier_colours(figures["moments"])["live-xs-x2"]
    )


def test_processor_time_is_told_by_thread() -> None:
    done = threading.Event()

    def compute() -> None:
        end_s = time.thread_time() + 0.05
        while time.thread_time() < end_s:
            pass
        done.wait(30)

    worker = threading.Thread(target=compute, name="computes")
    worker.start()
    try:
        deadline_s = time.monotonic() + 30
        while thread_cpu_s()["computes"] < 0.03:
            assert time.monotonic() < deadline_s
    finally:
        done.set()
        worker.join()
    assert "MainThread" in thread_cpu_s()
    assert all(used >= 0 for used in thread_cpu_s().values())
    assert LIBRARY_THREADS != "MainThread"


def test_only_new_values_are_told() -> None:
    newest, values = Newest(), Percentiles(capacity=4)
    values.add(1.0)
    assert newest.take(values) == [1.0]
    assert newest.take(values) == []
    for value in range(6):
        values.add(float(value))
    assert newest.take(values) == [2.0, 3.0, 4.0, 5.0]


async def test_a_run_watches_real_programs_beside_a_busy_process(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", times_ms=range(0, 2000, 40))
    run = GovernorRun(
        clip=str(clip),
        lr_size=Size(width=64, height=48),
        size=Size(width=128, height=96),
        alone_s=1.5,
        beside_s=1.5,
        receiver=("--output", "null:", "--model", "lanczos"),
    )
    lines = await watch(run)
    assert lines[-1]["at_s"] >= run.seconds
    whole = part(lines, 0.0, lines[-1]["at_s"])
    assert whole.by_tier == {"lanczos": whole.frames}
    assert whole.frames > 10
    assert 0 < whole.p50_ms <= whole.p95_ms
    assert any(name.startswith("restorer") for name in whole.cpu_ms)
