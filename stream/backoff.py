"""How long to wait before the next attempt to reach a peer: exponential, with jitter."""

from __future__ import annotations

import random
from dataclasses import dataclass

from stream.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class BackoffConfig:
    """Waits grow from `first_s` by `factor` up to `longest_s`; each loses up to `jitter_ratio`."""

    first_s: float = 0.5
    longest_s: float = 15.0
    factor: float = 2.0
    jitter_ratio: float = 0.5

    def __post_init__(self) -> None:
        if not 0 < self.first_s <= self.longest_s < float("inf"):
            raise ConfigError(
                f"backoff needs 0 < first <= longest, got {self.first_s} and {self.longest_s} s"
            )
        if not 1 <= self.factor < float("inf"):
            raise ConfigError(f"backoff factor must be at least 1, got {self.factor}")
        if not 0 <= self.jitter_ratio <= 1:
            raise ConfigError(f"jitter_ratio must be in 0..1, got {self.jitter_ratio}")


class Backoff:
    """The waits of one connection. Computes only: the caller sleeps.

    Jitter keeps many clients of one restarted server from coming back all at once; `seed` makes
    the waits repeatable.
    """

    def __init__(self, config: BackoffConfig | None = None, *, seed: int | None = None) -> None:
        self._config = config or BackoffConfig()
        self._random = random.Random(seed)
        self._next_s = self._config.first_s

    def next_delay_s(self, *, retry_after_s: float | None = None) -> float:
        """Seconds to wait after one more failure; never less than the peer asked for."""
        ceiling_s = self._next_s
        self._next_s = min(self._config.longest_s, ceiling_s * self._config.factor)
        delay_s = ceiling_s * (1 - self._config.jitter_ratio * self._random.random())
        return max(delay_s, retry_after_s or 0.0)

    def reset(self) -> None:
        """The peer was reached: the next failure starts over."""
        self._next_s = self._config.first_s
