"""What a sender and the process that trains beside it say to each other, through pipes.

    sender -> trainer    WINDOW: pictures as a receiver decodes them, and the original of one
                         SENT: the delta is on its way, the next one may be proposed
                         RESTART: the receiver has the model's own weights; a number, u32, that all
                         deltas made after it name
    trainer -> sender    READY: what windows the model wants
                         DELTA: a coded delta (`stream.weight_delta`) and what it gains
                         REPORT: what was done so far

A message is its length, u32 little-endian, its kind, one byte, and its content. Both ends are ours
and on one machine; lengths are bounded all the same.
"""

from __future__ import annotations

import json
import math
import struct
from dataclasses import asdict, dataclass
from enum import IntEnum
from typing import IO

import numpy as np

from stream.errors import EdvrError
from stream.frame import Frame, Plane

MAX_MESSAGE_BYTES = 64 << 20
"""A window of five pictures of 1080p and an original of 4K are 31 MB."""

_LENGTH = struct.Struct("<IB")
_WINDOW = struct.Struct("<BBHHHH")
_NUMBER = struct.Struct("<I")


class MessageKind(IntEnum):
    """First byte of a message's content."""

    WINDOW = 1
    SENT = 2
    RESTART = 3
    READY = 4
    DELTA = 5
    REPORT = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelNeeds:
    """What a model restores a picture from: `window` frames, `lookahead` of them in the future,
    to `scale` times the size.
    """

    scale: int
    window: int
    lookahead: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingWindow:
    """lr: the frames of a window as a receiver decodes them, with quantisers, oldest first.

    original: of its reference, `index` in it, in the size that it is to be restored to.
    """

    lr: tuple[Frame, ...]
    index: int
    original: Frame


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainerReport:
    """Since the start: windows taken, training steps and processor time, and rounds after which
    nothing was worth its bits. psnr_y_db: of the last picture, as the receiver restores it.
    """

    windows: int = 0
    steps: int = 0
    cpu_s: float = 0.0
    rounds_refused: int = 0
    psnr_y_db: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeltaReport:
    """What a delta brings, measured on frames apart: over what the receiver has, and over the model
    as it is. price_db: what its bits would have brought in the codec.
    """

    gain_db: float
    over_model_db: float
    price_db: float
    is_state: bool
    epoch: int
    """The number of the last RESTART that it knows of; 0 before the first."""


def write_message(file: IO[bytes], kind: MessageKind, content: bytes = b"") -> None:
    """Write and flush; raises OSError when nobody reads any more."""
    file.write(_LENGTH.pack(len(content), kind) + content)
    file.flush()


def read_message(file: IO[bytes]) -> tuple[MessageKind, bytes] | None:
    """The next one; None when the other end is gone. Raises EdvrError for what is none."""
    head = file.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    length, kind = _LENGTH.unpack(head)
    if length > MAX_MESSAGE_BYTES or kind not in set(MessageKind):
        raise EdvrError("this is not a message between a sender and its trainer")
    content = file.read(length)
    return (MessageKind(kind), content) if len(content) == length else None


def encode_window(window: TrainingWindow) -> bytes:
    """The content of WINDOW. All pictures of `lr` have one size."""
    lr, hr = window.lr[0].size, window.original.size
    parts = [_WINDOW.pack(len(window.lr), window.index, lr.width, lr.height, hr.width, hr.height)]
    quantisers = [math.nan if each.quantiser is None else each.quantiser for each in window.lr]
    parts.append(np.array(quantisers, "<f4").tobytes())
    for frame in (*window.lr, window.original):
        parts += [frame.y.tobytes(), frame.u.tobytes(), frame.v.tobytes()]
    return b"".join(parts)


def decode_window(content: bytes) -> TrainingWindow:
    """Raises EdvrError for what `encode_window` did not write."""
    try:
        count, index, width, height, hr_width, hr_height = _WINDOW.unpack_from(content)
        quantisers = np.frombuffer(content, "<f4", count, _WINDOW.size)
        position = _WINDOW.size + 4 * count
        frames = []
        for number in range(count + 1):
            size = (height, width) if number < count else (hr_height, hr_width)
            planes: list[Plane] = []
            for half in (1, 2, 2):
                shape = size[0] // half, size[1] // half
                length = shape[0] * shape[1]
                planes.append(np.frombuffer(content, np.uint8, length, position).reshape(shape))
                position += length
            level = float(quantisers[number]) if number < count else math.nan
            quantiser = None if math.isnan(level) else level
            y, u, v = planes
            frames.append(Frame(y=y, u=u, v=v, pts=number, quantiser=quantiser))
    except (struct.error, ValueError) as error:
        raise EdvrError(f"this is not a window: {error}") from error
    if position != len(content) or not 0 <= index < count:
        raise EdvrError("this is not a window")
    return TrainingWindow(lr=tuple(frames[:-1]), index=index, original=frames[-1])


def encode_fields(values: ModelNeeds | TrainerReport) -> bytes:
    """The content of READY or REPORT."""
    return json.dumps(asdict(values)).encode()


def decode_needs(content: bytes) -> ModelNeeds:
    """The content of READY."""
    return ModelNeeds(**json.loads(content))


def decode_report(content: bytes) -> TrainerReport:
    """The content of REPORT."""
    return TrainerReport(**json.loads(content))


def encode_epoch(epoch: int) -> bytes:
    """The content of RESTART."""
    return _NUMBER.pack(epoch)


def decode_epoch(content: bytes) -> int:
    """What it was made from."""
    (epoch,) = _NUMBER.unpack(content)
    return int(epoch)


def encode_proposal(report: DeltaReport, coded: bytes) -> bytes:
    """The content of DELTA."""
    told = json.dumps(asdict(report)).encode()
    return _NUMBER.pack(len(told)) + told + coded


def decode_proposal(content: bytes) -> tuple[DeltaReport, bytes]:
    """What it was made from."""
    (length,) = _NUMBER.unpack_from(content)
    end = _NUMBER.size + length
    return DeltaReport(**json.loads(content[_NUMBER.size : end])), content[end:]
