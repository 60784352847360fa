"""Results as JSON files that say where they come from."""

from __future__ import annotations

import json
import os
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

LIBRARIES = ("edvr-live", "av", "aiortc", "numpy", "onnxruntime", "openvino", "torch")


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
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or "unknown"
