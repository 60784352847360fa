"""What ran a measurement: machine and versions, for results that are kept."""

from __future__ import annotations

import os
import platform
from functools import cache
from importlib import metadata
from pathlib import Path

_LIBRARIES = (
    *("edvr-live", "av", "numpy", "onnxruntime", "openvino"),
    *("bjontegaard", "imageio-ffmpeg"),
)


def machine() -> dict[str, object]:
    """Processor, cores that may be used, and system."""
    cores = len(os.sched_getaffinity(0))
    return {"cpu": cpu_name(), "cores": cores, "system": platform.platform()}


def versions() -> dict[str, str]:
    """Of Python and of the libraries that results depend on."""
    found = {"python": platform.python_version()}
    for name in _LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


@cache
def cpu_name() -> str:
    """What the system calls its processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
