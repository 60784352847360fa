"""Logging of the command-line programs: one line an event, on standard error."""

from __future__ import annotations

import logging


def set_up_logging(*, verbose: bool = False) -> None:
    """Show our own messages from INFO on, other libraries' from WARNING on."""
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", datefmt="%H:%M:%S")
    for package in ("stream", "encoder", "decoder"):
        logging.getLogger(package).setLevel(logging.DEBUG if verbose else logging.INFO)
    # PyAV hands FFmpeg's own messages to Python; what matters comes as an exception anyway.
    logging.getLogger("libav").setLevel(logging.CRITICAL)
