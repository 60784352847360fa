"""The kernel for GPUs: run by Triton's interpreter, and compiled for GPUs that are not here."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("triton")

ROOT = Path(__file__).parent.parent

COMPARE = """
import torch
from decoder.backends.triton_deform_conv import deform_conv
from decoder.edvr.deform_conv import deform_conv2d

torch.manual_seed(0)
for channels, outputs, groups, side, stride, dilation, pictures in (
    (24, 24, 8, 3, 1, 1, 1), (24, 40, 8, 1, 1, 1, 2), (8, 4, 1, 3, 2, 1, 1), (16, 16, 4, 3, 1, 2, 1)
):
    x, taps, how = torch.randn(pictures, channels, 7, 11), side**2, dict(padding=side // 2)
    how |= dict(stride=stride, dilation=dilation)
    reach = dilation * (side - 1)
    h, w = ((n + 2 * (side // 2) - reach - 1) // stride + 1 for n in (7, 11))
    offset = 3 * torch.randn(pictures, 2 * groups * taps, h, w)
    mask = torch.sigmoid(torch.randn(pictures, groups * taps, h, w))
    weight, bias = torch.randn(outputs, channels, side, side), torch.randn(outputs)
    expected = deform_conv2d(x, offset, mask, weight, bias, **how)
    found = deform_conv(x, weight, offset, bias, mask, groups=groups, **how)
    assert found.shape == expected.shape, (found.shape, expected.shape)
    assert (found - expected).abs().max() < 1e-4, (found - expected).abs().max()
    half = [each.half() for each in (x, weight, offset, bias, mask)]
    found = deform_conv(*half, groups=groups, **how)
    assert found.dtype == torch.float16
    assert (found - expected).abs().mean() < 0.02, (found - expected).abs().mean()
"""

COMPILE = """
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from decoder.backends.triton_deform_conv import _kernel

pointers = dict.fromkeys(("x", "offset", "mask", "weight", "bias", "out"), "*fp16")
numbers = ("height", "width", "out_height", "out_width", "stride", "padding", "dilation")
constants = dict(channels=64, outputs=64, groups=8, kernel_height=3, kernel_width=3, places=64,
    many_channels=64, many_outputs=64)
signature = pointers | dict.fromkeys(numbers, "i32") | dict.fromkeys(constants, "constexpr")
for capability in (80, 90):
    source = ASTSource(fn=_kernel, signature=signature, constexprs=constants)
    compiled = triton.compile(source, target=GPUTarget("cuda", capability, 32))
    assert len(compiled.asm["cubin"]) > 1000
    assert "mma" in compiled.asm["ptx"]
"""


def _run(program: str, tmp_path: Path, **settings: str) -> None:
    environment = {**os.environ, "TRITON_CACHE_DIR": str(tmp_path), **settings}
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_the_kernel_computes_what_the_reference_computes(tmp_path: Path) -> None:
    _run(COMPARE, tmp_path, TRITON_INTERPRET="1")


def test_the_kernel_is_compiled_without_a_gpu_onto_matrix_units(tmp_path: Path) -> None:
    _run(COMPILE, tmp_path)
