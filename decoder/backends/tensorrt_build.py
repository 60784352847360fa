"""Builds TensorRT engines from a model's graphs; TensorRT-RTX does so without any GPU.

One engine a graph, for LR sizes from the reference picture's up to the one that it is tuned for.
What was built is kept in the cache folder, by graph, sizes, precision, library version and device.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from decoder.artefact import Artefact
from decoder.backends.contract import LibraryObject, TensorRtConfig, import_library
from decoder.backends.gpu_graph import gpu_graph
from decoder.backends.graph_cost import count_cost
from decoder.calibration_cache import cache_folder
from stream.errors import ConfigError, ModelMismatch
from stream.frame import Size

_log = logging.getLogger(__name__)

Shape = tuple[int, ...]

ANY_GPU = "any GPU"
"""TensorRT-RTX's engines are finished on the GPU that they are loaded on."""

_EXTRAS = {"tensorrt_rtx": "'edvr-live[tensorrt]'", "tensorrt": "tensorrt-cu13"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """LR sizes that an engine takes, and the one that it is tuned for."""

    smallest: Size
    tuned_for: Size
    largest: Size


@dataclass(frozen=True, slots=True, kw_only=True)
class Plans:
    """Built engines, as the library reads them."""

    extract: bytes
    fuse: bytes


def engine_sizes(artefact: Artefact, lr_size: Size) -> Sizes:
    """Sizes for a stream of `lr_size` that also take the reference picture."""
    reference = artefact.reference().size
    return Sizes(
        smallest=Size(
            width=min(reference.width, lr_size.width), height=min(reference.height, lr_size.height)
        ),
        tuned_for=lr_size,
        largest=Size(
            width=max(reference.width, lr_size.width), height=max(reference.height, lr_size.height)
        ),
    )


def load_library(config: TensorRtConfig) -> LibraryObject:
    """The library. Raises BackendUnavailable, saying what to install."""
    return import_library(config.library, extra=_EXTRAS[config.library])


def plans(
    config: TensorRtConfig,
    artefact: Artefact,
    sizes: Sizes,
    *,
    device: str = ANY_GPU,
    capability: str | None = None,
) -> Plans:
    """Both engines, from the cache or built now, which takes seconds to minutes.

    device: the GPU that they are for. capability: build for one kind of GPU, for example SM89;
    None: for the GPU that is here, or with TensorRT-RTX for every kind that it knows.
    Raises BackendUnavailable, ModelMismatch when a graph cannot be built, ConfigError for a
    capability that the library does not know.
    """
    library = load_library(config)
    if device != ANY_GPU and config.library == "tensorrt_rtx":
        ahead = _places(config, artefact, sizes, library, ANY_GPU, None)
        if all(place.file.exists() for place in ahead):  # by `edvr-model build`
            device, capability = ANY_GPU, None
    built = []
    for place in _places(config, artefact, sizes, library, device, capability):
        plan = _read(place.file)
        if plan is None:
            _log.info("building %s", place.file.name)
            plan = _build(library, place, capability)
            _write(place.file, plan)
        built.append(plan)
    extract, fuse = built
    return Plans(extract=extract, fuse=fuse)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """One engine to build: from which graph and for which shapes of its inputs, and its file."""

    graph: bytes
    name: str
    shapes: Callable[[str], tuple[Shape, Shape, Shape]]
    file: Path


def _places(
    config: TensorRtConfig,
    artefact: Artefact,
    sizes: Sizes,
    library: LibraryObject,
    device: str,
    capability: str | None,
) -> tuple[_Place, _Place]:
    shapes = {size: count_cost(artefact, size).feature_shapes for size in set(_profile(sizes))}

    def plane_shapes(name: str) -> tuple[Shape, Shape, Shape]:
        share = 1 if name == "y" else 2
        a, b, c = ((each.height // share, each.width // share) for each in _profile(sizes))
        return a, b, c

    def feature_shapes(name: str) -> tuple[Shape, Shape, Shape]:
        index = int(name.partition("_f")[2])
        a, b, c = (shapes[size][index] for size in _profile(sizes))
        return a, b, c

    def place(
        half: str, source: bytes, shapes_of: Callable[[str], tuple[Shape, Shape, Shape]]
    ) -> _Place:
        graph = gpu_graph(source, half=config.half, half_type=config.half_type)
        key = _key(graph, repr(sizes), library.__version__, config.library, device, capability)
        name = f"{artefact.manifest.name}-{half}-{key}.plan"
        return _Place(
            graph=graph,
            name=f"{half} of {artefact.manifest.name}",
            shapes=shapes_of,
            file=cache_folder() / "engines" / name,
        )

    return (
        place("extract", artefact.extract_graph(), plane_shapes),
        place("fuse", artefact.fuse_graph("grid_sample"), feature_shapes),
    )


def _profile(sizes: Sizes) -> tuple[Size, Size, Size]:
    """As optimisation profiles list them."""
    return sizes.smallest, sizes.tuned_for, sizes.largest


def _build(library: LibraryObject, place: _Place, capability: str | None) -> bytes:
    logger = python_logger(library)
    builder = library.Builder(logger)
    strongly_typed = 1 << int(library.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
    network = builder.create_network(strongly_typed)
    parser = library.OnnxParser(network, logger)
    if not parser.parse(place.graph):
        reason = parser.get_error(0).desc() if parser.num_errors else "unknown reason"
        raise ModelMismatch(f"{library.__name__} cannot read {place.name}: {_first_line(reason)}")
    settings, profile = builder.create_builder_config(), builder.create_optimization_profile()
    if capability is not None:
        known = getattr(library, "ComputeCapability", None)  # TensorRT-RTX alone has it
        if not hasattr(known, capability):
            raise ConfigError(f"{library.__name__} cannot build for {capability}")
        settings.num_compute_capabilities = 1
        settings.set_compute_capability(getattr(known, capability), 0)
    for index in range(network.num_inputs):
        entry = network.get_input(index)
        if any(length < 0 for length in entry.shape):
            profile.set_shape(entry.name, *place.shapes(entry.name))
    settings.add_optimization_profile(profile)
    plan = builder.build_serialized_network(network, settings)
    if plan is None:
        raise ModelMismatch(f"{library.__name__} cannot build {place.name}: {logger.last_error}")
    return bytes(plan)


def python_logger(library: LibraryObject) -> LibraryObject:
    """The library's messages as log records; what it calls errors is also raised by us."""

    class Logger(library.ILogger):  # type: ignore[misc] # the library comes late
        last_error = "unknown reason"

        def log(self, severity: LibraryObject, message: str) -> None:
            is_harmless = "Cuda Runtime" in message  # said by a builder without GPU
            if severity <= library.ILogger.Severity.ERROR and not is_harmless:
                self.last_error = _first_line(message)
            _log.debug("%s: %s", library.__name__, message)

    return Logger()


def _key(*parts: bytes | str | None) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part if isinstance(part, bytes) else repr(part).encode())
    return digest.hexdigest()[:24]


def _read(file: Path) -> bytes | None:
    try:
        return file.read_bytes()
    except OSError:
        return None


def _write(file: Path, plan: bytes) -> None:
    """Keep it whole or not at all; where that is impossible it is built again the next time."""
    scratch = file.with_suffix(f".{os.getpid()}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        scratch.write_bytes(plan)
        scratch.replace(file)
    except OSError as error:
        _log.warning("the engine is not kept: %s", error)


def _first_line(text: str) -> str:
    return str(text).strip().partition("\n")[0]
