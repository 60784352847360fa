import io
import json
from pathlib import Path

import pytest

from decoder.pipeline_counts import PipelineCounts
from decoder.report import Reporter
from decoder.sink_thread import SinkCounters, SinkState
from stream.errors import ConfigError
from stream.frame import Size
from stream.peer import PeerStats
from stream.stats import Percentiles


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def _counts(frames: int = 50, *, failed: int = 0) -> PipelineCounts:
    return PipelineCounts(
        frames_in=frames + 3,
        frames_restored=frames,
        frames_failed=failed,
        frames_held=4,
        frames_dropped=2,
        frames_unusable=1,
        model="live-xs-x2",
        backend="openvino bf16",
        lr_size=Size(width=640, height=360),
        hr_size=Size(width=1280, height=720),
        sinks=(
            SinkCounters(
                name="out.mp4",
                state=SinkState.FAILED,
                frames_written=frames - 1,
                frames_dropped=1,
                chunks_dropped=0,
                bytes_written=12_345,
                reason="out.mp4 stopped: No space left on device",
            ),
        ),
    )


def _stages() -> dict[str, Percentiles]:
    stages = {name: Percentiles() for name in ("wait", "extract", "total")}
    for value in range(1, 101):
        stages["wait"].add(value / 10)
        stages["total"].add(value)
    return stages


def _peer(wire_bytes: int) -> PeerStats:
    return PeerStats(wire_bytes_received=wire_bytes, codec="h264", packets_lost=4, frames_lost=5)


def _report(reporter: Reporter, *, seconds: int = 3) -> None:
    reporter.start_session("live", None, now_ms=0)
    for second in range(1, seconds + 1):
        reporter.update(
            "live", _peer(20_000 * second), _counts(25 * second), _stages(), now_ms=1000 * second
        )


def test_statistics_are_one_json_object_for_each_report(tmp_path: Path) -> None:
    path = tmp_path / "stats.jsonl"
    reporter = Reporter(path, io.StringIO())
    _report(reporter)
    reporter.close()
    records = [json.loads(line) for line in path.read_text().splitlines()]
    assert len(records) == 3
    last = records[-1]
    assert last["stream"] == "live"
    assert (last["codec"], last["wire_bps"], last["model"]) == ("h264", 160_000, "live-xs-x2")
    assert (last["frames_in"], last["frames_restored"], last["frames_dropped"]) == (78, 75, 2)
    assert last["frames_held"] == 4
    assert last["latency_ms"] == {
        "wait": {"p50": 5.0, "p95": 9.5, "p99": 9.9},
        "total": {"p50": 50.0, "p95": 95.0, "p99": 99.0},
    }
    assert (last["lr_size"], last["size"]) == ("640x360", "1280x720")
    assert last["outputs"][0]["state"] == "failed"


def test_statistics_are_appended_to_what_the_file_holds(tmp_path: Path) -> None:
    path = tmp_path / "stats.jsonl"
    path.write_text('{"old": 1}\n')
    reporter = Reporter(path, io.StringIO())
    _report(reporter, seconds=1)
    reporter.close()
    assert len(path.read_text().splitlines()) == 2


def test_a_full_disk_ends_the_statistics_and_nothing_else(
    caplog: pytest.LogCaptureFixture,
) -> None:
    reporter = Reporter(Path("/dev/full"), io.StringIO())
    _report(reporter)
    reporter.close()
    assert caplog.messages.count("no more statistics are written: No space left on device") == 1


def test_a_file_that_cannot_be_opened_is_the_users_to_correct(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="Is a directory"):
        Reporter(tmp_path, io.StringIO())


def test_a_terminal_shows_one_line_that_renews_itself() -> None:
    out = _Terminal()
    reporter = Reporter(None, out)
    _report(reporter)
    text = out.getvalue()
    assert text.count("\r\x1b[K") == 3
    assert "\n" not in text
    assert text.endswith(
        "live: h264 160 kb/s on the wire, 640x360 to 1280x720 by live-xs-x2, in 78, restored 75, "
        "dropped 2, latency p95 95 ms"
    )


def test_a_pipe_gets_the_summary_alone() -> None:
    out = io.StringIO()
    reporter = Reporter(None, out)
    _report(reporter)
    assert out.getvalue() == ""
    reporter.summarise("live", _counts(75, failed=7), _stages())
    assert out.getvalue().splitlines() == [
        "stream live: 60 kB on the wire in 3 s, 160 kb/s",
        "  640x360 to 1280x720 by live-xs-x2 on openvino bf16",
        "  frames in 78, restored 75 (7 only resized), dropped 8: 2 restoration behind, "
        "1 not restorable, 5 lost on the way",
        "      wait ms: p50 5.0, p95 9.5, p99 9.9",
        "     total ms: p50 50.0, p95 95.0, p99 99.0",
        "  out.mp4: 74 frames, 1 dropped, 12 kB, failed (out.mp4 stopped: No space left on device)",
    ]


def test_a_stream_that_never_showed_a_picture_is_summarised_too() -> None:
    out = io.StringIO()
    reporter = Reporter(None, out)
    reporter.start_session("live", None, now_ms=0)
    reporter.summarise("live", PipelineCounts(model="auto"), {})
    assert "  - to - by auto on no network" in out.getvalue().splitlines()


def test_a_second_publisher_continues_the_counts(tmp_path: Path) -> None:
    path = tmp_path / "stats.jsonl"
    reporter = Reporter(path, io.StringIO())
    _report(reporter)
    reporter.start_session("live", _peer(60_000), now_ms=4000)
    reporter.update("live", _peer(5000), _counts(), _stages(), now_ms=5000)
    reporter.close()
    last = json.loads(path.read_text().splitlines()[-1])
    assert (last["wire_bytes"], last["packets_lost"]) == (65_000, 8)
