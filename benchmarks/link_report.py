"""What loss and a changing rate do to a stream: real processes over an emulated link.

The sender is `edvr-send`; the other end is the product's receiving peer (`link_receiver`). Rates
are of IP packets. Needs root, as every emulated link.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from benchmarks.link import LinkConfig, PathConfig, PathInterval, RatePoint, RateTrace
from benchmarks.link_passage import Passage, send_over
from stream.errors import EdvrError
from stream.frame import CLOCK_HZ

ONE_WAY_MS = 25.0
LOSS_RATIOS = (0.0, 0.01, 0.03, 0.05, 0.1)
HIGH_BPS = 300_000
RATE_POINT_S = 0.5
"""Between two of a run's rates."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LossRow:
    """whole_percent: pictures that came undamaged, of those sent.

    frames: sent, each counted once; not_sent: those of the source that the sender left out, since
    its machine was too slow. longest_freeze_ms: between two whole pictures, beyond a frame
    interval. sent_bytes: of RTP on the link, forward; overhead_percent: what of it is not the first
    passage of a video packet (retransmissions, probes), in shares of the rest.
    """

    loss_percent: float
    codec: str | None
    frames: int
    not_sent: int
    whole_percent: float
    longest_freeze_ms: float
    sent_bytes: int
    overhead_percent: float


def measure_loss(
    loss_ratio: float,
    sender: Sequence[str],
    *,
    delay_ms: float,
    frame_rate: float,
    seed: int = 1,
) -> LossRow:
    """Losses in both directions; delay_ms in each."""
    path = PathConfig(delay_ms=delay_ms, loss_ratio=loss_ratio, seed=seed)
    back = PathConfig(delay_ms=delay_ms, loss_ratio=loss_ratio, seed=seed + 1000)
    passage = send_over(LinkConfig(forward=path, backward=back), sender)
    return loss_row(passage, loss_ratio, frame_rate=frame_rate)


def loss_row(passage: Passage, loss_ratio: float, *, frame_rate: float) -> LossRow:
    """The figures of one run without sound."""
    frames = passage.frames
    if not frames or not passage.streams:
        raise EdvrError("not one picture came")
    video = max(passage.streams, key=lambda stream: stream.pictures)
    captured = round((frames[-1].pts - frames[0].pts) / CLOCK_HZ * frame_rate) + 1
    whole = [frame for frame in frames if frame.is_whole]
    freezes = [
        (later.at_ms - earlier.at_ms) - 1000 * (1 / frame_rate)
        for earlier, later in pairwise(whole)
    ]
    sent_bytes = sum(stream.size_bytes for stream in passage.streams)
    return LossRow(
        loss_percent=100 * loss_ratio,
        codec=passage.codec,
        frames=video.pictures,
        not_sent=max(0, captured - video.pictures),
        whole_percent=round(100 * len(whole) / video.pictures, 2),
        longest_freeze_ms=round(max(freezes, default=0.0)),
        sent_bytes=sent_bytes,
        overhead_percent=round(100 * (sent_bytes / video.size_bytes - 1), 1),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class RateMoment:
    """One point of a run over a link of changing rate."""

    sent_kbps: float
    link_kbps: float
    queue_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRow:
    """A link that falls to a lower rate and recovers.

    rates: over the run, every RATE_POINT_S: what was sent in the second up to then, what the link
    carried, and the longest wait in its queue since the point before.

    before_kbps, low_kbps, after_kbps: mean rate sent in the last 5 s of each part. yielded_s:
    how long after the drop a second began in which no more was sent than the link carries; None if
    none did. under_s: the same of the last second in which more was sent, 0 if in none.
    busiest_percent: the most that was sent in any second that began 1 s after the drop or later, of
    what the link carries.
    recovered_s: how long after the recovery a second began in which 90 % of before_kbps was sent;
    None if none did. longest_queue_ms: on the link.
    """

    codec: str | None
    high_kbps: float
    low_kbps_link: float
    before_kbps: float
    low_kbps: float
    after_kbps: float
    yielded_s: float | None
    under_s: float
    busiest_percent: float
    recovered_s: float | None
    longest_queue_ms: float
    rates: tuple[RateMoment, ...] = ()


def measure_step(
    sender: Sequence[str], *, high_bps: int, low_bps: int, part_s: float, delay_ms: float
) -> StepRow:
    """Three parts of `part_s`: high, low, high."""
    rate = RateTrace(
        points=(
            RatePoint(at_ms=0, rate_bps=high_bps),
            RatePoint(at_ms=1000 * part_s, rate_bps=low_bps),
            RatePoint(at_ms=2000 * part_s, rate_bps=high_bps),
        )
    )
    path = PathConfig(rate=rate, delay_ms=delay_ms, queue_ms=1000)
    back = PathConfig(delay_ms=delay_ms)
    arguments = [*sender, "--duration", f"{3 * part_s:g}"]
    passage = send_over(LinkConfig(forward=path, backward=back), arguments)
    return step_row(passage, high_bps=high_bps, low_bps=low_bps, part_s=part_s)


def step_row(passage: Passage, *, high_bps: int, low_bps: int, part_s: float) -> StepRow:
    """The figures of one run."""
    # Whole milliseconds, so that an interval never counts twice for a rounding.
    intervals = [(round(each.at_ms - passage.trace_ms), each) for each in passage.forward]

    def between(from_s: float, to_s: float) -> list[PathInterval]:
        first_ms, end_ms = round(1000 * from_s), round(1000 * to_s)
        return [each for at_ms, each in intervals if first_ms <= at_ms < end_ms]

    def kbps(from_s: float, to_s: float) -> float:
        return sum(each.sent_bytes for each in between(from_s, to_s)) * 8 / 1000 / (to_s - from_s)

    tail_s = min(5.0, part_s / 2)
    before, low, after = (
        kbps((part + 1) * part_s - tail_s - (part == 2), (part + 1) * part_s - (part == 2))
        for part in range(3)
    )
    steps = [index / 10 for index in range(int(10 * (part_s - 1)))]
    over = [at_s for at_s in steps if kbps(part_s + at_s, part_s + at_s + 1) > low_bps / 1000]
    under = [at_s for at_s in steps if at_s not in over]
    busiest = max(kbps(part_s + at_s, part_s + at_s + 1) for at_s in steps if at_s >= 1)
    back = [
        at_s for at_s in steps if kbps(2 * part_s + at_s, 2 * part_s + at_s + 1) >= 0.9 * before
    ]
    return StepRow(
        codec=passage.codec,
        high_kbps=high_bps / 1000,
        low_kbps_link=low_bps / 1000,
        before_kbps=round(before, 1),
        low_kbps=round(low, 1),
        after_kbps=round(after, 1),
        yielded_s=min(under, default=None),
        under_s=max(over, default=0.0),
        busiest_percent=round(100_000 * busiest / low_bps, 1),
        recovered_s=min(back, default=None),
        longest_queue_ms=round(max(interval.wait_ms for interval in passage.forward)),
        rates=tuple(
            RateMoment(
                sent_kbps=round(kbps(max(0.0, at_s - 1), at_s), 1) if at_s else 0.0,
                link_kbps=(low_bps if part_s <= at_s < 2 * part_s else high_bps) / 1000,
                queue_ms=round(
                    max((each.wait_ms for each in between(at_s - RATE_POINT_S, at_s)), default=0)
                ),
            )
            for at_s in (RATE_POINT_S * index for index in range(int(3 * part_s / RATE_POINT_S)))
        ),
    )


def run_link_report(
    sender: Sequence[str],
    *,
    codecs: Sequence[str],
    bitrate: str,
    frame_rate: float,
    seconds: float,
) -> dict[str, list[LossRow | StepRow]]:
    """Both tables, row by row. sender: arguments of `edvr-send` but for rate, codec and length."""
    loss: list[LossRow | StepRow] = []
    step: list[LossRow | StepRow] = []
    for codec in codecs:
        common = [*sender, "--codec", codec]
        fixed = [*common, "--bitrate", bitrate, "--duration", f"{seconds:g}"]
        loss += [
            measure_loss(loss_ratio, fixed, delay_ms=ONE_WAY_MS, frame_rate=frame_rate)
            for loss_ratio in LOSS_RATIOS
        ]
        step.append(
            measure_step(
                [*common, "--bitrate", "auto"],
                high_bps=HIGH_BPS,
                low_bps=HIGH_BPS // 2,
                part_s=seconds,
                delay_ms=ONE_WAY_MS,
            )
        )
    return {"loss": loss, "step": step}
