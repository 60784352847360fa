"""Where calibrations are kept: one file per machine and set of library versions.

$XDG_CACHE_HOME/edvr-live/calibration-KEY.json (~/.cache where that is not set).
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import platform
from collections.abc import Mapping
from dataclasses import asdict
from importlib import metadata
from pathlib import Path

from decoder.calibration import Calibration, Measurement

_log = logging.getLogger(__name__)

_LIBRARIES = ("onnxruntime", "onnxruntime-gpu", "openvino", "torch")
_GPU_LIBRARIES = ("tensorrt-rtx-cu13", "tensorrt-cu13", "tensorrt-cu12", "tensorrt")
_NVIDIA = Path("/proc/driver/nvidia")
_CPUINFO = Path("/proc/cpuinfo")


def cache_folder() -> Path:
    """Where this project keeps what it can always compute again."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    # The XDG base directory specification says to ignore paths that are not absolute.
    root = Path(base) if base.startswith("/") else Path.home() / ".cache"
    return root / "edvr-live"


def machine_key() -> str:
    """Another one for every processor, GPU, number of usable cores, and library version."""
    parts = {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "gpus": _gpus(),
        "versions": library_versions((*_LIBRARIES, *_GPU_LIBRARIES)),
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def load_calibration() -> Calibration:
    """What is known of this machine; nothing when there is no readable file."""
    try:
        rows = json.loads(_path().read_text(encoding="utf-8"))["measurements"]
        return Calibration(measurements=tuple(Measurement(**row) for row in rows))
    except FileNotFoundError:
        return Calibration()
    except (OSError, ValueError, KeyError, TypeError) as error:
        _log.warning("%s is not used: %s", _path(), error)
        return Calibration()


def save_calibration(calibration: Calibration) -> None:
    """Keep it for the next start; where that cannot be written, there is only a log line."""
    path = _path()
    content = {"measurements": [asdict(each) for each in calibration.measurements]}
    scratch = path.with_suffix(f".{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        scratch.replace(path)  # whole or not at all, also beside another receiver
    except OSError as error:
        _log.warning("the calibration is not kept: %s", error)


def library_versions(names: tuple[str, ...]) -> Mapping[str, str]:
    """Of those that are installed; nothing is imported."""
    versions = {}
    for name in names:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


def _path() -> Path:
    return cache_folder() / f"calibration-{machine_key()}.json"


def _processor() -> str:
    try:
        for line in _CPUINFO.read_text(encoding="utf-8").splitlines():
            if line.startswith(("model name", "flags")):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor()


def _gpus() -> list[str]:
    """Driver and GPU names as the driver tells them, without starting it."""
    files = [_NVIDIA / "version", *sorted(_NVIDIA.glob("gpus/*/information"))]
    found = []
    for file in files:
        try:
            text = file.read_text(encoding="utf-8")
        except OSError:
            continue
        found += [line for line in text.splitlines() if line.startswith(("NVRM", "Model"))]
    return found
