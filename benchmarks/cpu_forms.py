"""What else could be used on a CPU: `python -m benchmarks.cpu_forms live-xs-x2 live-xxs-x2`.

used: OpenVINO in bfloat16 where the processor has that, else in float32.
onnxruntime: float32.
int8: the model's own form in 8 bits. Where it has none, both graphs quantised after training by
NNCF (not installed by any extra: `pip install nncf`), the rest in bfloat16.
deformable: OpenVINO's own DeformableConvolution instead of GridSample and a 1x1 convolution.
plain: the graph as it was exported, without what `decoder.backends.openvino_graph` changes.

All forms of all models restore the same frames in turn. Times are of the processor: others would
need a quiet machine.
"""

from __future__ import annotations

import argparse
import math
import resource
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np

from benchmarks.result_file import write_result
from benchmarks.speed.candidates import moving_frames
from decoder.artefact import Artefact, FuseForm, find_artefact
from decoder.artefact_reference import quantiser_input
from decoder.backends import OnnxRuntimeConfig, OpenVinoConfig
from decoder.backends.contract import Backend, import_library, window_inputs
from decoder.backends.onnxruntime_cpu import OnnxRuntimeBackend
from decoder.backends.openvino_device import OpenVinoBackend
from decoder.edge_padding import padded_size
from stream.config import parse_size
from stream.errors import BackendUnavailable
from stream.frame import Frame, Size

Graph = Any  # OpenVINO ships no types


class _Int8(OpenVinoBackend):
    """Quantised on the features that the float32 form gives for `frames`."""

    artefact: Artefact
    frames: Sequence[Frame] = ()
    exact: OpenVinoBackend

    def _compile(self, core: Graph, model: Graph) -> Graph:
        nncf = import_library("nncf", extra="nncf")
        names = [port.any_name for port in model.inputs]
        if "y" in names:
            samples = [
                {name: value for name, value in _planes(frame).items() if name in names}
                for frame in self.frames
            ]
        else:
            count = self.artefact.manifest.window
            places = window_inputs(
                names, window=count, features=self.artefact.manifest.features
            ).values()
            features = [self.exact.extract(frame) for frame in self.frames]
            windows = [features[i : i + count] for i in range(len(features) - count + 1)]
            samples = [
                {name: _data(window[i][k]) for name, (i, k) in zip(names, places, strict=True)}
                for window in windows
            ]
        quantised = nncf.quantize(model, nncf.Dataset(samples), subset_size=len(samples))
        settings = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": "bf16",
            "INFERENCE_NUM_THREADS": self.config.threads,
            "ENABLE_CPU_PINNING": False,
        }
        return core.compile_model(quantised, "CPU", settings).create_infer_request()


class _Plain(OpenVinoBackend):
    """Nothing rearranged."""

    def _rearrange(self, fuse: Graph) -> frozenset[str]:
        return frozenset()


class _Deformable(_Plain):
    """Takes the graph with DeformConv, which becomes OpenVINO's operator."""

    def _open(self, core: Graph, artefact: Artefact) -> None:
        frontend = import_library("openvino.frontend.onnx", extra="openvino")
        core.add_extension(frontend.ConversionExtension("DeformConv", _deformable))
        super()._open(core, cast(Artefact, _OtherForm(artefact)))


class _OtherForm:
    """An artefact whose fuse graph is always the one with DeformConv."""

    def __init__(self, artefact: Artefact) -> None:
        self._artefact = artefact

    def __getattr__(self, name: str) -> object:
        return getattr(self._artefact, name)

    def fuse_graph(self, form: FuseForm) -> bytes:
        del form
        return self._artefact.fuse_graph("deform_conv")


def _deformable(node: Graph) -> list[Graph]:
    opset8 = import_library("openvino.opset8", extra="openvino")
    x, weight, offset, bias, mask = (node.get_input(place) for place in range(5))
    pads = node.get_attribute("pads")
    found = opset8.deformable_convolution(
        x,
        offset,
        weight,
        node.get_attribute("strides"),
        pads[:2],
        pads[2:],
        node.get_attribute("dilations"),
        mask,
        auto_pad="explicit",
        group=1,
        deformable_group=node.get_attribute("offset_group"),
        bilinear_interpolation_pad=True,
    )
    row = opset8.reshape(bias, np.array([1, -1, 1, 1], np.int64), False)
    return [opset8.add(found, row).output(0)]


def _data(tensor: Graph) -> object:
    return tensor.data


def _planes(frame: Frame) -> dict[str, object]:
    return {"y": frame.y, "u": frame.u, "v": frame.v, "quantiser": quantiser_input(frame)}


def open_forms(
    artefact: Artefact, size: Size, *, threads: int, frames: Sequence[Frame]
) -> dict[str, Backend]:
    """Every form that can be opened here; the first one is what is used."""
    config = OpenVinoConfig(threads=threads)
    forms: dict[str, Backend] = {"used": OpenVinoBackend(config, artefact, size)}
    forms["onnxruntime"] = OnnxRuntimeBackend(OnnxRuntimeConfig(threads=threads), artefact, size)
    forms["plain"] = _Plain(config, artefact, size)
    if artefact.has_int8:
        int8 = OpenVinoConfig(threads=threads, half=False, int8=True)
        forms["int8"] = OpenVinoBackend(int8, artefact, size)
    if artefact.manifest.window == 1:  # aligns nothing
        return forms
    forms["deformable"] = _Deformable(config, artefact, size)
    exact = OpenVinoConfig(threads=threads, half=False)
    _Int8.frames, _Int8.artefact = frames, artefact
    _Int8.exact = OpenVinoBackend(exact, artefact, size)
    try:
        forms["int8"] = _Int8(exact, artefact, size)
    except BackendUnavailable as error:
        print(f"int8 is left out: {error}")
    return forms


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Form:
    """One way to run one model."""

    model: str
    name: str
    backend: Backend
    window: int


def time_forms(forms: Sequence[Form], frames: Sequence[Frame], *, rounds: int) -> list[float]:
    """Processor time of one frame in ms for each, the median; the forms take turns."""
    rings = [[form.backend.extract(frames[0])] * form.window for form in forms]
    took_ms: list[list[float]] = [[] for _ in forms]
    for number in range(rounds):
        for form, ring, took in zip(forms, rings, took_ms, strict=True):
            before_ms = _cpu_ms()
            ring[:] = [*ring[1:], form.backend.extract(frames[number % len(frames)])]
            form.backend.fuse(ring)
            took.append(_cpu_ms() - before_ms)
    return [float(np.median(each[2:])) for each in took_ms]


def losses_db(
    forms: dict[str, Backend], artefact: Artefact, frames: Sequence[Frame]
) -> dict[str, float]:
    """PSNR-Y that each form loses against the one in use, on one window of the generated scene."""
    manifest = artefact.manifest
    lr_size = frames[0].size
    hr_size = Size(width=lr_size.width * manifest.scale, height=lr_size.height * manifest.scale)
    reference = manifest.window - 1 - manifest.lookahead
    truth = moving_frames(hr_size, manifest.window)[reference].y.astype(np.float64)

    def psnr_db(form: Backend) -> float:
        luma = form.fuse([form.extract(frame) for frame in frames[: manifest.window]])[0]
        return 10 * float(np.log10(255**2 / np.mean(np.square(luma - truth))))

    used_db = psnr_db(forms["used"])
    return {name: used_db - psnr_db(form) for name, form in forms.items()}


def _cpu_ms() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return 1000 * (used.ru_utime + used.ru_stime)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print one line for each form. Returns the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("models", nargs="+")
    parser.add_argument("--lr-size", default="640x360")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(arguments)
    artefacts = [find_artefact(name) for name in options.models]
    multiple_of = math.lcm(*(each.manifest.multiple_of for each in artefacts))
    size = padded_size(parse_size(options.lr_size), multiple_of=multiple_of)
    frames = moving_frames(size, 8)
    forms: list[Form] = []
    lost_db: list[float] = []
    for artefact in artefacts:
        opened = open_forms(artefact, size, threads=options.threads, frames=frames)
        lost_db += losses_db(opened, artefact, frames).values()
        name, window = artefact.manifest.name, artefact.manifest.window
        forms += [
            Form(model=name, name=form, backend=backend, window=window)
            for form, backend in opened.items()
        ]
    took_ms = time_forms(forms, frames, rounds=options.rounds)
    rows = [
        {
            "model": form.model,
            "form": form.name,
            "backend": form.backend.name,
            "cpu_ms": round(ms, 1),
            "times_first": round(ms / took_ms[0], 2),
            "lost_db": round(lost, 3),
        }
        for form, ms, lost in zip(forms, took_ms, lost_db, strict=True)
    ]
    for row in rows:
        print(
            f"{row['model']:<14}{row['form']:<13}{row['backend']:<17}{row['cpu_ms']:8.1f} ms"
            f"{row['times_first']:8.2f} times{row['lost_db']:8.3f} dB PSNR-Y lost"
        )
    if options.json is not None:
        figures = {"lr_size": str(size), "threads": options.threads, "rows": rows}
        write_result(options.json, "cpu forms", figures)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
