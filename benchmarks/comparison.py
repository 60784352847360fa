"""The comparison picture: sent and upscaled | restored | original, each with a zoomed part."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import Interpolation
from numpy.typing import NDArray

from encoder.scene_font import text_mask
from stream.frame import Frame
from stream.frame_av import frame_to_av

Rgb = NDArray[np.uint8]

PANEL_WIDTH = 640
ZOOM = 4
LABEL_HEIGHT = 30
GAP = 6


def comparison_picture(panels: dict[str, Frame]) -> Rgb:
    """One column a panel, label on top, then the whole picture, then the most detailed part of the
    last panel's picture, ZOOM times enlarged. All frames have the same size. RGB (H, W, 3).
    """
    original = list(panels.values())[-1]
    size = original.size
    height = PANEL_WIDTH * size.height // size.width // 2 * 2
    side_x, side_y = PANEL_WIDTH // ZOOM, height // ZOOM
    x, y = most_detailed(original, side_x, side_y)
    columns = []
    for label, frame in panels.items():
        rgb = _rgb(frame)
        whole = _resized(rgb, PANEL_WIDTH, height, Interpolation.AREA)
        part = rgb[y : y + side_y, x : x + side_x]
        zoomed = _resized(part, PANEL_WIDTH, height, Interpolation.BICUBIC)
        _outline(whole, x, y, side_x, side_y, PANEL_WIDTH / size.width)
        gap = np.full((GAP, PANEL_WIDTH, 3), 255, np.uint8)
        columns.append(np.concatenate([_label(label), whole, gap, zoomed]))
    between = np.full((columns[0].shape[0], GAP, 3), 255, np.uint8)
    parts = [columns[0]]
    for column in columns[1:]:
        parts += [between, column]
    return np.concatenate(parts, axis=1)


def write_png(path: Path, picture: Rgb) -> None:
    """Write an RGB picture (H, W, 3)."""
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
    context = av.CodecContext.create("png", "w")
    context.width, context.height, context.pix_fmt = frame.width, frame.height, "rgb24"
    context.time_base = Fraction(1, 25)  # FFmpeg wants one, even for a single picture
    packets = [*context.encode(frame), *context.encode(None)]
    path.write_bytes(b"".join(bytes(packet) for packet in packets))


def _rgb(frame: Frame) -> Rgb:
    return _array(frame_to_av(frame).reformat(format="rgb24"))


def _resized(picture: Rgb, width: int, height: int, how: Interpolation) -> Rgb:
    source = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
    return _array(source.reformat(width=width, height=height, interpolation=how))


def _array(picture: av.VideoFrame) -> Rgb:
    return picture.to_ndarray().astype(np.uint8)  # a copy that may be drawn on


def most_detailed(frame: Frame, width: int, height: int) -> tuple[int, int]:
    """Where the luma of a width x height part varies most from sample to sample."""
    luma = frame.y.astype(np.int16)
    detail = np.abs(np.diff(luma, axis=1))[:-1] + np.abs(np.diff(luma, axis=0))[:, :-1]
    best, place = -1.0, (0, 0)
    for y in range(0, frame.size.height - height + 1, max(1, height // 4)):
        for x in range(0, frame.size.width - width + 1, max(1, width // 4)):
            amount = float(np.minimum(detail[y : y + height, x : x + width], 40).mean())
            if amount > best:
                best, place = amount, (x, y)
    return place


def _outline(picture: Rgb, x: int, y: int, width: int, height: int, scale: float) -> None:
    left, top = round(x * scale), round(y * scale)
    right = min(picture.shape[1] - 1, round((x + width) * scale))
    bottom = min(picture.shape[0] - 1, round((y + height) * scale))
    for row in (top, bottom):
        picture[row, left : right + 1] = (255, 220, 0)
    for column in (left, right):
        picture[top : bottom + 1, column] = (255, 220, 0)


def _label(text: str) -> Rgb:
    strip = np.full((LABEL_HEIGHT, PANEL_WIDTH, 3), 255, np.uint8)
    mask = text_mask(text.upper(), 14)[:, : PANEL_WIDTH - 12]
    ink = np.round(255 * (1 - mask[..., None])).astype(np.uint8)
    strip[8 : 8 + mask.shape[0], 6 : 6 + mask.shape[1]] = ink
    return strip
