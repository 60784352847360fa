"""How much memory restoring a frame takes, told from the graphs, and how much there is."""

from __future__ import annotations

import math
from pathlib import Path

from decoder.artefact import Artefact
from decoder.backends.contract import (
    BackendConfig,
    LibraryObject,
    OnnxRuntimeGpuConfig,
    OpenVinoConfig,
    TensorRtConfig,
    TorchConfig,
)
from decoder.backends.graph_cost import read_graphs
from decoder.edge_padding import padded_size
from stream.frame import Size

MODEST_BYTES = 2000
"""For each sample of the output: twice what EDVR-L of the paper takes, the largest network here.
Where there is so much memory, nobody looks, which takes 0.3 to 0.7 s."""

SHARE = 0.35
"""Of the memory that is free. With EDVR-M at 480x272, ONNX Runtime took 1.5 times what is counted,
OpenVINO 2.5 times: they rearrange results and keep buffers."""

GPU_BYTES = 12 << 30
"""Taken to be free on a GPU, by the count in float32: 6 GB, since there it is 16 bits."""

_PROBE = Size(width=64, height=64)
_MEMINFO = Path("/proc/meminfo")
_CGROUP = Path("/sys/fs/cgroup")


def most_pixels(artefact: Artefact, config: BackendConfig, lr_size: Size) -> int | None:
    """LR samples that fit into memory at once; None when the whole frame surely does.

    Raises BackendUnavailable and ModelMismatch as `read_graphs` does.
    """
    free = GPU_BYTES if _is_on_gpu(config) else free_bytes()
    pixels = lr_size.width * lr_size.height
    if free is None or pixels * artefact.manifest.scale**2 * MODEST_BYTES <= SHARE * free:
        return None
    return int(SHARE * free / bytes_per_pixel(artefact))


def bytes_per_pixel(artefact: Artefact) -> float:
    """Bytes at the worst moment of restoring a frame in float32, for each of its LR samples.

    The features of its window are counted too. It hardly depends on the size, so a small one is
    looked at.
    """
    manifest = artefact.manifest
    size = padded_size(_PROBE, multiple_of=manifest.multiple_of)
    graphs = read_graphs(artefact, size)
    features = 4 * manifest.window * sum(math.prod(shape) for shape in graphs.feature_shapes)
    worst = max(_peak_bytes(graphs.extract), _peak_bytes(graphs.fuse))
    return (features + worst) / (size.width * size.height)


def free_bytes() -> int | None:
    """What this process may still take, by the system and by its control group; None if unknown."""
    found = [value for value in (_system_bytes(), _group_bytes()) if value is not None]
    return min(found, default=None)


def _is_on_gpu(config: BackendConfig) -> bool:
    match config:
        case TensorRtConfig() | OnnxRuntimeGpuConfig():
            return True
        case TorchConfig(device="cuda") | OpenVinoConfig(device="GPU" | "NPU"):
            return True
        case _:
            return False


def _peak_bytes(graph: LibraryObject) -> int:
    """Of all results that are alive at the same time, if each goes after its last use."""
    uses: dict[tuple[str, int], int] = {}
    alive: dict[tuple[str, int], int] = {}
    now = peak = 0
    operations = graph.get_ordered_ops()
    for operation in operations:
        for port in operation.outputs():
            uses[_key(port)] = len(port.get_target_inputs())
    for operation in operations:
        if operation.get_type_name() in ("Constant", "Parameter", "Result"):
            continue
        for port in operation.outputs():
            alive[_key(port)] = math.prod(port.get_shape()) * port.get_element_type().size
            now += alive[_key(port)]
        peak = max(peak, now)
        for port in operation.input_values():
            uses[_key(port)] -= 1
            if not uses[_key(port)]:
                now -= alive.pop(_key(port), 0)
    return peak


def _key(port: LibraryObject) -> tuple[str, int]:
    return port.get_node().get_friendly_name(), port.get_index()


def _system_bytes() -> int | None:
    try:
        for line in _MEMINFO.read_text(encoding="utf-8").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    return None


def _group_bytes() -> int | None:
    """Control groups, version 2, as containers see their own."""
    try:
        limit = (_CGROUP / "memory.max").read_text(encoding="utf-8").strip()
        used = int((_CGROUP / "memory.current").read_text(encoding="utf-8"))
        return None if limit == "max" else max(0, int(limit) - used)
    except (OSError, ValueError):
        return None
