"""ONNX Runtime on an NVIDIA GPU: features stay there, bound from `extract` to `fuse`.

Only planes travel: up as bytes for `extract`, down as bytes after `fuse`.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy

from decoder.artefact import Artefact
from decoder.artefact_reference import Planes, quantiser_input
from decoder.backends.contract import (
    Features,
    LibraryObject,
    OnnxRuntimeGpuConfig,
    check_frame_size,
    checked_planes,
    import_library,
    need_nvidia_gpu,
    window_inputs,
)
from decoder.backends.gpu_graph import gpu_graph
from stream.errors import BackendUnavailable, InferenceFailed, ModelMismatch
from stream.frame import Frame, Size

_LOG_FATAL_ONLY = 4

_PROVIDERS = {
    "cuda": ["CUDAExecutionProvider"],
    "tensorrt": ["TensorrtExecutionProvider", "CUDAExecutionProvider"],
    "cpu": ["CPUExecutionProvider"],
}


class OnnxRuntimeGpuBackend:
    """Two inference sessions whose tensors are bound to the device."""

    def __init__(self, config: OnnxRuntimeGpuConfig, artefact: Artefact, lr_size: Size) -> None:
        """Raises BackendUnavailable without GPU or library, ModelMismatch for unusable graphs."""
        self.config = config
        self.is_half_precision = config.half
        self.runs_on_cpu = config.provider == "cpu"
        self.name = f"onnxruntime {config.provider} {'f16' if config.half else 'f32'}"
        if not self.runs_on_cpu:
            need_nvidia_gpu(self.name)
        self._library = import_library("onnxruntime", extra="onnxruntime-gpu")
        missing = set(_PROVIDERS[config.provider]) - set(self._library.get_available_providers())
        if missing:
            raise BackendUnavailable(
                f"this onnxruntime has no {', '.join(sorted(missing))}; pip install onnxruntime-gpu"
            )
        self._lr_size = lr_size
        scale = artefact.manifest.scale
        self._hr_size = Size(width=lr_size.width * scale, height=lr_size.height * scale)
        self._extract = self._open(gpu_graph(artefact.extract_graph(), half=config.half))
        self._fuse = self._open(gpu_graph(artefact.fuse_graph("grid_sample"), half=config.half))
        self._device = "cpu" if self.runs_on_cpu else "cuda"
        self._feature_names = [f"f{k}" for k in range(artefact.manifest.features)]
        self._window_inputs = window_inputs(
            (node.name for node in self._fuse.get_inputs()),
            window=artefact.manifest.window,
            features=artefact.manifest.features,
        )

    def extract(self, frame: Frame) -> Features:
        """See `Backend.extract`."""
        check_frame_size(frame, self._lr_size)
        binding = self._extract.io_binding()
        planes = {"y": frame.y, "u": frame.u, "v": frame.v, "quantiser": quantiser_input(frame)}
        try:
            for name, array in planes.items():
                binding.bind_cpu_input(name, array)
            for name in self._feature_names:
                binding.bind_output(name, self._device)
            self._extract.run_with_iobinding(binding)
            features: list[LibraryObject] = binding.get_outputs()
        except Exception as error:  # its exception classes share no base of their own
            raise InferenceFailed(f"onnxruntime failed: {_first_line(error)}") from error
        return features

    def fuse(self, window: Sequence[Features]) -> Planes:
        """See `Backend.fuse`."""
        binding = self._fuse.io_binding()
        try:
            for name, (i, k) in self._window_inputs.items():
                binding.bind_ortvalue_input(name, window[i][k])
            for name in "yuv":
                binding.bind_output(name, "cpu")
            self._fuse.run_with_iobinding(binding)
            y, u, v = (value.numpy() for value in binding.get_outputs())
        except Exception as error:  # its exception classes share no base of their own
            raise InferenceFailed(f"onnxruntime failed: {_first_line(error)}") from error
        return checked_planes(y, u, v, self._hr_size)

    def sibling(self) -> OnnxRuntimeGpuBackend:
        """See `Backend.sibling`: sessions may run on several threads at once."""
        return copy(self)

    def close(self) -> None:
        """See `Backend.close`."""
        del self._extract, self._fuse

    def _open(self, graph: bytes) -> LibraryObject:
        options = self._library.SessionOptions()
        options.log_severity_level = _LOG_FATAL_ONLY
        try:
            return self._library.InferenceSession(
                graph, options, providers=_PROVIDERS[self.config.provider]
            )
        except Exception as error:  # its exception classes share no base of their own
            raise ModelMismatch(
                f"onnxruntime cannot open the graph: {_first_line(error)}"
            ) from error


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
