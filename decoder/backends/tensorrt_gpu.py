"""TensorRT and TensorRT-RTX: features stay on the GPU, planes go up once and down once.

One stream of work; pinned buffers for planes. A window of features is a set of addresses, and the
buffers of features are used again and again, so after a while every window has been seen: its work
is then launched as one CUDA graph.
"""

from __future__ import annotations

import ctypes
import logging
import math
import weakref
from collections import OrderedDict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from decoder.artefact import Artefact
from decoder.artefact_reference import Planes, quantiser_input
from decoder.backends.contract import (
    Features,
    LibraryObject,
    TensorRtConfig,
    check_frame_size,
    checked_planes,
    need_nvidia_gpu,
    window_inputs,
)
from decoder.backends.cuda_driver import Cuda, Pointer
from decoder.backends.tensorrt_build import engine_sizes, load_library, plans, python_logger
from stream.errors import InferenceFailed, ModelMismatch
from stream.frame import Frame, Size

_log = logging.getLogger(__name__)

_KEPT_GRAPHS = 64
"""Windows whose work is kept as a CUDA graph: more than a ring of buffers has."""

_PLANES = ("y", "u", "v")


class _FeatureSet:
    """Device memory for the features of one frame; goes back to its shelf when nobody holds it."""

    def __init__(self, shelf: _Shelf, pointers: tuple[Pointer, ...]) -> None:
        self.pointers = pointers
        weakref.finalize(self, shelf.put, pointers)


class _Shelf:
    """Feature memory that is free."""

    def __init__(self, cuda: Cuda, sizes: Sequence[int]) -> None:
        self._cuda, self._sizes = cuda, sizes
        self._free: list[tuple[Pointer, ...]] = []

    def take(self) -> _FeatureSet:
        pointers = (
            self._free.pop(0)
            if self._free
            else tuple(self._cuda.allocate(size) for size in self._sizes)
        )
        return _FeatureSet(self, pointers)

    def put(self, pointers: tuple[Pointer, ...]) -> None:
        self._free.append(pointers)

    def clear(self) -> None:
        while self._free:
            for pointer in self._free.pop():
                self._cuda.free(pointer)


class TensorRtBackend:
    """Two engines, an execution context each."""

    runs_on_cpu = False

    def __init__(
        self, config: TensorRtConfig, artefact: Artefact, lr_size: Size, *, tuned_for: Size
    ) -> None:
        """tuned_for: the stream's LR size; engines are built for it and take smaller ones too.

        Raises BackendUnavailable without library or GPU, ModelMismatch for unusable graphs.
        """
        self.config = config
        self.is_half_precision = config.half
        name = config.library.replace("_", "-")
        self.name = f"{name} {config.half_type if config.half else 'f32'}"
        need_nvidia_gpu(name)  # before the library is loaded
        library = load_library(config)
        self._cuda = cuda = Cuda(name)
        manifest = artefact.manifest
        self._lr_size = lr_size
        self._hr_size = Size(
            width=lr_size.width * manifest.scale, height=lr_size.height * manifest.scale
        )
        built = plans(config, artefact, engine_sizes(artefact, tuned_for), device=cuda.device_name)
        self._logger = python_logger(library)
        self._runtime = library.Runtime(self._logger)
        self._engines = [
            self._runtime.deserialize_cuda_engine(plan) for plan in (built.extract, built.fuse)
        ]
        if None in self._engines:
            raise ModelMismatch(f"{name} cannot load its engine: {self._logger.last_error}")
        self._feature_names = [f"f{k}" for k in range(manifest.features)]
        names = [entry for entry in _tensor_names(self._engines[1]) if entry not in _PLANES]
        self._places = window_inputs(names, window=manifest.window, features=manifest.features)
        self._open_contexts()

    def extract(self, frame: Frame) -> Features:
        """See `Backend.extract`."""
        check_frame_size(frame, self._lr_size)
        self._cuda.enter()
        self._cuda.wait()  # the frame before may still be on its way up from the same memory
        for plane, staged in zip(
            (frame.y, frame.u, frame.v, quantiser_input(frame)), self._up, strict=True
        ):
            staged[:] = np.ascontiguousarray(plane).reshape(-1).view(np.uint8)
        for staged, pointer in zip(self._up, self._inputs, strict=True):
            self._cuda.upload(pointer, staged)
        features = self._shelf.take()
        for name, pointer in zip(self._feature_names, features.pointers, strict=True):
            self._contexts[0].set_tensor_address(name, pointer)
        self._enqueue(self._contexts[0])
        return [features]

    def fuse(self, window: Sequence[Features]) -> Planes:
        """See `Backend.fuse`."""
        self._cuda.enter()
        sets = [features[0] for features in window]
        assert all(isinstance(each, _FeatureSet) for each in sets)
        key = tuple(each.pointers for each in sets if isinstance(each, _FeatureSet))
        recorded = self._graphs.get(key)
        if recorded is not None:
            self._graphs.move_to_end(key)
            self._cuda.launch(recorded)
        else:
            self._fuse_window(key)
            if key in self._seen and self._can_record:
                self._record(key)
            self._seen.add(key)
        self._cuda.wait()
        shapes = [
            (self._hr_size.height // share, self._hr_size.width // share) for share in (1, 2, 2)
        ]
        y, u, v = (
            staged.reshape(shape).copy() for staged, shape in zip(self._down, shapes, strict=True)
        )
        return checked_planes(y, u, v, self._hr_size)

    def sibling(self) -> TensorRtBackend:
        """See `Backend.sibling`: engines are shared; contexts, stream and memory are not."""
        other = object.__new__(TensorRtBackend)
        other.__dict__.update(self.__dict__)
        other._cuda = Cuda(self.name)
        other._open_contexts()
        return other

    def close(self) -> None:
        """See `Backend.close`."""
        self._cuda.enter()
        self._cuda.wait()
        while self._graphs:
            self._cuda.forget(self._graphs.popitem()[1])
        self._shelf.clear()
        for pointer in (*self._inputs, *self._outputs):
            self._cuda.free(pointer)
        del self._contexts, self._engines

    def _open_contexts(self) -> None:
        """Contexts at the LR size, and memory for everything that goes in and out."""
        self._contexts = [engine.create_execution_context() for engine in self._engines]
        if None in self._contexts:
            raise ModelMismatch(f"{self.name} has no memory for it: {self._logger.last_error}")
        extract, fuse = self._contexts
        cuda, lr, hr = self._cuda, self._lr_size, self._hr_size
        chroma = (lr.height // 2, lr.width // 2)
        for name, shape in zip(_PLANES, ((lr.height, lr.width), chroma, chroma), strict=True):
            extract.set_input_shape(name, shape)
        shapes = [tuple(extract.get_tensor_shape(name)) for name in self._feature_names]
        for name, (_, k) in self._places.items():
            fuse.set_input_shape(name, shapes[k])
        sample_bytes = 2 if self.is_half_precision else 4
        self._shelf = _Shelf(cuda, [sample_bytes * math.prod(shape) for shape in shapes])
        up = [lr.height * lr.width, math.prod(chroma), math.prod(chroma), 4]
        down = [hr.height * hr.width, hr.height * hr.width // 4, hr.height * hr.width // 4]
        self._up: list[NDArray[np.uint8]] = [cuda.pinned(size) for size in up]
        self._down: list[NDArray[np.uint8]] = [cuda.pinned(size) for size in down]
        self._inputs = [cuda.allocate(size) for size in up]
        self._outputs = [cuda.allocate(size) for size in down]
        for name, pointer in zip((*_PLANES, "quantiser"), self._inputs, strict=True):
            if name in _tensor_names(self._engines[0]):
                extract.set_tensor_address(name, pointer)
        for name, pointer in zip(_PLANES, self._outputs, strict=True):
            fuse.set_tensor_address(name, pointer)
        self._graphs: OrderedDict[tuple[tuple[Pointer, ...], ...], ctypes.c_void_p] = OrderedDict()
        self._seen: set[tuple[tuple[Pointer, ...], ...]] = set()
        self._can_record = True

    def _fuse_window(self, pointers: tuple[tuple[Pointer, ...], ...]) -> None:
        for name, (i, k) in self._places.items():
            self._contexts[1].set_tensor_address(name, pointers[i][k])
        self._enqueue(self._contexts[1])
        for staged, pointer in zip(self._down, self._outputs, strict=True):
            self._cuda.download(staged, pointer)

    def _record(self, key: tuple[tuple[Pointer, ...], ...]) -> None:
        """Keep the window's work as a graph; engines that cannot be recorded run as before."""
        try:
            self._cuda.wait()
            self._graphs[key] = self._cuda.record(lambda: self._fuse_window(key))
        except InferenceFailed as error:
            _log.info("%s runs without CUDA graphs: %s", self.name, error)
            self._can_record = False
            self._fuse_window(key)  # what was recorded has not run
        while len(self._graphs) > _KEPT_GRAPHS:
            self._cuda.forget(self._graphs.popitem(last=False)[1])

    def _enqueue(self, context: LibraryObject) -> None:
        if not context.execute_async_v3(self._cuda.stream):
            raise InferenceFailed(f"{self.name} failed: {self._logger.last_error}")


def _tensor_names(engine: LibraryObject) -> list[str]:
    return [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
