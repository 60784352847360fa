"""The command `edvr-restore IN OUT`: enlarge and restore a video file."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as ProgressBar

from decoder.config import RestorerConfig
from decoder.file_writer import Compression
from decoder.profile_source import load_weights
from decoder.restore_file import Progress, RestoreSummary, restore_file
from decoder.restorer import Restorer
from stream.command_line import make_app, run_command
from stream.flag_types import StreamName

app = make_app("edvr-restore", "Enlarge and restore a video file.")


@app.default
def restore(
    source: Annotated[StreamName, Parameter(help="Video file to restore.")],
    output: Annotated[
        StreamName,
        Parameter(
            help="File to write: .mp4 or .mkv (H.264, sound kept), .y4m (raw), or - (raw, stdout)."
        ),
    ],
    profile: Annotated[
        str | None, Parameter(help="Weights made for this show: FILE.profile or URL#sha256=HASH.")
    ] = None,
    config: Annotated[RestorerConfig | None, Parameter(name="*")] = None,
    compression: Annotated[Compression | None, Parameter(name="*")] = None,
) -> None:
    """Restore one file and say what was done, on standard error."""
    console = Console(stderr=True)
    logging.basicConfig(level=logging.WARNING, format="edvr-restore: %(message)s")
    config = config or RestorerConfig()
    weights = None if profile is None else load_weights(profile, config.model)
    restorer = Restorer(config, weights=weights)
    try:
        with _progress_bar(console) as bar:
            task = bar.add_task("restoring", total=None)

            def report(progress: Progress) -> None:
                bar.update(task, completed=progress.frames, total=progress.expected_frames)

            summary = restore_file(
                Path(source),
                output,
                restorer,
                compression=compression or Compression(),
                report=report,
            )
    finally:
        restorer.close()
    console.print(_in_words(output, summary), highlight=False, soft_wrap=True)


def _progress_bar(console: Console) -> ProgressBar:
    return ProgressBar(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


def _in_words(output: str, summary: RestoreSummary) -> str:
    counts = summary.counts
    engine = f" on {summary.backend}" if summary.backend else ""
    weights = f" with {summary.weights}" if summary.weights else ""
    parts = [f"{output}: {summary.frames} frames", f"model {summary.model}{engine}{weights}"]
    if counts.failed:
        parts.append(f"{counts.failed} only resized since the network failed")
    if summary.corrupt_packets:
        parts.append(f"{summary.corrupt_packets} damaged packets skipped")
    return ", ".join(parts)


def main() -> int:
    """Run the command; returns its exit status."""
    return run_command(app)


if __name__ == "__main__":
    raise SystemExit(main())
