"""OpenVINO: bfloat16 on a CPU that has it, float16 on Intel's GPU and NPU; GridSample's form.

On a CPU also 8 bits, of models that have that form: with AVX2 they take 0.6 of float32's time, with
AMX hardly less than bfloat16's (`benchmarks.cpu_forms`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from copy import copy

import numpy as np
from numpy.typing import NDArray

from decoder.artefact import Artefact, FuseForm
from decoder.artefact_reference import Planes, quantiser_input
from decoder.backends.contract import (
    Features,
    LibraryObject,
    OpenVinoConfig,
    check_frame_size,
    checked_planes,
    import_library,
    thread_count,
    window_inputs,
)
from decoder.backends.openvino_graph import outputs_as_cells, planes_from_cells, rewrite_fuse
from stream.errors import BackendUnavailable, InferenceFailed, ModelMismatch
from stream.frame import Frame, Size


class OpenVinoBackend:
    """Two compiled graphs of static shape, one infer request each.

    A request would write each result over the last one, so every call is given fresh output
    tensors: features and planes stay valid for as long as somebody holds them.
    """

    def __init__(self, config: OpenVinoConfig, artefact: Artefact, lr_size: Size) -> None:
        """Raises BackendUnavailable when not installed, or when a model has no form in 8 bits and
        that is asked for; ModelMismatch for unusable graphs.
        """
        self.config = config
        if config.int8 and not artefact.has_int8:
            raise BackendUnavailable(f"{artefact.manifest.name} has no form in 8 bits")
        self._library = import_library("openvino", extra="openvino")
        self._lr_size = lr_size
        scale = artefact.manifest.scale
        self._hr_size = Size(width=lr_size.width * scale, height=lr_size.height * scale)
        core = self._library.Core()
        if not any(name.partition(".")[0] == config.device for name in core.available_devices):
            raise BackendUnavailable(f"openvino finds no {config.device} here")
        capabilities = core.get_property(config.device, "OPTIMIZATION_CAPABILITIES")
        self._half = "bf16" if self.runs_on_cpu else "f16"
        self.is_half_precision = config.half and self._half.upper() in _short(capabilities)
        try:
            self._open(core, artefact)
        except RuntimeError as error:
            raise ModelMismatch(f"openvino cannot open the graph: {_first_line(error)}") from error

    @property
    def name(self) -> str:
        """See `Backend.name`."""
        if self.config.int8:
            return "openvino int8"
        device = "" if self.runs_on_cpu else f" {self.config.device}"
        return f"openvino{device} {self._half if self.is_half_precision else 'f32'}"

    @property
    def runs_on_cpu(self) -> bool:
        """See `Backend.runs_on_cpu`."""
        return self.config.device == "CPU"

    def extract(self, frame: Frame) -> Features:
        """See `Backend.extract`."""
        check_frame_size(frame, self._lr_size)
        inputs: dict[str, NDArray[np.uint8] | NDArray[np.float32]] = {
            "y": frame.y,
            "u": frame.u,
            "v": frame.v,
            "quantiser": quantiser_input(frame),
        }
        try:
            for name, array in inputs.items():
                if name not in self._taken:
                    continue
                # It cannot share memory that it may not write to, though it never writes inputs.
                shared = array if array.flags.writeable else array.copy()
                self._extract.set_tensor(name, self._library.Tensor(shared, shared_memory=True))
            return self._run(self._extract, self._feature_ports)
        except RuntimeError as error:
            raise InferenceFailed(f"openvino failed: {_first_line(error)}") from error

    def fuse(self, window: Sequence[Features]) -> Planes:
        """See `Backend.fuse`."""
        try:
            for port, (i, k) in enumerate(self._window_ports):
                self._fuse.set_input_tensor(port, window[i][k])
            y, u, v = (
                planes_from_cells(tensor.data) if name in self._as_cells else tensor.data
                for name, tensor in zip(
                    "yuv", self._run(self._fuse, self._plane_ports), strict=True
                )
            )
        except RuntimeError as error:
            raise InferenceFailed(f"openvino failed: {_first_line(error)}") from error
        return checked_planes(y, u, v, self._hr_size)

    def sibling(self) -> OpenVinoBackend:
        """See `Backend.sibling`: the compiled graphs are shared, requests are not."""
        other = copy(self)
        other._extract = self._extract.get_compiled_model().create_infer_request()
        other._fuse = self._fuse.get_compiled_model().create_infer_request()
        return other

    def close(self) -> None:
        """See `Backend.close`."""
        del self._extract, self._fuse

    def _open(self, core: LibraryObject, artefact: Artefact) -> None:
        manifest, size = artefact.manifest, self._lr_size
        half = [size.height // 2, size.width // 2]
        extract = core.read_model(artefact.extract_graph())
        shapes = {"y": [size.height, size.width], "u": half, "v": half, "quantiser": [1]}
        # Of a graph in memory it drops inputs that nothing depends on.
        self._taken = {port.any_name for port in extract.inputs}
        extract.reshape({name: shape for name, shape in shapes.items() if name in self._taken})
        features = [extract.output(f"f{k}") for k in range(manifest.features)]
        form: FuseForm = "int8" if self.config.int8 else "grid_sample"
        fuse = core.read_model(artefact.fuse_graph(form))
        names = [port.any_name for port in fuse.inputs]
        places = window_inputs(names, window=manifest.window, features=manifest.features)
        fuse.reshape({name: features[k].partial_shape for name, (_, k) in places.items()})
        # Results may lose their names when they are converted, but they keep their order.
        order = [port.any_name for port in extract.outputs]
        self._feature_ports = [order.index(f"f{k}") for k in range(manifest.features)]
        order = [port.any_name for port in fuse.outputs]
        self._plane_ports = [order.index(name) for name in "yuv"]
        self._window_ports = [places[name] for name in names]
        self._as_cells = self._rearrange(fuse) if self.runs_on_cpu else frozenset()
        if self.is_half_precision:
            # Whatever leads from the last convolution to an output stays in float32, so as outputs
            # the sampling positions do too. In bfloat16, with its 8 bits for -1 to 1, they would be
            # off by an eighth of a cell at the sides of a 640 pixel wide picture.
            samplers = (op for op in fuse.get_ops() if op.get_type_name() == "GridSample")
            fuse.add_outputs([sampler.input_value(1) for sampler in samplers])
        self._extract = self._compile(core, self._with_native_features(extract, are_inputs=False))
        self._fuse = self._compile(core, self._with_native_features(fuse, are_inputs=True))

    def _rearrange(self, fuse: LibraryObject) -> frozenset[str]:
        """Let a CPU move less; the planes that come out as cells."""
        rewrite_fuse(fuse)
        return outputs_as_cells(fuse)

    def _with_native_features(self, model: LibraryObject, *, are_inputs: bool) -> LibraryObject:
        """In 16 bits features travel as convolutions hold them: channels last, in their precision.

        That saves a tenth of the work that converting them to and from planes of float32 was. In
        float32 they stay planes: with AVX2, turning them is slower than the convolutions' own
        conversion, and costs 3 % of a frame.
        """
        steps = self._library.preprocess.PrePostProcessor(model)
        count = len(model.inputs if are_inputs else model.outputs)
        for index in range(count if self.is_half_precision else 0):
            step = steps.input(index) if are_inputs else steps.output(index)
            step.model().set_layout(self._library.Layout("NCHW"))
            step.tensor().set_layout(self._library.Layout("NHWC"))
            step.tensor().set_element_type(getattr(self._library.Type, self._half))
        for name in self._as_cells if are_inputs else ():
            cells = steps.output(name)
            cells.model().set_layout(self._library.Layout("NCHW"))
            cells.tensor().set_layout(self._library.Layout("NHWC"))
        return steps.build()

    def _compile(self, core: LibraryObject, model: LibraryObject) -> LibraryObject:
        settings: dict[str, object] = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": self._half if self.is_half_precision else "f32",
        }
        if self.runs_on_cpu:
            settings["INFERENCE_NUM_THREADS"] = thread_count(self.config.threads)
            # Codecs and the network use the same cores: bound to one, a thread would wait for them.
            settings["ENABLE_CPU_PINNING"] = False
        return core.compile_model(model, self.config.device, settings).create_infer_request()

    def _run(self, request: LibraryObject, ports: list[int]) -> list[LibraryObject]:
        graph = request.get_compiled_model()
        outputs = []
        for port in ports:
            output = graph.output(port)
            tensor = self._library.Tensor(output.element_type, output.shape)
            request.set_output_tensor(port, tensor)
            outputs.append(tensor)
        request.infer()
        return outputs


def _short(capabilities: Iterable[str]) -> set[str]:
    """OpenVINO calls the same type BF16, and FP16 what its own precision hint calls f16."""
    return {name.replace("FP", "F") for name in capabilities}


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
