"""ONNX Runtime on the CPU: float32, deformable convolution by its native DeformConv operator."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from functools import cache

from decoder.artefact import Artefact
from decoder.artefact_reference import Planes, quantiser_input
from decoder.backends.contract import (
    Features,
    LibraryObject,
    OnnxRuntimeConfig,
    check_frame_size,
    checked_planes,
    import_library,
    thread_count,
    window_inputs,
)
from stream.errors import InferenceFailed, ModelMismatch
from stream.frame import Frame, Size

_LOG_FATAL_ONLY = 4
"""Its errors are raised as well; on stderr they would be lines nobody asked for."""
_PLANES = ["y", "u", "v"]


class OnnxRuntimeBackend:
    """Two inference sessions; features stay `OrtValue`s, so nothing is copied between them."""

    name = "onnxruntime f32"
    is_half_precision = False
    runs_on_cpu = True

    def __init__(self, config: OnnxRuntimeConfig, artefact: Artefact, lr_size: Size) -> None:
        """Raises BackendUnavailable when not installed, ModelMismatch for unusable graphs."""
        self.config = config
        self._library = import_library("onnxruntime", extra="onnxruntime")
        self._lr_size = lr_size
        scale = artefact.manifest.scale
        self._hr_size = Size(width=lr_size.width * scale, height=lr_size.height * scale)
        self._extract = self._open(artefact.extract_graph())
        self._fuse = self._open(artefact.fuse_graph("deform_conv"))
        self._feature_names = [f"f{k}" for k in range(artefact.manifest.features)]
        self._window_inputs = window_inputs(
            (node.name for node in self._fuse.get_inputs()),
            window=artefact.manifest.window,
            features=artefact.manifest.features,
        )

    def extract(self, frame: Frame) -> Features:
        """See `Backend.extract`."""
        check_frame_size(frame, self._lr_size)
        inputs = {
            "y": self._value(frame.y),
            "u": self._value(frame.u),
            "v": self._value(frame.v),
            "quantiser": self._value(quantiser_input(frame)),
        }
        return self._run(self._extract, self._feature_names, inputs)

    def fuse(self, window: Sequence[Features]) -> Planes:
        """See `Backend.fuse`."""
        inputs = {name: window[i][k] for name, (i, k) in self._window_inputs.items()}
        y, u, v = (value.numpy() for value in self._run(self._fuse, _PLANES, inputs))
        return checked_planes(y, u, v, self._hr_size)

    def sibling(self) -> OnnxRuntimeBackend:
        """See `Backend.sibling`: sessions may run on several threads at once."""
        return copy(self)

    def close(self) -> None:
        """See `Backend.close`."""
        del self._extract, self._fuse

    def _open(self, graph: bytes) -> LibraryObject:
        options = self._library.SessionOptions()
        options.intra_op_num_threads = thread_count(self.config.threads)
        options.inter_op_num_threads = 1
        # Waiting threads would take the cores from the codecs: beside other work, they doubled the
        # processor time of a frame and made it 1.6 times as late.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.add_session_config_entry("session.use_env_allocators", _share_memory(self._library))
        options.log_severity_level = _LOG_FATAL_ONLY
        try:
            return self._library.InferenceSession(
                graph, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # its exception classes share no base of their own
            raise ModelMismatch(
                f"onnxruntime cannot open the graph: {_first_line(error)}"
            ) from error

    def _run(
        self, session: LibraryObject, outputs: list[str], inputs: dict[str, LibraryObject]
    ) -> list[LibraryObject]:
        try:
            values: list[LibraryObject] = session.run_with_ort_values(outputs, inputs)
        except Exception as error:  # its exception classes share no base of their own
            raise InferenceFailed(f"onnxruntime failed: {_first_line(error)}") from error
        return values

    def _value(self, array: LibraryObject) -> LibraryObject:
        return self._library.OrtValue.ortvalue_from_numpy(array)


@cache
def _share_memory(library: LibraryObject) -> str:
    """Let all sessions of the process take what they compute in from one pool; the option's value.

    Networks run in turns. With a pool each, six of `live-xs-x4` held 670 MiB, with one 70.
    """
    place = library.OrtMemoryInfo(
        "Cpu", library.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, library.OrtMemType.DEFAULT
    )
    try:
        library.create_and_register_allocator(place, library.OrtArenaCfg({}))
    except Exception:  # its exceptions share no class; then each session has its own pool
        return "0"
    return "1"


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
