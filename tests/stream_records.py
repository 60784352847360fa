"""Figures of a stream, made by the very code that writes `--stats`."""

from __future__ import annotations

import io

from decoder.pipeline_counts import PipelineCounts
from decoder.report import Reporter
from decoder.sink_thread import SinkCounters, SinkState
from decoder.viewing.view import ViewCounts
from stream.frame import Size
from stream.peer import PeerStats
from stream.stats import Percentiles


def stream_record(name: str, **changes: object) -> dict[str, object]:
    """The figures of a stream that is restored into one file, with some fields changed."""
    reporter = Reporter(None, io.StringIO())
    reporter.start_session(name, None, now_ms=0.0)
    total = Percentiles()
    for latency_ms in (60.0, 64.0, 90.0):
        total.add(latency_ms)
    file = SinkCounters(
        name="restored.mp4",
        state=SinkState.WRITING,
        frames_written=5,
        frames_dropped=1,
        chunks_dropped=0,
        bytes_written=2000,
        reason=None,
    )
    counts = PipelineCounts(
        frames_in=6,
        frames_restored=6,
        model="live-xs-x2",
        lr_size=Size(width=640, height=360),
        hr_size=Size(width=1280, height=720),
        sinks=(file,),
    )
    peer = PeerStats(wire_bytes_received=1000, codec="h264")
    viewers = {"restored": ViewCounts(viewers=3)}
    reporter.update(name, peer, counts, {"total": total}, viewers=viewers, now_ms=1000.0)
    return {**reporter.records[name], "publishing": False, **changes}
