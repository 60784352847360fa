"""What live runs say: how many per cent of bits each way of sending needs, at equal quality seen.

Quality is what a viewer saw, dropped and late pictures included; bits are those of the video's
packets on the wire.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import mean
from typing import Any

from benchmarks.bandwidth.curves import Curve, RatePoint, bd_rate, envelope, pareto
from benchmarks.live.point import DIRECT

RESTORED, LANCZOS = "restored", "lanczos"


def live_curves(figures: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, Curve]]:
    """By way of sending (direct, restored, lanczos) and clip: the best of all sizes at each rate.

    Runs in which nothing came are left out.
    figures: of one codec, as `benchmarks.live.point.measure_live` gives them.
    """
    points: dict[str, dict[str, dict[str, list[RatePoint]]]] = {
        way: {} for way in (DIRECT, RESTORED, LANCZOS)
    }
    for run in figures:
        is_direct = run["model"] == DIRECT
        ways = {DIRECT if is_direct else RESTORED: run["psnr_y_db"]}
        if not is_direct:
            ways[LANCZOS] = run["psnr_y_lanczos_db"]
        for way, quality in ways.items():
            if quality is not None and run["video_bps"] > 0:
                point = RatePoint(bps=run["video_bps"], quality=quality)
                by_size = points[way].setdefault(run["clip"], {})
                by_size.setdefault(str(run["lr_size"]), []).append(point)
    return {
        way: {
            clip: envelope([pareto(found) for found in by_size.values()])
            for clip, by_size in by_clip.items()
        }
        for way, by_clip in points.items()
    }


def live_rows(figures: Sequence[Mapping[str, Any]]) -> list[tuple[str, ...]]:
    """Heading and rows of a table: BD-rate (PSNR-Y) against direct HD of the same codec."""
    rows: list[tuple[str, ...]] = [("live, against direct HD", "BD-rate, PSNR-Y", "clips")]
    for codec in sorted({run["codec"] for run in figures}):
        curves = live_curves(run for run in figures if run["codec"] == codec)
        for way in (RESTORED, LANCZOS):
            found = [
                bd_rate(curves[DIRECT][clip], curve)
                for clip, curve in curves[way].items()
                if clip in curves[DIRECT]
            ]
            told = [each.percent for each in found if each.percent is not None]
            reasons = ", ".join(sorted({each.reason for each in found if each.percent is None}))
            value = f"{mean(told):+.1f} %" if told else reasons or "no runs"
            rows.append((f"{codec}, {way}", value, f"{len(told)} of {len(found)}"))
    late = sum(run["frames_late"] + run["frames_dropped"] for run in figures)
    frames = sum(run["frames"] for run in figures)
    rows.append(("pictures dropped or late", f"{late} of {frames}", f"{len(figures)} runs"))
    return rows
