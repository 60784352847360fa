"""`edvr-send`: the command line of the sender."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from encoder.config import SenderConfig
from stream.command_line import make_app, run_command

app = make_app("edvr-send", "Shrink, compress and publish live video.")


@app.default
async def send(config: Annotated[SenderConfig, Parameter(name="*")]) -> None:
    """Send until the source ends."""
    from encoder.sender import run  # only now: --help need not load codecs
    from stream.log import set_up_logging

    set_up_logging(verbose=config.verbose, log_format=config.log_format)
    await run(config)


def main() -> int:
    """Entry point; returns the exit code."""
    return run_command(app)


if __name__ == "__main__":
    raise SystemExit(main())
