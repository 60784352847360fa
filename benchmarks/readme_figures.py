"""The figures in README.md, written from the committed results by a command.

`python -m benchmarks.readme_figures` rewrites the block between the two markers.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
RESULTS = Path(__file__).parent / "results"
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
        "On clips that no model was trained on, H.264 at 150 kb/s, mean PSNR-Y over the clips:",
        "",
        "| model | clips | Lanczos | restored | gain | worst clip |",
        "|---|---|---|---|---|---|",
    ]
    lines += [_model_row(name) for name in ("restoration-x2.json", "restoration-x4.json")]
    return "\n".join(lines) + "\n"


def rewrite(readme: str) -> str:
    """README text with the block replaced."""
    before, _, rest = readme.partition(START)
    _, _, after = rest.partition(END)
    return f"{before}{START}\n{figures_text()}\n{END}{after}"


def _model_row(name: str) -> str:
    scores = _load(name)["scores"]
    lanczos, restored = (
        sum(score[key]["psnr_y_db"] for score in scores) / len(scores)
        for key in ("lanczos", "restored")
    )
    worst = min(score["psnr_gain_db"] for score in scores)
    return (
        f"| {scores[0]['model']} | {len(scores)} | {lanczos:.2f} dB | {restored:.2f} dB | "
        f"{restored - lanczos:+.2f} dB | {worst:+.2f} dB |"
    )


def _load(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((RESULTS / name).read_text(encoding="utf-8"))
    return content


if __name__ == "__main__":
    path = ROOT / "README.md"
    path.write_text(rewrite(path.read_text(encoding="utf-8")), encoding="utf-8")
