"""The little of CUDA's driver that an engine needs: memory, one stream, graphs.

Through `ctypes`, since every machine with an NVIDIA GPU has libcuda and nothing else is needed.
Names and arguments: "CUDA Driver API", NVIDIA, functions as of CUDA 12.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from decoder.backends.contract import need_nvidia_gpu
from stream.errors import BackendUnavailable, InferenceFailed

_LIBRARY = "libcuda.so.1"
_SUCCESS = 0
_CAPTURE_THREAD_LOCAL = 1
_NON_BLOCKING = 1

Pointer = int
"""An address on the device."""


class Cuda:
    """The first GPU: its primary context, and one stream of work. Use from one thread at a time."""

    def __init__(self, wanted_by: str) -> None:
        """Raises BackendUnavailable when there is no NVIDIA GPU that can be used."""
        need_nvidia_gpu(wanted_by)
        try:
            self._driver = ctypes.CDLL(_LIBRARY)
        except OSError as error:
            raise BackendUnavailable(f"{wanted_by}: {_LIBRARY} cannot be loaded") from error
        try:
            self._call("cuInit", 0)
            device = ctypes.c_int()
            self._call("cuDeviceGet", ctypes.byref(device), 0)
            context = ctypes.c_void_p()
            self._call("cuDevicePrimaryCtxRetain", ctypes.byref(context), device)
            self._device, self._context = device, context
            self.enter()
            stream = ctypes.c_void_p()
            self._call("cuStreamCreate", ctypes.byref(stream), _NON_BLOCKING)
        except InferenceFailed as error:
            raise BackendUnavailable(f"{wanted_by}: {error}") from error
        self.stream = int(stream.value or 0)
        """The handle that libraries take."""

    @property
    def device_name(self) -> str:
        """For cache keys, for example "NVIDIA H200"."""
        text = ctypes.create_string_buffer(256)
        self._call("cuDeviceGetName", text, len(text), self._device)
        return text.value.decode(errors="replace")

    def enter(self) -> None:
        """Make the context current on the calling thread; costs well under a microsecond."""
        self._call("cuCtxSetCurrent", self._context)

    def allocate(self, size: int) -> Pointer:
        """Device memory."""
        pointer = ctypes.c_uint64()
        self._call("cuMemAlloc_v2", ctypes.byref(pointer), ctypes.c_size_t(max(1, size)))
        return int(pointer.value)

    def free(self, pointer: Pointer) -> None:
        """Give device memory back."""
        self._call("cuMemFree_v2", ctypes.c_uint64(pointer))

    def pinned(self, size: int) -> NDArray[np.uint8]:
        """Host memory that the device reads and writes directly; kept until the process ends."""
        pointer = ctypes.c_void_p()
        self._call("cuMemHostAlloc", ctypes.byref(pointer), ctypes.c_size_t(max(1, size)), 0)
        assert pointer.value is not None
        cells = (ctypes.c_uint8 * max(1, size)).from_address(pointer.value)
        return np.ctypeslib.as_array(cells)

    def upload(self, target: Pointer, source: NDArray[np.uint8]) -> None:
        """Copy pinned bytes to the device, in the order of the stream."""
        self._call(
            "cuMemcpyHtoDAsync_v2",
            ctypes.c_uint64(target),
            ctypes.c_void_p(source.ctypes.data),
            ctypes.c_size_t(source.nbytes),
            ctypes.c_void_p(self.stream),
        )

    def download(self, target: NDArray[np.uint8], source: Pointer) -> None:
        """Copy device bytes to pinned memory, in the order of the stream."""
        self._call(
            "cuMemcpyDtoHAsync_v2",
            ctypes.c_void_p(target.ctypes.data),
            ctypes.c_uint64(source),
            ctypes.c_size_t(target.nbytes),
            ctypes.c_void_p(self.stream),
        )

    def wait(self) -> None:
        """Until everything given to the stream is done."""
        self._call("cuStreamSynchronize", ctypes.c_void_p(self.stream))

    def record(self, work: Callable[[], None]) -> ctypes.c_void_p:
        """A graph of what `work` gives to the stream, to be launched as one; it does not run."""
        stream = ctypes.c_void_p(self.stream)
        self._call("cuStreamBeginCapture_v2", stream, _CAPTURE_THREAD_LOCAL)
        graph, failure = ctypes.c_void_p(), None
        try:
            work()
        except InferenceFailed as error:
            failure = error
        self._call("cuStreamEndCapture", stream, ctypes.byref(graph))
        if failure is not None:
            raise failure
        launchable = ctypes.c_void_p()
        self._call(
            "cuGraphInstantiateWithFlags", ctypes.byref(launchable), graph, ctypes.c_uint64()
        )
        self._call("cuGraphDestroy", graph)
        return launchable

    def launch(self, recorded: ctypes.c_void_p) -> None:
        """Run a recorded graph in the order of the stream."""
        self._call("cuGraphLaunch", recorded, ctypes.c_void_p(self.stream))

    def forget(self, recorded: ctypes.c_void_p) -> None:
        """Give a recorded graph's memory back."""
        self._call("cuGraphExecDestroy", recorded)

    def _call(self, name: str, *arguments: object) -> None:
        status = getattr(self._driver, name)(*arguments)
        if status != _SUCCESS:
            text = ctypes.c_char_p()
            self._driver.cuGetErrorString(status, ctypes.byref(text))
            reason = (text.value or b"unknown error").decode(errors="replace")
            raise InferenceFailed(f"{name} failed: {reason} ({status})")
