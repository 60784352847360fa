"""What has been measured, kept by content: an interrupted run goes on where it stopped.

The name of a file is the SHA-256 of everything its content follows from, so nothing is ever out of
date: a changed clip, setting or model has another name.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).parents[2]


def key_of(parts: dict[str, Any]) -> str:
    """Name for what follows from `parts`, which JSON can hold."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def code_digest(patterns: Iterable[str]) -> str:
    """SHA-256 of the project's source files that match: their results change when they do."""
    digest = hashlib.sha256()
    files = {path for pattern in patterns for path in PROJECT.glob(pattern)}
    for path in sorted(files):
        digest.update(path.read_bytes())
    return digest.hexdigest()


class Store:
    """Files in a folder, written whole or not at all. May be used by many threads."""

    def __init__(self, folder: Path) -> None:
        """Raises OSError when the folder cannot be made."""
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder

    def read(self, key: str, suffix: str) -> bytes | None:
        """What was kept, or None."""
        try:
            return self._path(key, suffix).read_bytes()
        except FileNotFoundError:
            return None

    def write(self, key: str, suffix: str, content: bytes) -> None:
        """Keep `content`."""
        path = self._path(key, suffix)
        path.parent.mkdir(exist_ok=True)
        part = path.with_name(f"{path.name}.{os.getpid()}-{threading.get_ident()}")
        part.write_bytes(content)
        part.replace(path)

    def read_json(self, key: str) -> dict[str, Any] | None:
        """What was kept as JSON; None when there is nothing, or nothing whole."""
        content = self.read(key, ".json")
        if content is None:
            return None
        try:
            found = json.loads(content)
        except ValueError:
            return None
        return found if isinstance(found, dict) else None

    def write_json(self, key: str, content: dict[str, Any]) -> None:
        """Keep a JSON object."""
        self.write(key, ".json", json.dumps(content).encode())

    def _path(self, key: str, suffix: str) -> Path:
        return self._folder / key[:2] / f"{key}{suffix}"
