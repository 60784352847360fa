"""What became of every frame of one stream: numbers for reports."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from decoder.sink_thread import SinkCounters
from stream.frame import Size


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineCounts:
    """What became of the frames of one stream so far, over all its sessions.

    frames_in: decoded. frames_restored: handed to the outputs, frames_failed of them only
    resized since the network failed, frames_held the last good picture again in place of one that a
    loss had damaged. frames_dropped: decoded, but given up for newer ones because
    restoration was behind. frames_unusable: of a kind that cannot be restored.
    frames_by_tier: frames out by the model that they are from, or lanczos.
    model and backend: in use, or used last; weights: what the model is adapted by, if it is.
    sinks: what each output did.
    """

    frames_in: int = 0
    frames_restored: int = 0
    frames_failed: int = 0
    frames_held: int = 0
    frames_dropped: int = 0
    frames_unusable: int = 0
    frames_by_tier: Mapping[str, int] = field(default_factory=dict)
    model: str = ""
    backend: str | None = None
    weights: str | None = None
    lr_size: Size | None = None
    hr_size: Size | None = None
    sinks: tuple[SinkCounters, ...] = ()
