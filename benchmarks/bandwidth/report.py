"""The report: results as JSON, CSV and Markdown, and the page to look at."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.bandwidth.judge import METRICS
from benchmarks.bandwidth.page import page_text
from benchmarks.bandwidth.store import Store
from benchmarks.bandwidth.summary import H264_ANCHOR
from benchmarks.result_file import write_result
from stream.errors import ConfigError

HEADLINE_METRICS = ("vmaf_neg", "psnr_y_db")

FAMILY_WORDS = {
    "lanczos": "small {}, Lanczos",
    "restored": "small {}, restored",
    "adapted": "small {}, restored with the profile",
}
CODING_WORDS = {"h264": "H.264", "av1": "AV1", "sender-av1": "AV1 (the sender's)"}


def write_report(
    folder: Path, results: dict[str, Any], *, live_results: Sequence[Path] = ()
) -> Path:
    """Write results.json, points.csv, summary.md and report.html; returns the last one's path.

    Raises ConfigError when the live results cannot be read, OSError when the folder cannot be
    written.
    """
    live = [load_results(path) for path in live_results]
    write_result(folder / "results.json", "bandwidth", results)
    with (folder / "points.csv").open("w", newline="", encoding="utf-8") as file:
        write_points(file, results["points"])
    (folder / "summary.md").write_text(markdown(results), encoding="utf-8")
    page = folder / "report.html"
    content = load_results(folder / "results.json")
    page.write_text(page_text(content, Store(folder / "store"), live=live), encoding="utf-8")
    return page


def load_results(path: Path) -> dict[str, Any]:
    """A result file; ConfigError when it is not one. Any: values from JSON."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigError(f"{path} does not exist") from error
    except (ValueError, IsADirectoryError) as error:
        raise ConfigError(f"{path} is not a file of results") from error
    if not isinstance(content, dict) or "figures" not in content:
        raise ConfigError(f"{path} is not a file of results")
    return content


def write_points(file: Any, points: list[dict[str, Any]]) -> None:  # noqa: ANN401 (any text file)
    """Every point as a line of CSV."""
    plain = [key for key in points[0] if key not in ("quality", "crop")]
    writer = csv.writer(file)
    writer.writerow([*plain, *METRICS])
    for point in points:
        quality = [point["quality"][metric] for metric in METRICS]
        writer.writerow([*(point[key] for key in plain), *quality])


def family_label(name: str) -> str:
    """ "restored h264" as a reader says it."""
    kind, _, coding = name.partition(" ")
    return FAMILY_WORDS.get(kind, "direct {}").format(CODING_WORDS.get(coding, coding))


def headline_rows(results: dict[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Heading and rows of the BD-rate table: families against direct encoders, by metric.

    The last column is the network alone: against Lanczos on the very same bits.
    """
    metrics = results["summary"]["metrics"]
    families = results["summary"]["families"]
    anchors = [name for name in families if name.startswith("direct ") and "x265" not in name]
    heading = ["bits at equal quality", "metric", *(f"vs {name}" for name in anchors), "vs Lanczos"]
    rows = []
    for family in families:
        for metric in HEADLINE_METRICS:
            found = {
                row["anchor"]: row for row in metrics[metric]["bd_rate"] if row["test"] == family
            }
            kind, _, coding = family.partition(" ")
            cells = [percent_text(found.get(anchor)) for anchor in (*anchors, f"lanczos {coding}")]
            if kind == "direct":
                cells[-1] = ""
            rows.append([family_label(family), METRICS[metric], *cells])
    return heading, rows


def percent_text(row: dict[str, Any] | None) -> str:
    """A BD-rate with its interval, or why there is none."""
    if row is None:
        return ""
    if row["mean_percent"] is None:
        reasons = {clip["reason"] for clip in row["clips"].values()}
        return ", ".join(sorted(reasons))
    text = f"{row['mean_percent']:+.0f} %"
    if row["interval_percent"] is not None:
        low, high = row["interval_percent"]
        text += f" ({low:+.0f} to {high:+.0f})"
    if row["clips_told"] < len(row["clips"]):
        text += f", {row['clips_told']} of {len(row['clips'])} clips"
    return text


def needed_rows(
    results: dict[str, Any], metric: str = "vmaf_neg"
) -> tuple[list[str], list[list[str]]]:
    """Heading and rows of "to show what direct H.264 shows at X you need…"."""
    families = [name for name in results["summary"]["families"] if name != H264_ANCHOR]
    heading = [H264_ANCHOR, *(family_label(name) for name in families)]
    rows = []
    for row in results["summary"]["metrics"][metric]["needed"]:
        cells = []
        for name in families:
            cell = row["families"][name]
            if cell["clips_told"] < row["clips"]:  # a mean over other clips would mislead
                cells.append(f"told on {cell['clips_told']} of {row['clips']} clips")
            else:
                cells.append(f"{cell['bps'] / 1000:.0f} kb/s ({_times(cell['times_less'])})")
        rows.append([f"{row['direct_bps'] / 1000:.0f} kb/s", *cells])
    return heading, rows


def _times(times_less: float) -> str:
    if times_less >= 1:
        return f"{times_less:.1f} times less"
    return f"{1 / times_less:.1f} times more"


def markdown(results: dict[str, Any]) -> str:
    """The short tables."""
    settings = results["settings"]
    clips = ", ".join(clip["name"] for clip in results["clips"])
    lines = [
        f"Output {settings['output_size']}, {settings['seconds']:g} s of each clip: {clips}.",
        "",
        "Bits at equal quality (BD-rate; less than 0 is a saving), mean over clips"
        " and its 95 % interval:",
        "",
        *table(*headline_rows(results)),
        "",
        "To show what direct x264-veryfast shows (VMAF-NEG), mean over clips:",
        "",
        *table(*needed_rows(results)),
        *(_profile_lines(results["profile"]) if "profile" in results else []),
    ]
    return "\n".join(lines) + "\n"


def _profile_lines(profile: dict[str, Any]) -> list[str]:
    """What the profile costs, and when it has paid for itself."""
    rows = [
        [
            row["clip"],
            CODING_WORDS.get(row["coding"], row["coding"]),
            f"{row['bps'] / 1000:.0f} kb/s",
            "-" if row["adapted_bps"] is None else f"{row['adapted_bps'] / 1000:.0f} kb/s",
            "-" if row["seconds"] is None else f"{row['seconds']:.0f} s",
        ]
        for row in profile["break_even"]
    ]
    return [
        "",
        f"The profile {profile['name']} for {profile['model']} has {profile['bits'] / 8000:.1f} kB,"
        " which no rate above contains. What it saves at equal PSNR-Y, and after how long that is"
        " what it took to fetch:",
        "",
        *table(["clip", "codec", "without", "with the profile", "paid for after"], rows),
    ]


def table(heading: list[str], rows: list[list[str]]) -> list[str]:
    """Lines of a Markdown table."""
    return [
        "| " + " | ".join(heading) + " |",
        "|" + "---|" * len(heading),
        *("| " + " | ".join(row) + " |" for row in rows),
    ]
