"""Glass to glass, by stage: where the time between a picture's entry and its exit goes. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from benchmarks.live.wire_record import PicturePackets
from stream.stats import Percentiles

STAGES = ("send", "wire", "receive", "total")


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureTimes:
    """One picture's way in ms.

    send: handed to the sender until its first packet leaves (reading, shrinking, coding, queueing);
    wire: until its last packet reaches the receiver; receive: until the restored picture is out
    (jitter buffer, decoding, waiting for a future, restoring, writing).
    """

    send_ms: float
    wire_ms: float
    receive_ms: float

    @property
    def total_ms(self) -> float:
        """Glass to glass."""
        return self.send_ms + self.wire_ms + self.receive_ms


def picture_times(
    fed_ms: Mapping[int, float],
    on_wire: Mapping[int, PicturePackets],
    came_out_ms: Mapping[int, float],
) -> list[PictureTimes]:
    """Times of every picture that came out and whose packets were seen, in order."""
    return [
        PictureTimes(
            send_ms=on_wire[number].first_ms - fed_ms[number],
            wire_ms=on_wire[number].last_ms - on_wire[number].first_ms,
            receive_ms=came_out_ms[number] - on_wire[number].last_ms,
        )
        for number in sorted(came_out_ms)
        if number in fed_ms and number in on_wire
    ]


def percentiles(times: list[PictureTimes]) -> dict[str, dict[str, float]]:
    """p50, p95 and p99 in ms by stage; the stages of one percentile need not add up."""
    collected = {stage: Percentiles() for stage in STAGES}
    for each in times:
        for stage in STAGES:
            collected[stage].add(getattr(each, f"{stage}_ms"))
    return {
        stage: {name: round(value, 1) for name, value in values.summary().items()}
        for stage, values in collected.items()
    }
