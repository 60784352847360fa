"""What else was tried on a CPU, beside what is used: `python -m benchmarks.cpu_forms live-xs-x2`.

int8: both graphs quantised after training by NNCF (not installed by any extra: `pip install nncf`),
the rest in bfloat16.
deformable: OpenVINO's own DeformableConvolution instead of GridSample and a 1x1 convolution.
plain: the graph as it was exported, without what `decoder.backends.openvino_graph` changes.

All forms restore the same frames in turn. Times are of the processor: others would need a quiet
machine.
"""

from __future__ import annotations

import argparse
import resource
from collections.abc import Sequence
from typing import Any, cast

import numpy as np

from benchmarks.speed.candidates import moving_frames
from decoder.artefact import Artefact, FuseForm, find_artefact
from decoder.artefact_reference import quantiser_input
from decoder.backends import OpenVinoConfig
from decoder.backends.contract import import_library, window_inputs
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
) -> dict[str, OpenVinoBackend]:
    """Every form that can be opened here; the first one is what is used."""
    config = OpenVinoConfig(threads=threads)
    forms = {"used": OpenVinoBackend(config, artefact, size)}
    forms["plain"] = _Plain(config, artefact, size)
    forms["deformable"] = _Deformable(config, artefact, size)
    exact = OpenVinoConfig(threads=threads, half=False)
    _Int8.frames, _Int8.artefact = frames, artefact
    _Int8.exact = OpenVinoBackend(exact, artefact, size)
    try:
        forms["int8"] = _Int8(exact, artefact, size)
    except BackendUnavailable as error:
        print(f"int8 is left out: {error}")
    return forms


def time_forms(
    forms: dict[str, OpenVinoBackend], frames: Sequence[Frame], *, window: int, rounds: int
) -> dict[str, float]:
    """Processor time of one frame in ms, the median; the forms take turns."""
    rings = {name: [form.extract(frames[0])] * window for name, form in forms.items()}
    took_ms: dict[str, list[float]] = {name: [] for name in forms}
    for number in range(rounds):
        for name, form in forms.items():
            before_ms = _cpu_ms()
            rings[name] = [*rings[name][1:], form.extract(frames[number % len(frames)])]
            form.fuse(rings[name])
            took_ms[name].append(_cpu_ms() - before_ms)
    return {name: float(np.median(each[2:])) for name, each in took_ms.items()}


def losses_db(forms: dict[str, OpenVinoBackend], artefact: Artefact) -> dict[str, float]:
    """PSNR-Y that each form loses against the one in use, on one window of the generated scene."""
    manifest, frames = artefact.manifest, _Int8.frames
    lr_size = frames[0].size
    hr_size = Size(width=lr_size.width * manifest.scale, height=lr_size.height * manifest.scale)
    reference = manifest.window - 1 - manifest.lookahead
    truth = moving_frames(hr_size, manifest.window)[reference].y.astype(np.float64)

    def psnr_db(form: OpenVinoBackend) -> float:
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
    parser.add_argument("model")
    parser.add_argument("--lr-size", default="640x360")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=60)
    options = parser.parse_args(arguments)
    artefact = find_artefact(options.model)
    size = padded_size(parse_size(options.lr_size), multiple_of=artefact.manifest.multiple_of)
    frames = moving_frames(size, 8)
    forms = open_forms(artefact, size, threads=options.threads, frames=frames)
    window = artefact.manifest.window
    took_ms = time_forms(forms, frames, window=window, rounds=options.rounds)
    lost_db = losses_db(forms, artefact)
    for name, ms in took_ms.items():
        times = ms / took_ms["used"]
        print(f"{name:<12}{ms:8.1f} ms{times:8.2f} times{lost_db[name]:8.3f} dB PSNR-Y lost")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
