"""Rectangles, lines and texts of pictures that benchmarks draw, as SVG. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape


def rect(x: float, y: float, width: float, height: float, fill: str) -> str:
    """A filled rectangle without an edge."""
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{fill}"/>'
    )


def line(
    points: Sequence[tuple[float, float]], colour: str, *, dashes: str = "", width: float = 1.2
) -> str:
    """A line through the points."""
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    style = f' stroke-dasharray="{dashes}"' if dashes else ""
    return (
        f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="{width:g}"{style}/>'
    )


def text(x: float, y: float, words: str, *, anchor: str = "start", colour: str = "#4a5568") -> str:
    """A line of text; its foot is at y."""
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
    return f'<text {place} fill="{colour}">{escape(words)}</text>'


def document(width: float, height: float, shapes: Sequence[str]) -> str:
    """The SVG file of shapes on white."""
    body = "\n".join(shapes)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}"'
        f' font-family="sans-serif" font-size="12">\n'
        f'<rect width="100%" height="100%" fill="white"/>\n{body}\n</svg>\n'
    )
