"""What a link did to a stream, as a page to look at: rates over time and both tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from benchmarks.link_report import RATE_POINT_S

Row = Mapping[str, Any]
"""A row of a table of the link report. Any: values for JSON."""

INK, SENT, LINK, QUEUE = "#17202a", "#0b6e4f", "#9a4d00", "#5d6d7e"

_STYLE = """
body { margin: 0; background: #f4f6f8; color: #17202a; font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 1120px; margin: 0 auto; padding: 24px 16px 64px; }
section { background: #fff; border: 1px solid #dde3e9; border-radius: 12px; padding: 20px;
          margin-top: 20px; overflow-x: auto; }
h1 { font-size: 1.9rem; margin: 8px 0 4px; } h2 { font-size: 1.25rem; margin: 0 0 4px; }
p { color: #5d6d7e; margin: 4px 0 12px; max-width: 75ch; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums;
        min-width: 100%; }
th, td { text-align: right; padding: 7px 10px; border-bottom: 1px solid #dde3e9; }
th { color: #5d6d7e; font-weight: 600; } th:first-child, td:first-child { text-align: left; }
"""

LOSS_COLUMNS = {
    "codec": "codec",
    "loss_percent": "lost on the link, %",
    "frames": "pictures sent",
    "not_sent": "left out by the sender",
    "whole_percent": "undamaged, %",
    "longest_freeze_ms": "longest freeze, ms",
    "overhead_percent": "bits beyond the video, %",
}
STEP_COLUMNS = {
    "codec": "codec",
    "before_kbps": "before, kb/s",
    "low_kbps": "while low, kb/s",
    "after_kbps": "after, kb/s",
    "yielded_s": "under the link after, s",
    "busiest_percent": "busiest second from then on, % of the link",
    "recovered_s": "back to 90 % after, s",
    "longest_queue_ms": "longest queue, ms",
}


def page_text(content: Mapping[str, Any]) -> str:
    """HTML of a result file's content: machine and figures of the link report."""
    from plotly.offline import get_plotlyjs

    figures = content["figures"]
    machine = content["machine"]
    plots = [_plot(row) for row in figures["step"]]
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>A thin link</title><style>{_STYLE}</style><script>{get_plotlyjs()}</script></head>
<body><main><h1>A thin link</h1>
<p>Real sender and receiver over an emulated link; rates are of IP packets. Measured on
{escape(str(machine["cores"]))} cores of {escape(str(machine["processor"]))}.</p>
<section><h2>When the link changes</h2>
<p>It falls to half and recovers. Sent: over the last second. Queue: the longest wait of a packet
before the link.</p>
{"".join(plots)}{_table(figures["step"], STEP_COLUMNS)}</section>
<section><h2>When packets get lost</h2>
<p>At chance, in both directions, {escape(_round_trip(figures))} round trip.</p>
{_table(figures["loss"], LOSS_COLUMNS)}</section>
</main></body></html>
"""


def _round_trip(figures: Mapping[str, Any]) -> str:
    return f"{figures['settings']['round_trip_ms']:g} ms of"


def _plot(row: Row) -> str:
    """One run with a changing rate."""
    import plotly.graph_objects as go

    rates = row["rates"]
    seconds = [RATE_POINT_S * index for index in range(len(rates))]
    figure = go.Figure()
    series = (
        ("link", LINK, "y", [entry["link_kbps"] for entry in rates], "hv", "dash"),
        ("sent", SENT, "y", [entry["sent_kbps"] for entry in rates], "linear", "solid"),
        ("queue", QUEUE, "y2", [entry["queue_ms"] for entry in rates], "linear", "dot"),
    )
    for name, colour, axis, values, shape, dash in series:
        figure.add_scatter(
            x=seconds,
            y=values,
            name=name,
            yaxis=axis,
            mode="lines",
            line={"color": colour, "shape": shape, "dash": dash, "width": 2},
        )
    figure.update_layout(
        title={"text": str(row["codec"]), "font": {"size": 16, "color": INK}},
        height=340,
        margin={"l": 60, "r": 60, "t": 48, "b": 44},
        plot_bgcolor="#fff",
        hovermode="x unified",
        legend={"orientation": "h", "y": 1.12, "x": 1, "xanchor": "right"},
        xaxis={"title": {"text": "s"}, "gridcolor": "#eef1f4"},
        yaxis={"title": {"text": "kb/s"}, "rangemode": "tozero", "gridcolor": "#eef1f4"},
        yaxis2={
            "title": {"text": "queue, ms"},
            "overlaying": "y",
            "side": "right",
            "rangemode": "tozero",
            "showgrid": False,
        },
    )
    return str(figure.to_html(full_html=False, include_plotlyjs=False))


def _table(rows: Sequence[Row], columns: Mapping[str, str]) -> str:
    head = "".join(f"<th>{escape(title)}</th>" for title in columns.values())
    lines = (
        "".join(f"<td>{_cell(row.get(name))}</td>" for name in columns)  # a line of the table
        for row in rows
    )
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _cell(value: object) -> str:
    if value is None:
        return "never"
    return escape(f"{value:g}" if isinstance(value, int | float) else str(value))
