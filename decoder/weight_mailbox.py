"""Weights on their way from whoever receives them to the thread that restores."""

from __future__ import annotations

import threading
from dataclasses import replace

from decoder.adapted_artefact import AdaptedWeights

MAX_WAITING = 16
"""Weights of so many scenes may wait, of each the latest; more push the oldest out."""


class WeightMailbox:
    """Callable from any thread. Unlike a queue it never loses that a stream starts anew."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[str | None, AdaptedWeights] = {}

    def put(self, *weights: AdaptedWeights) -> None:
        """Leave weights; later ones for the same scene take the place of earlier ones."""
        with self._lock:
            for each in weights:
                self._put(each)

    def take(self) -> list[AdaptedWeights]:
        """All that wait; what starts anew comes first."""
        if not self._waiting:  # of every frame nearly all find it empty
            return []
        with self._lock:
            taken = list(self._waiting.values())
            self._waiting.clear()
        return taken

    def _put(self, weights: AdaptedWeights) -> None:
        if weights.starts_anew:
            self._waiting.clear()
        key = None if weights.scene is None else weights.scene.key
        before = self._waiting.get(key)
        if before is not None and before.starts_anew:
            weights = replace(weights, starts_anew=True)
        self._waiting[key] = weights
        if len(self._waiting) > MAX_WAITING:
            del self._waiting[next(each for each in self._waiting if each is not None)]
