"""The page to look at: one HTML file with everything in it."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.bandwidth.judge import METRICS
from benchmarks.bandwidth.points import Point
from benchmarks.bandwidth.store import Store, key_of
from benchmarks.bandwidth.summary import hulls

TEMPLATE = Path(__file__).with_name("page.html")

SHOWN_RATES = slice(1, 3)
"""Of the rates at which both direct and small pictures were coded, those with crops: not the
lowest, at which direct coding falls apart.
"""

SHOWN_DIRECT = ("x264-veryfast", "sender-av1")


def page_text(content: dict[str, Any], store: Store, *, live: Sequence[dict[str, Any]] = ()) -> str:
    """HTML of the results `content` (and of live runs'), with pictures from the store.

    Any: values from JSON.
    """
    from plotly.offline import get_plotlyjs

    figures = content["figures"]
    data = {
        "machine": content["machine"],
        **figures,
        "metrics": METRICS,
        "hulls": hulls(
            [Point(**point) for point in figures["points"]],
            clips=[clip["name"] for clip in figures["clips"]],
        ),
        "crops": crops(figures, store),
        "live": [run["figures"] for run in live],
    }
    page = TEMPLATE.read_text(encoding="utf-8")
    parts = {"PLOTLY": get_plotlyjs(), "DATA": json.dumps(data).replace("</", "<\\/")}
    for name, text in parts.items():
        before, mark, after = page.partition(f"/*{name}*/")
        assert mark, name
        page = before + text + after
    return page


def crops(figures: dict[str, Any], store: Store) -> list[dict[str, Any]]:
    """By clip and rate: pictures of the same part of the same frame, the original first.

    Of a small picture, the size and model with the best VMAF-NEG at that rate is shown.
    """
    settings = figures["settings"]
    shared = sorted(set(settings["bitrates"]) & set(settings["direct_bitrates"]))
    found = []
    for clip in figures["clips"]:
        original = _data_url(
            store, key_of({"original": clip["name"], "digest": clip["raw_sha256"]})
        )
        for rate in shared[SHOWN_RATES] or shared:
            pictures = [{"label": "original", "kind": "original", "src": original}]
            best: dict[tuple[str, str], dict[str, Any]] = {}
            for point in figures["points"]:
                if (point["clip"], point["target_bps"]) != (clip["name"], rate):
                    continue
                if point["kind"] == "direct" and point["coding"] not in SHOWN_DIRECT:
                    continue
                key = (point["kind"], point["coding"])
                quality = point["quality"]["vmaf_neg"]
                if key not in best or quality > best[key]["quality"]["vmaf_neg"]:
                    best[key] = point
            for (kind, coding), point in best.items():
                pictures.append(
                    {
                        "kind": kind,
                        "coding": coding,
                        "rung": point["rung"],
                        "model": point["model"],
                        "coded_bps": point["coded_bps"],
                        "vmaf_neg": point["quality"]["vmaf_neg"],
                        "psnr_y_db": point["quality"]["psnr_y_db"],
                        "src": _data_url(store, point["crop"]),
                    }
                )
            found.append({"clip": clip["name"], "rate": rate, "pictures": pictures})
    return found


def _data_url(store: Store, key: str) -> str:
    picture = store.read(key, ".webp")
    if picture is None:
        return ""
    return "data:image/webp;base64," + base64.b64encode(picture).decode()
