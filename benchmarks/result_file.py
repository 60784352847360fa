"""Results as JSON files that say where they come from."""

from __future__ import annotations

import json
import os
import platform
import re
from importlib import metadata
from pathlib import Path
from typing import Any

LIBRARIES = (
    *("edvr-live", "av", "aiortc", "numpy", "onnxruntime", "openvino", "torch"),
    *("bjontegaard", "imageio-ffmpeg"),
)


def machine() -> dict[str, Any]:
    """Processor, cores, system and library versions. Any: values for JSON."""
    versions = {}
    for name in LIBRARIES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "versions": versions,
    }


def write_result(path: Path, name: str, figures: dict[str, Any]) -> None:
    """Write figures with the machine they were measured on."""
    content = {"benchmark": name, "machine": machine(), "figures": figures}
    path.write_text(json_text(content), encoding="utf-8")


def json_text(content: dict[str, Any]) -> str:
    """JSON with an indent of two, but each object and list of plain values on one line."""
    text = json.dumps(content, indent=2)
    return (
        re.sub(r"[{\[]\n[^{}\[\]\"]*(?:\"[^\"\\]*\"[^{}\[\]\"]*)*[}\]]", _on_one_line, text) + "\n"
    )


def _on_one_line(found: re.Match[str]) -> str:
    lines = [line.strip() for line in found[0].splitlines()]
    return lines[0] + " ".join(lines[1:-1]) + lines[-1]


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or "unknown"
