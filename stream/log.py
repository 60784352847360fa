"""Logging of the command-line programs: one event a line, on standard error."""

from __future__ import annotations

import json
import logging
import re
from datetime import UTC, datetime
from typing import Literal

LogFormat = Literal["text", "json"]

FIGURES = "figures"
"""Name of the `extra` with which a message carries its numbers."""

_STREAM = re.compile(r"stream ([A-Za-z0-9_-]{1,64}): ")


class JsonFormatter(logging.Formatter):
    """One object a line: `time` (RFC 3339, UTC), `level`, `module`, `message`.

    Besides, where there are such: `stream`, `figures` (an object) and `traceback`.
    """

    def format(self, record: logging.LogRecord) -> str:
        """See `logging.Formatter.format`."""
        message = record.getMessage()
        when = datetime.fromtimestamp(record.created, UTC)
        event: dict[str, object] = {
            "time": when.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "module": record.name,
            "message": message,
        }
        if found := _STREAM.match(message):
            event["stream"] = found[1]
        if (figures := getattr(record, FIGURES, None)) is not None:
            event[FIGURES] = figures
        if record.exc_info:
            event["traceback"] = self.formatException(record.exc_info)
        return json.dumps(event, default=str)


def set_up_logging(*, verbose: bool = False, log_format: LogFormat = "text") -> None:
    """Show our own messages from INFO on, other libraries' from WARNING on."""
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", datefmt="%H:%M:%S")
    if log_format == "json":
        for handler in logging.getLogger().handlers:
            handler.setFormatter(JsonFormatter())
        logging.captureWarnings(True)  # else Python writes them as text
    for package in ("stream", "encoder", "decoder"):
        logging.getLogger(package).setLevel(logging.DEBUG if verbose else logging.INFO)
    # PyAV hands FFmpeg's own messages to Python; what matters comes as an exception anyway.
    logging.getLogger("libav").setLevel(logging.CRITICAL)


def logs_json() -> bool:
    """Whether this process was set up to log JSON, so that nothing else belongs on its stderr."""
    handlers = logging.getLogger().handlers
    return any(isinstance(handler.formatter, JsonFormatter) for handler in handlers)
