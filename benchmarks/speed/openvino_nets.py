"""Networks built in OpenVINO itself: single-frame ones of others, and convolutions at their best.

How fast a network runs depends on its shape alone, so the weights here are random. The two
single-frame networks are those that OpenCV's dnn_superres is mostly used with; like it they restore
luma and leave chroma to an ordinary resize, which is not counted:

FSRCNN  Dong et al., ECCV 2016, arXiv 1608.00367: d=56, s=12, m=4.
ESPCN   Shi et al., CVPR 2016, arXiv 1609.05158: 5x5x64, 3x3x32, 3x3xr².
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from benchmarks.speed.candidates import Candidate
from benchmarks.speed.measurement import Job
from decoder.backends.contract import import_library
from stream.frame import Frame

Node = Any  # OpenVINO ships no types

PEAK_CHANNELS, PEAK_LAYERS = 64, 4


class _Builder:
    """Adds layers to a graph and counts their multiply-accumulates."""

    def __init__(self, *shape: int) -> None:
        self._ops: Node = import_library("openvino.opset13", extra="openvino")
        self._random = np.random.default_rng(0)
        self.input: Node = self._ops.parameter(list(shape), np.float32, name="in")
        self.node: Node = self.input
        self.macs = 0

    def convolve(self, outputs: int, side: int) -> None:
        """A convolution of side x side that keeps the size, then PReLU."""
        inputs = self.node.shape[1]
        weights = self._weights(outputs, inputs, side, side)
        pad = [side // 2, side // 2]
        self.node = self._ops.convolution(self.node, weights, [1, 1], pad, pad, [1, 1])
        self.macs += outputs * inputs * side**2 * self.node.shape[2] * self.node.shape[3]

    def activate(self) -> None:
        """PReLU."""
        slope = self._ops.constant(np.full(self.node.shape[1], 0.25, np.float32))
        self.node = self._ops.prelu(self.node, slope)

    def shuffle(self, scale: int) -> None:
        """Channels to samples (ESPCN's last step)."""
        self.node = self._ops.depth_to_space(self.node, "depth_first", scale)

    def deconvolve(self, side: int, scale: int) -> None:
        """One output channel, `scale` times the size (FSRCNN's last layer)."""
        rows, columns = self.node.shape[2:4]
        weights = self._weights(self.node.shape[1], 1, side, side)
        size = self._ops.constant(np.array([scale * rows, scale * columns], np.int64))
        pad = [(side - scale + 1) // 2] * 2
        inputs = self.node.shape[1]
        self.node = self._ops.convolution_backprop_data(
            self.node, weights, [scale, scale], size, pad, pad, [1, 1], "same_upper"
        )
        self.macs += inputs * side**2 * rows * columns

    def compile(self, job: Job) -> tuple[Node, str]:
        """An infer request and the name of where it runs."""
        library: Node = import_library("openvino", extra="openvino")
        core = library.Core()
        has_half = "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        is_half = has_half and job.backend != "f32"
        settings = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": "bf16" if is_half else "f32",
            "INFERENCE_NUM_THREADS": job.threads,
            "ENABLE_CPU_PINNING": False,
        }
        model = library.Model([self._ops.result(self.node)], [self.input], "net")
        request = core.compile_model(model, "CPU", settings).create_infer_request()
        return request, f"openvino {'bf16' if is_half else 'f32'}"

    def _weights(self, *shape: int) -> Node:
        spread = 1 / math.sqrt(math.prod(shape[1:]))
        return self._ops.constant((self._random.standard_normal(shape) * spread).astype(np.float32))


def open_network(job: Job) -> Candidate:
    """A network for luma of `job.lr`, or for `peak` plain convolutions on a grid of that size."""
    size = job.lr_size
    scale = round(job.hr_size.width / size.width)
    channels = PEAK_CHANNELS if job.kind == "peak" else 1
    net = _Builder(1, channels, size.height, size.width)
    match job.kind:
        case "peak":
            for _ in range(PEAK_LAYERS):
                net.convolve(PEAK_CHANNELS, 3)
        case "espcn":
            for outputs, side in ((64, 5), (32, 3)):
                net.convolve(outputs, side)
                net.activate()
            net.convolve(scale**2, 3)
            net.shuffle(scale)
        case _:
            layers = ((56, 5), (12, 1), *[(12, 3)] * 4, (56, 1))
            for outputs, side in layers:
                net.convolve(outputs, side)
                net.activate()
            net.deconvolve(9, scale)
    request, name = net.compile(job)
    noise = np.random.default_rng(1).standard_normal((1, channels, size.height, size.width))
    fixed = noise.astype(np.float32)

    def step(frame: Frame) -> object:
        data = fixed if job.kind == "peak" else (frame.y[None, None] / np.float32(255))
        return request.infer([data])

    return Candidate(backend=name, step=step, macs=net.macs)
