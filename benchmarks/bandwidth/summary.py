"""What the points say: every family's curves against every direct curve. No I/O.

A *family* is what one sender can choose from: one direct encoder at its rates, or one codec of the
small picture at all sizes and rates, restored one way. Its curve is the upper hull: at each rate
the best of what it can choose from.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import mean
from typing import Any, Literal, get_args

from benchmarks.bandwidth.curves import (
    Curve,
    RatePoint,
    bd_rate,
    bootstrap_interval,
    crossover,
    envelope,
    geometric_mean,
    pareto,
    rate_for,
)
from benchmarks.bandwidth.judge import METRICS
from benchmarks.bandwidth.points import Point

Bits = Literal["coded_bps", "wire_bps"]
"""Of the access units alone, or in RTP packets with their headers."""

H264_ANCHOR = "direct x264-veryfast"
"""What broadcasters send today; the table of needed rates starts from it."""


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Family:
    """kind: direct, lanczos, restored or adapted. coding: of what travels."""

    kind: str
    coding: str

    @property
    def name(self) -> str:
        """As in results."""
        return f"{self.kind} {self.coding}"


def summarise(points: Sequence[Point], *, clips: Sequence[str]) -> dict[str, Any]:
    """BD-rates, crossovers and needed rates, by metric, for JSON. Any: nested values."""
    families = families_of(points)
    direct = [family for family in families if family.kind == "direct"]
    small = [family for family in families if family.kind != "direct"]
    metrics = {}
    for metric in METRICS:
        curves, on_wire = (
            {
                family: {
                    clip: family_curve(points, family, clip, metric, bits=bits) for clip in clips
                }
                for family in families
            }
            for bits in get_args(Bits)
        )
        pairs = [(test, anchor) for anchor in direct for test in families if test != anchor]
        pairs += [
            (family, Family(kind="lanczos", coding=family.coding))
            for family in small
            if family.kind in ("restored", "adapted")
        ]
        pairs += [
            (family, Family(kind="restored", coding=family.coding))
            for family in small
            if family.kind == "adapted"
        ]
        metrics[metric] = {
            "bd_rate": [_bd_row(test, anchor, curves, clips) for test, anchor in pairs],
            "bd_rate_on_wire": [_bd_row(test, anchor, on_wire, clips) for test, anchor in pairs],
            "crossover": [
                _crossover_row(family, anchor, curves, clips)
                for family in small
                for anchor in direct
            ],
            "needed": _needed(points, families, curves, metric),
        }
    return {"families": [family.name for family in families], "metrics": metrics}


def hulls(points: Sequence[Point], *, clips: Sequence[str]) -> dict[str, Any]:
    """The curve of every family on every clip by metric, as (bits a second, quality), for JSON."""
    families = families_of(points)
    return {
        metric: [
            {"family": family.name, "clip": clip, "points": _as_lists(curve)}
            for family in families
            for clip in clips
            for curve in [family_curve(points, family, clip, metric)]
        ]
        for metric in METRICS
    }


def families_of(points: Iterable[Point]) -> list[Family]:
    """All families that have points."""
    return sorted({Family(kind=point.kind, coding=point.coding) for point in points})


def family_curve(
    points: Iterable[Point], family: Family, clip: str, metric: str, *, bits: Bits = "coded_bps"
) -> Curve:
    """The curve of a family on a clip: at each rate the best of its sizes and models.

    A profile is for one model; where another one restores, that is part of the adapted family too.
    """
    own = [point for point in points if (point.clip, point.coding) == (clip, family.coding)]
    adapted = {(point.size, point.model) for point in own if point.kind == "adapted"}
    by_size: dict[tuple[str, str | None], list[RatePoint]] = {}
    for point in own:
        stays = point.kind == "restored" and (point.size, point.model) not in adapted
        if point.kind == family.kind or (family.kind == "adapted" and stays):
            found = RatePoint(bps=getattr(point, bits), quality=point.quality[metric])
            by_size.setdefault((point.size, point.model), []).append(found)
    return envelope(pareto(own) for own in by_size.values())


def _as_lists(curve: Curve) -> list[list[float]]:
    return [[point.bps, point.quality] for point in curve]


def _bd_row(
    test: Family,
    anchor: Family,
    curves: dict[Family, dict[str, Curve]],
    clips: Sequence[str],
) -> dict[str, Any]:
    by_clip = {clip: bd_rate(curves[anchor][clip], curves[test][clip]) for clip in clips}
    told = [found.percent for found in by_clip.values() if found.percent is not None]
    interval = bootstrap_interval(told)
    return {
        "test": test.name,
        "anchor": anchor.name,
        "mean_percent": round(mean(told), 2) if told else None,
        "interval_percent": None if interval is None else [round(end, 2) for end in interval],
        "clips_told": len(told),
        "clips": {
            clip: {
                "percent": None if found.percent is None else round(found.percent, 2),
                "overlap": round(found.overlap, 3),
                "reason": found.reason,
            }
            for clip, found in by_clip.items()
        },
    }


def _crossover_row(
    family: Family,
    anchor: Family,
    curves: dict[Family, dict[str, Curve]],
    clips: Sequence[str],
) -> dict[str, Any]:
    rows = {}
    for clip in clips:
        found = crossover(curves[family][clip], curves[anchor][clip])
        rows[clip] = {
            "lead": found.lead.value,
            "bps": None if found.bps is None else round(found.bps),
            "low_bps": None if found.low_bps is None else round(found.low_bps),
            "high_bps": None if found.high_bps is None else round(found.high_bps),
        }
    return {"test": family.name, "anchor": anchor.name, "clips": rows}


def _needed(
    points: Sequence[Point],
    families: Sequence[Family],
    curves: dict[Family, dict[str, Curve]],
    metric: str,
) -> list[dict[str, Any]]:
    """For each rate that direct H.264 was aimed at: what every family needs to show the same.

    Rates and ratios are geometric means over the clips on which a family reaches that quality.
    """
    anchor = next((family for family in families if family.name == H264_ANCHOR), None)
    if anchor is None:
        return []
    own = [p for p in points if (p.kind, p.coding) == (anchor.kind, anchor.coding)]
    rows = []
    for target in sorted({point.target_bps for point in own}):
        direct = {point.clip: point for point in own if point.target_bps == target}
        cells = {}
        for family in families:
            needed = {
                clip: rate
                for clip, point in direct.items()
                if (rate := rate_for(curves[family][clip], point.quality[metric])) is not None
            }
            ratios = [direct[clip].coded_bps / rate for clip, rate in needed.items()]
            cells[family.name] = {
                "bps": round(geometric_mean(list(needed.values()))) if needed else None,
                "times_less": round(geometric_mean(ratios), 3) if needed else None,
                "clips_told": len(needed),
            }
        rows.append(
            {
                "target_bps": target,
                "direct_bps": round(geometric_mean([p.coded_bps for p in direct.values()])),
                "mean_quality": round(mean(p.quality[metric] for p in direct.values()), 4),
                "clips": len(direct),
                "families": cells,
            }
        )
    return rows
