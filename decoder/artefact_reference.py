"""The reference window of a model artefact: what goes in, and what must come out."""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stream.errors import FrameError, ModelMismatch
from stream.frame import Frame, Plane, Size

Planes = tuple[Plane, Plane, Plane]
"""The y, u and v planes of one picture, uint8 (H, W), (H/2, W/2), (H/2, W/2)."""

QUANTISER_RANGE = 51.0
"""Largest H.264 QP: graphs take QP / 51."""

QUANTISER_UNKNOWN = -1.0
"""What graphs take when a frame's QP is not known."""


def quantiser_input(frame: Frame) -> NDArray[np.float32]:
    """The graph input `quantiser` of a frame: float32 (1,), QP / 51, or -1 when not known."""
    if frame.quantiser is None:
        return np.array([QUANTISER_UNKNOWN], np.float32)
    return np.array([frame.quantiser / QUANTISER_RANGE], np.float32)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Reference:
    """One window of LR frames and the HR planes a correct engine computes from it in float32."""

    frames: tuple[Frame, ...]
    expected: Planes

    @property
    def size(self) -> Size:
        """LR size."""
        return self.frames[0].size

    def check_shapes(self, *, window: int, scale: int, multiple_of: int) -> None:
        """Raises ModelMismatch when this is not a reference of a model with such numbers."""
        height, width = self.expected[0].shape
        if (
            len(self.frames) != window
            or (width, height) != (self.size.width * scale, self.size.height * scale)
            or self.size.width % multiple_of
            or self.size.height % multiple_of
        ):
            raise ModelMismatch(
                f"reference of {len(self.frames)} frames of {self.size} to {width}x{height} is not"
                f" for a window of {window}, scale {scale}, sizes in multiples of {multiple_of}"
            )

    def to_npz(self) -> bytes:
        """The file reference.npz."""
        arrays = {
            "y": np.stack([frame.y for frame in self.frames]),
            "u": np.stack([frame.u for frame in self.frames]),
            "v": np.stack([frame.v for frame in self.frames]),
            "quantiser": np.concatenate([quantiser_input(frame) for frame in self.frames]),
        }
        arrays |= {f"out_{name}": plane for name, plane in zip("yuv", self.expected, strict=True)}
        buffer = io.BytesIO()
        np.savez_compressed(buffer, allow_pickle=False, **arrays)
        return buffer.getvalue()

    @classmethod
    def load(cls, path: Path) -> Reference:
        """Read reference.npz. Raises ModelMismatch when it is missing or malformed."""
        try:
            with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as arrays:
                y, u, v, quantisers = (arrays[name] for name in ("y", "u", "v", "quantiser"))
                expected = arrays["out_y"], arrays["out_u"], arrays["out_v"]
            frames = tuple(
                Frame(y=y[i], u=u[i], v=v[i], pts=i, quantiser=_quantiser(float(quantisers[i])))
                for i in range(len(y))
            )
            Frame(y=expected[0], u=expected[1], v=expected[2], pts=0)  # checks shapes and dtype
        except (OSError, KeyError, IndexError, ValueError, FrameError, zipfile.BadZipFile) as error:
            raise ModelMismatch(f"{path} is not a usable reference: {error}") from error
        if not frames:
            raise ModelMismatch(f"{path} holds no frames")
        return cls(frames=frames, expected=expected)


def _quantiser(graph_value: float) -> float | None:
    return None if graph_value < 0 else graph_value * QUANTISER_RANGE
