"""A picture sheet of crops: Lanczos, the model and the original, where they differ most."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from decoder.training.changes import Crop, unpack_crops
from decoder.training.evaluate import Score
from stream.config import format_bitrate
from stream.errors import ConfigError

ZOOM = 2
_GAP, _LINE, _TEXT = 6, 20, 14
_TITLES = {"change": "most changed", "harm": "most worse than Lanczos"}
_BACKGROUND, _INK = (255, 255, 255), (0, 0, 0)


def write_sheets(folder: Path, scores: Sequence[Score]) -> list[Path]:
    """One PNG for each clip, model and codec, a row for each bitrate; returns the files.

    Raises ConfigError when the folder cannot be written.
    """
    groups: dict[str, list[Score]] = {}
    for score in scores:
        name = re.sub(r"[^\w.-]+", "_", f"{score.clip}.{score.model}.{score.codec}")
        groups.setdefault(f"{name}.png", []).append(score)
    written = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, group in groups.items():
            _sheet(group).save(folder / name)
            written.append(folder / name)
    except OSError as error:
        raise ConfigError(f"--sheets {folder}: {error.strerror or error}") from error
    return written


def _sheet(scores: Sequence[Score]) -> Image.Image:
    rows = [_row(score) for score in scores]
    first = scores[0]
    title = f"{first.clip}, {first.codec}: Lanczos | {first.model} {first.version} | original"
    width = max(row.width for row in rows)
    sheet = Image.new("RGB", (width, _LINE + sum(row.height for row in rows)), _BACKGROUND)
    _write(sheet, 0, 0, title)
    top = _LINE
    for row in rows:
        sheet.paste(row, (0, top))
        top += row.height
    return sheet


def _row(score: Score) -> Image.Image:
    crops = unpack_crops(score.crops.read_bytes())
    gains = [f"PSNR-Y {score.gain('psnr_y_db'):+.2f} dB"]
    neg = score.gain("vmaf_neg")
    gains += [f"VMAF-NEG {neg:+.2f}"] if neg is not None else []
    text = f"{format_bitrate(score.target_bps)}: {', '.join(gains)} against Lanczos"
    if not crops:
        row = Image.new("RGB", (640, 2 * _LINE), _BACKGROUND)
        _write(row, 0, 0, f"{text}; the pictures are equal")
        return row
    parts = [_crop(crop) for crop in sorted(crops, key=lambda crop: crop.why)]
    width = sum(part.width for part in parts) + 3 * _GAP * (len(parts) - 1)
    height = _LINE + max(part.height for part in parts)
    row = Image.new("RGB", (max(width, 640), height), _BACKGROUND)
    _write(row, 0, 0, text)
    left = 0
    for part in parts:
        row.paste(part, (left, _LINE))
        left += part.width + 3 * _GAP
    return row


def _crop(crop: Crop) -> Image.Image:
    _, height, width, _ = crop.pictures.shape
    shown = width * ZOOM, height * ZOOM
    picture = Image.new("RGB", (3 * shown[0] + 2 * _GAP, _LINE + shown[1] + _GAP), _BACKGROUND)
    place = f"{_TITLES[crop.why]}: frame {crop.frame} at {crop.x},{crop.y}"
    _write(picture, 0, 0, f"{place}, squared error {-crop.gain:+.0f}")
    for index, pixels in enumerate(crop.pictures):
        # each sample as a square, so that nothing is smoothed which a network made
        zoomed = Image.fromarray(pixels).resize(shown, Image.Resampling.NEAREST)
        picture.paste(zoomed, (index * (shown[0] + _GAP), _LINE))
    return picture


def _write(picture: Image.Image, x: int, y: int, text: str) -> None:
    font = ImageFont.load_default(_TEXT)
    ImageDraw.Draw(picture).text((x + 2, y + 2), text, fill=_INK, font=font)
