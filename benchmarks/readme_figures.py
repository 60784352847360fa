"""The figures in README.md, written from the committed results by a command.

`python -m benchmarks.readme_figures` rewrites the block between the two markers, after it has
summed up the points of the bandwidth results again.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmarks.bandwidth.judge import METRICS
from benchmarks.bandwidth.points import Point
from benchmarks.bandwidth.report import HEADLINE_METRICS, family_label, percent_text, table
from benchmarks.bandwidth.summary import summarise
from benchmarks.result_file import json_text
from stream.config import format_bitrate

ROOT = Path(__file__).parent.parent
RESULTS = Path(__file__).parent / "results"
SHOWN_ANCHORS = ("direct x264-veryfast", "direct svtav1-p10", "direct sender-av1")
CODEC_LABELS = {"av1": "AV1", "h264": "H.264"}
START, END = "<!-- figures -->\n", "<!-- /figures -->"


def figures_text() -> str:
    """The Markdown of the block, without its markers."""
    demo = _load("demo.json")
    figures, machine = demo["figures"], demo["machine"]
    direct = figures["direct_wire_bps"]
    ratio = "" if direct is None else f" ({direct / figures['wire_bps']:.1f} times as much)"
    lines = [
        f"On {machine['cores']} cores of an {machine['processor'].replace('(R)', '')}"
        f" ({figures['model']} on {figures['backend']}), the generated clip:",
        "",
        "| | |",
        "|---|---|",
        f"| on the wire | {figures['wire_bps'] / 1000:.0f} kb/s |",
        f"| PSNR-Y, Lanczos | {figures['psnr_y_lanczos_db']:.2f} dB |",
        f"| PSNR-Y, restored | {figures['psnr_y_restored_db']:.2f} dB |",
    ]
    if direct is not None:
        lines.append(f"| direct 720p H.264 of that quality | {direct / 1000:.0f} kb/s{ratio} |")
    p50, p95 = (figures["latency_ms"]["total"][key] for key in ("p50", "p95"))
    lines += [
        f"| frames dropped | {figures['frames_dropped']} of {figures['frames_sent']} |",
        f"| latency, packet in to frame out | p50 {p50:.0f} ms, p95 {p95:.0f} ms |",
        "",
        "On clips that no model was trained on, PSNR-Y over Lanczos at the same bits, mean over"
        " clips and rates:",
        "",
    ]
    heading = ["model", "codec", "rates", "clips", "Lanczos", "gain", "worst clip and rate"]
    lines += table(heading, _model_rows())
    lines += ["", *bandwidth_lines(_load("bandwidth-eval.json")["figures"])]
    return "\n".join(lines) + "\n"


def bandwidth_lines(figures: dict[str, Any]) -> list[str]:
    """The bandwidth benchmark's headline: bits at equal quality, and what the network adds."""
    families = [name for name in figures["summary"]["families"] if not name.startswith("direct")]
    anchors = [name for name in SHOWN_ANCHORS if name in figures["summary"]["families"]]
    models = [f"{model['name']} version {model['version']}" for model in figures["models"]]
    lines = [
        f"Bits at equal quality on {len(figures['clips'])} clips that no model was trained on,"
        f" up to {figures['settings']['seconds']:g} s of each, restored to"
        f" {figures['settings']['output_size']} by {' and '.join(models)}, against coding that size"
        " directly at the same live settings (BD-rate, mean over clips and its 95 % interval; less"
        " than 0 saves bits):",
        "",
    ]
    heading = ["what travels", *(f"vs {name}" for name in anchors), "the network alone, vs Lanczos"]
    for metric in HEADLINE_METRICS:
        rows = figures["summary"]["metrics"][metric]["bd_rate"]
        found = {(row["test"], row["anchor"]): row for row in rows}
        body = []
        for family in families:
            kind, _, coding = family.partition(" ")
            cells = [percent_text(found[family, anchor]) for anchor in anchors]
            alone = found[family, f"lanczos {coding}"] if kind == "restored" else None
            body.append([family_label(family), *cells, percent_text(alone)])
        lines += [f"By {METRICS[metric]}:", "", *table(heading, body), ""]
    return lines[:-1]


def rewrite(readme: str) -> str:
    """README text with the block replaced."""
    before, _, rest = readme.partition(START)
    _, _, after = rest.partition(END)
    return f"{before}{START}\n{figures_text()}\n{END}{after}"


def _model_rows() -> list[list[str]]:
    """A row for each model and codec, over all clips and rates."""
    scores = _load("restoration.json")["scores"]
    rows = []
    for model, codec in sorted({(score["model"], score["codec"]) for score in scores}):
        of_pair = [s for s in scores if (s["model"], s["codec"]) == (model, codec)]
        lanczos, restored = (
            [score[key]["psnr_y_db"] for score in of_pair] for key in ("lanczos", "restored")
        )
        gains = [after - before for before, after in zip(lanczos, restored, strict=True)]
        rates = sorted({score["target_bps"] for score in of_pair})
        rows.append(
            [
                model,
                CODEC_LABELS[codec],
                f"{format_bitrate(rates[0])} to {format_bitrate(rates[-1])}",
                f"{len({score['clip'] for score in of_pair})}",
                f"{sum(lanczos) / len(lanczos):.2f} dB",
                f"{sum(gains) / len(gains):+.2f} dB",
                f"{min(gains):+.2f} dB",
            ]
        )
    return rows


def _load(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((RESULTS / name).read_text(encoding="utf-8"))
    return content


def sum_up_again(path: Path) -> None:
    """Write a bandwidth result's summary afresh from its points."""
    content = json.loads(path.read_text(encoding="utf-8"))
    figures = content["figures"]
    points = [Point(**point) for point in figures["points"]]
    figures["summary"] = summarise(points, clips=[clip["name"] for clip in figures["clips"]])
    path.write_text(json_text(content), encoding="utf-8")


if __name__ == "__main__":
    for result in sorted(RESULTS.glob("bandwidth*.json")):
        sum_up_again(result)
    path = ROOT / "README.md"
    path.write_text(rewrite(path.read_text(encoding="utf-8")), encoding="utf-8")
