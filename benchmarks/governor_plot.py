"""The picture of a run of `benchmarks.governor`: latency and tiers over time, as SVG. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from benchmarks.svg_shapes import document, line, rect, text

WIDTH, LEFT, RIGHT, TOP = 960, 60, 20, 40
LATENCY_HEIGHT, TIERS_HEIGHT, GAP = 240, 90, 40

COLOURS = ("#2b6cb0", "#38a169", "#d69e2e", "#a0aec0")
"""Of tiers, best first; Lanczos is always the last one."""

_TIER_ORDER = ("live-m", "live-s", "live-xs")


def plot(figures: dict[str, Any]) -> str:
    """An SVG document of what `benchmarks.governor.report` gives. Any: values for JSON."""
    moments = figures["moments"]
    seconds = 0.5 + float(max(moment["at_s"] for moment in moments))
    limit = float(figures["limit_ms"])
    top_ms = 1.1 * max(limit, *(float(moment["p95_ms"]) for moment in moments))

    def x(at_s: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * at_s / seconds

    def y(ms: float) -> float:
        return TOP + LATENCY_HEIGHT * (1 - ms / top_ms)

    begin_s, end_s = figures["beside_s"]
    tiers_top = TOP + LATENCY_HEIGHT + GAP
    height = tiers_top + TIERS_HEIGHT + 60
    shapes = [
        rect(x(begin_s), TOP, x(end_s) - x(begin_s), tiers_top + TIERS_HEIGHT - TOP, "#fed7d7"),
        text(x(begin_s) + 4, TOP + 14, f"{figures['neighbours']} busy beside it"),
        text(LEFT, 20, _title(figures)),
        line([(x(0), y(limit)), (x(seconds), y(limit))], "#c53030", dashes="6 4"),
        text(LEFT + 4, y(limit) - 4, f"limit {limit:g} ms", colour="#c53030"),
    ]
    for ms in range(0, int(top_ms) + 1, _grid(top_ms)):
        shapes += [
            line([(LEFT, y(ms)), (WIDTH - RIGHT, y(ms))], "#e2e8f0"),
            text(LEFT - 8, y(ms) + 4, f"{ms} ms", anchor="end"),
        ]
    for name, colour in (("p95_ms", "#1a202c"), ("p50_ms", "#718096")):
        shapes.append(line([(x(each["at_s"]), y(each[name])) for each in moments], colour))
    shapes += _drops(moments, x)
    colours = tier_colours(moments)
    step = x(0.5) - x(0)
    for moment in moments:
        frames, bottom = sum(moment["by_tier"].values()), float(tiers_top + TIERS_HEIGHT)
        for name, colour in colours.items():
            part = TIERS_HEIGHT * moment["by_tier"].get(name, 0) / frames
            bottom -= part
            shapes.append(rect(x(moment["at_s"]), bottom, step, part, colour))
    at = float(LEFT)
    for name, colour in {**colours, "p95": "#1a202c", "p50": "#718096"}.items():
        shapes += [rect(at, height - 24, 12, 12, colour), text(at + 16, height - 14, name)]
        at += 40 + 8 * len(name)
    for at_s in range(0, int(seconds) + 1, 10):
        shapes.append(text(x(at_s), height - 42, f"{at_s} s", anchor="middle"))
    return document(WIDTH, height, shapes)


def tier_colours(moments: Sequence[dict[str, Any]]) -> dict[str, str]:
    """A colour for each tier that was used, best first. Any: values for JSON."""
    used = {name for moment in moments for name in moment["by_tier"]}

    def place(name: str) -> tuple[int, str]:
        found = (i for i, tier in enumerate(_TIER_ORDER) if name.startswith(tier))
        return next(found, len(_TIER_ORDER)), name

    networks = sorted(used - {"lanczos"}, key=place)
    colours = {name: COLOURS[min(i, 2)] for i, name in enumerate(networks)}
    return colours | ({"lanczos": COLOURS[-1]} if "lanczos" in used else {})


def _title(figures: dict[str, Any]) -> str:
    beside = figures["parts"].get("beside") or next(iter(figures["parts"].values()))
    return (
        f"{figures['lr_size']} to {figures['size']}: {beside['frames']} frames beside"
        f" {figures['neighbours']} busy, {beside['dropped']} dropped,"
        f" p95 {beside['p95_ms']:g} ms"
    )


def _drops(moments: Sequence[dict[str, Any]], x: Callable[[float], float]) -> list[str]:
    return [
        text(x(each["at_s"]), TOP + LATENCY_HEIGHT + 16, f"-{each['dropped']}", colour="#c53030")
        for each in moments
        if each["dropped"]
    ]


def _grid(top_ms: float) -> int:
    return next(step for step in (10, 20, 50, 100, 200, 500, 1000, 10_000) if top_ms / step <= 12)
