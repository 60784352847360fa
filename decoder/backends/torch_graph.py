"""PyTorch: a model's graphs as a list of torch calls, eager or compiled, on a CPU or a CUDA GPU.

Everything that does not depend on the frame (shapes, sampling grids, rearranged weights) is
computed once when the engine is opened.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace

import numpy as np

from decoder.artefact import Artefact, FuseForm
from decoder.artefact_reference import Planes, quantiser_input
from decoder.backends.contract import (
    Features,
    LibraryObject,
    TorchConfig,
    check_frame_size,
    checked_planes,
    import_library,
    need_nvidia_gpu,
    thread_count,
    window_inputs,
)
from decoder.backends.gpu_graph import gpu_graph
from decoder.backends.torch_operators import operator
from stream.errors import BackendUnavailable, InferenceFailed, ModelMismatch
from stream.frame import Frame, Size

_EXTRA = "'edvr-live[train]'"


class TorchBackend:
    """Two programs of fixed size; features stay tensors on the device."""

    def __init__(self, config: TorchConfig, artefact: Artefact, lr_size: Size) -> None:
        """Raises BackendUnavailable without torch or GPU, ModelMismatch for unusable graphs."""
        self.config = config
        is_cuda = config.device == "cuda"
        if is_cuda:
            need_nvidia_gpu("torch on CUDA")
        self._torch = torch = import_library("torch", extra=_EXTRA)
        if is_cuda and config.fused:
            import_library("triton", extra="'edvr-live[triton]'")
        if is_cuda and not torch.cuda.is_available():
            raise BackendUnavailable("this torch has no CUDA; pip install a build that has")
        if not is_cuda:
            torch.set_num_threads(thread_count(config.threads))
        self.is_half_precision = config.half and is_cuda
        self.runs_on_cpu = not is_cuda
        manifest = artefact.manifest
        self._lr_size = lr_size
        self._hr_size = Size(
            width=lr_size.width * manifest.scale, height=lr_size.height * manifest.scale
        )
        half_height, half_width = lr_size.height // 2, lr_size.width // 2
        planes = {
            "y": torch.zeros(lr_size.height, lr_size.width, dtype=torch.uint8),
            "u": torch.zeros(half_height, half_width, dtype=torch.uint8),
            "v": torch.zeros(half_height, half_width, dtype=torch.uint8),
            "quantiser": torch.zeros(1),
        }
        self._feature_names = [f"f{k}" for k in range(manifest.features)]
        extract = gpu_graph(artefact.extract_graph(), half=self.is_half_precision)
        self._extract, examples = self._program(extract, planes, self._feature_names)
        form: FuseForm = "deform_conv" if config.fused else "grid_sample"
        fuse = gpu_graph(artefact.fuse_graph(form), half=self.is_half_precision)
        self._places = window_inputs(
            _input_names(fuse), window=manifest.window, features=manifest.features
        )
        taken = {name: examples[k] for name, (_, k) in self._places.items()}
        self._fuse, _ = self._program(fuse, taken, list("yuv"))
        self._batched: dict[str, LibraryObject] = {}  # the programs for several frames at once

    @property
    def name(self) -> str:
        """See `Backend.name`."""
        kind = "compiled" if self.config.compiled else "eager"
        kind += " fused" if self.config.fused else ""
        return f"torch {self.config.device} {kind} {'f16' if self.is_half_precision else 'f32'}"

    def extract(self, frame: Frame) -> Features:
        """See `Backend.extract`."""
        check_frame_size(frame, self._lr_size)
        planes = (frame.y, frame.u, frame.v, quantiser_input(frame))
        # A plane that may not be written to would make torch warn, though it never writes.
        inputs = [self._torch.from_numpy(np.array(plane)) for plane in planes]
        features: Features = self._run(self._extract, inputs)
        return features

    def fuse(self, window: Sequence[Features]) -> Planes:
        """See `Backend.fuse`."""
        inputs = [window[i][k] for i, k in self._places.values()]
        y, u, v = (plane.cpu().numpy() for plane in self._run(self._fuse, inputs))
        return checked_planes(y, u, v, self._hr_size)

    def extract_many(self, frames: Sequence[Frame]) -> list[Features]:
        """See `BatchedBackend.extract_many`."""
        for frame in frames:
            check_frame_size(frame, self._lr_size)
        planes = zip(*((f.y, f.u, f.v, quantiser_input(f)) for f in frames), strict=True)
        inputs = [self._torch.from_numpy(np.stack(plane)) for plane in planes]
        features = self._run(self._together("_extract"), inputs)
        return [[each[index] for each in features] for index in range(len(frames))]

    def fuse_many(self, windows: Sequence[Sequence[Features]]) -> list[Planes]:
        """See `BatchedBackend.fuse_many`."""
        places = self._places.values()
        inputs = [self._torch.stack([window[i][k] for window in windows]) for i, k in places]
        ys, us, vs = (plane.cpu().numpy() for plane in self._run(self._together("_fuse"), inputs))
        return [checked_planes(y, u, v, self._hr_size) for y, u, v in zip(ys, us, vs, strict=True)]

    def sibling(self) -> TorchBackend:
        """See `Backend.sibling`: programs keep nothing between two calls."""
        return copy(self)

    def close(self) -> None:
        """See `Backend.close`."""
        self._batched.clear()
        del self._extract, self._fuse

    def _together(self, half: str) -> LibraryObject:
        """One of the two programs with every input and output stacked along a new first axis."""
        if half not in self._batched:
            program = getattr(self, half)
            plain = getattr(program, "_orig_mod", program)  # what torch.compile was given
            self._batched[half] = self._compiled(self._torch.vmap(plain))
        return self._batched[half]

    def _run(self, program: LibraryObject, inputs: Sequence[LibraryObject]) -> list[LibraryObject]:
        torch = self._torch
        try:
            with torch.inference_mode():
                moved = [each.to(self.config.device, non_blocking=True) for each in inputs]
                if not self.config.compiled:
                    return list(program(*moved))
                if not self.runs_on_cpu:
                    torch.compiler.cudagraph_mark_step_begin()
                # A CUDA graph writes each result over the last one.
                return [each.clone() for each in program(*moved)]
        except (RuntimeError, IndexError) as error:
            raise InferenceFailed(f"torch failed: {_first_line(error)}") from error

    def _program(
        self, graph: bytes, examples: Mapping[str, LibraryObject], outputs: Sequence[str]
    ) -> tuple[LibraryObject, list[LibraryObject]]:
        """A callable on the graph's inputs in their order, and its outputs for `examples`."""
        try:
            module, values = _traced(self._torch, graph, examples, outputs)
        except (RuntimeError, KeyError, ValueError, TypeError, IndexError) as error:
            raise ModelMismatch(f"torch cannot open the graph: {_first_line(error)}") from error
        return self._compiled(module.to(self.config.device)), values

    def _compiled(self, program: LibraryObject) -> LibraryObject:
        if not self.config.compiled:
            return program
        mode = "default" if self.runs_on_cpu else "reduce-overhead"
        return self._torch.compile(program, mode=mode, dynamic=False)


def _traced(
    torch: LibraryObject,
    graph_bytes: bytes,
    examples: Mapping[str, LibraryObject],
    outputs: Sequence[str],
) -> tuple[LibraryObject, list[LibraryObject]]:
    """Run the graph once on `examples`, noting the calls that depend on them."""
    onnx = import_library("onnx", extra=_EXTRA)
    graph = onnx.load_from_string(graph_bytes).graph
    values: dict[str, LibraryObject] = {
        each.name: torch.from_numpy(np.array(onnx.numpy_helper.to_array(each)))
        for each in graph.initializer
    }
    moving = [each.name for each in graph.input]
    values |= {name: examples[name] for name in moving}
    seen = set(moving)
    steps: list[_Step] = []
    with torch.inference_mode(False), torch.no_grad():
        for node in graph.node:
            attributes = {
                each.name: onnx.helper.get_attribute_value(each) for each in node.attribute
            }
            if node.op_type == "Constant":
                array = onnx.numpy_helper.to_array(attributes["value"])
                values[node.output[0]] = torch.from_numpy(np.array(array))
                continue
            inputs = [values[name] if name else None for name in node.input]
            call, places = operator(torch, node.op_type, attributes, inputs)
            found = call(*(inputs[place] for place in places))
            is_many = isinstance(found, list | tuple)
            values |= dict(zip(node.output, found if is_many else [found], strict=True))
            taken = tuple(node.input[place] for place in places)
            if seen & set(taken):
                seen |= set(node.output)
                steps.append(_Step(call=call, taken=taken, given=tuple(node.output), many=is_many))
    used = {name for step in steps for name in step.taken} | set(outputs)
    constants = {name: values[name] for name in used - seen}
    module = _module(torch, moving, _freeing(steps, outputs), constants, tuple(outputs))
    return module, [values[name] for name in outputs]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Step:
    """One call, on and to values by name; many: it gives several at once; last: not used again."""

    call: Callable[..., LibraryObject]
    taken: tuple[str, ...]
    given: tuple[str, ...]
    many: bool
    last: tuple[str, ...] = ()


def _freeing(steps: Sequence[_Step], outputs: Sequence[str]) -> list[_Step]:
    """The same steps, each telling what its memory can be given back of."""
    needed, freeing = set(outputs), []
    for step in reversed(steps):
        done = {name for name in (*step.taken, *step.given) if name not in needed}
        needed |= done
        freeing.append(replace(step, last=tuple(sorted(done))))
    return freeing[::-1]


def _module(
    torch: LibraryObject,
    moving: Sequence[str],
    steps: Sequence[_Step],
    constants: Mapping[str, LibraryObject],
    outputs: tuple[str, ...],
) -> LibraryObject:
    """The steps as a module whose constants move to a device with it."""

    class Program(torch.nn.Module):  # type: ignore[misc] # torch comes late
        def __init__(self) -> None:
            super().__init__()
            for number, value in enumerate(constants.values()):
                self.register_buffer(f"constant_{number}", value.contiguous())

        def forward(self, *inputs: LibraryObject) -> tuple[LibraryObject, ...]:
            values = dict(zip(moving, inputs, strict=True))
            values |= dict(zip(constants, self.buffers(), strict=True))
            for step in steps:
                found = step.call(*[values[name] for name in step.taken])
                values |= dict(zip(step.given, found if step.many else [found], strict=True))
                for name in step.last:
                    values.pop(name, None)
            return tuple(values[name] for name in outputs)

    return Program().eval()


def _input_names(graph_bytes: bytes) -> list[str]:
    onnx = import_library("onnx", extra=_EXTRA)
    return [each.name for each in onnx.load_from_string(graph_bytes).graph.input]


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
