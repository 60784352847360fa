"""Restores a video file to a video file: every frame in gives one out, with its time and sound."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from decoder.file_reader import FileReader, SoundPacket
from decoder.file_writer import Compression, FileWriter, check_output, open_writer
from decoder.restorer import Restorer
from decoder.restorer_counts import RestorerCounts
from stream.errors import ConfigError
from stream.frame import Frame


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far it is: frames written, of an estimated number in all (None when not known)."""

    frames: int
    expected_frames: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreSummary:
    """What was done with a file."""

    frames: int
    counts: RestorerCounts
    corrupt_packets: int
    model: str
    backend: str | None
    weights: str | None


def restore_file(
    source: Path,
    output: str,
    restorer: Restorer,
    *,
    compression: Compression,
    report: Callable[[Progress], None],
) -> RestoreSummary:
    """Restore `source` into `output` (.mp4, .mkv, .y4m, or "-" for y4m on standard output).

    `output` is written under another name and renamed when it is whole, so whatever was there
    before stays until then, and stays if anything goes wrong. `report` is called after each frame.
    Raises ConfigError for files that cannot be read or written, CodecError, and what
    `Restorer.push` raises.
    """
    check_output(output, source=source)
    reader = FileReader(source)
    writer: FileWriter | None = None
    early_sound: list[SoundPacket] = []  # comes before the first frame says how large it is
    frames = 0
    try:
        for item in _restored(reader, restorer):
            if not isinstance(item, Frame):
                if writer is None:
                    early_sound.append(item)
                else:
                    writer.write_sound(item)
                continue
            if writer is None:
                writer = open_writer(
                    output,
                    item,
                    rate=reader.frame_rate,
                    sound=reader.sound,
                    compression=compression,
                )
                for packet in early_sound:
                    writer.write_sound(packet)
            writer.write_frame(item)
            frames += 1
            report(Progress(frames=frames, expected_frames=reader.frame_count))
        if writer is None:
            raise ConfigError(f"{source} holds no picture that can be decoded")
        writer.finish()
    except BaseException:  # Ctrl-C too: nothing half-written is left
        if writer is not None:
            writer.abandon()
        raise
    finally:
        reader.close()
    return RestoreSummary(
        frames=frames,
        counts=restorer.counts,
        corrupt_packets=reader.corrupt_packets,
        model=restorer.model_name,
        backend=restorer.backend_name,
        weights=restorer.weights_name,
    )


def _restored(reader: FileReader, restorer: Restorer) -> Iterator[Frame | SoundPacket]:
    for item in reader.items():
        if isinstance(item, Frame):
            yield from restorer.push(item)
        else:
            yield item
    yield from restorer.flush()
