"""Keeps what was measured, named by everything it follows from: never out of date, resumable."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

from stream.errors import ConfigError

_ROOT = Path(__file__).parents[2]


class MeasurementCache:
    """Files in a folder, each written whole or not at all.

    Raises ConfigError when the folder cannot be made.
    """

    def __init__(self, folder: Path) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"--cache {folder}: {error.strerror}") from error
        self._folder = folder

    def path(self, parts: dict[str, Any], suffix: str) -> Path:
        """Where the file that follows from `parts` (what JSON can hold) lies, if it is there.

        Any: JSON values.
        """
        text = json.dumps(parts, sort_keys=True)
        return self._folder / f"{hashlib.sha256(text.encode()).hexdigest()[:40]}{suffix}"

    def write(self, path: Path, content: bytes) -> None:
        """Write a file of `path`, at once for whoever reads it."""
        part = path.with_name(f"{path.name}.{os.getpid()}")
        part.write_bytes(content)
        part.replace(path)


def file_digest(path: Path) -> str:
    """SHA-256 of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@cache
def code_digest(patterns: tuple[str, ...]) -> str:
    """SHA-256 of this project's source files that match: results change when they do."""
    digest = hashlib.sha256()
    for path in sorted(_matching(patterns)):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _matching(patterns: Iterable[str]) -> set[Path]:
    return {path for pattern in patterns for path in _ROOT.glob(pattern)}
