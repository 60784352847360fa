"""`python -m benchmarks.bandwidth`: the same as `edvr-bench bandwidth`."""

from __future__ import annotations

import sys

from benchmarks.cli import app
from stream.command_line import run_command

if __name__ == "__main__":
    sys.exit(run_command(app, ["bandwidth", *sys.argv[1:]]))
