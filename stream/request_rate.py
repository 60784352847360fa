"""How many requests a client may make: a token bucket for each address. Pure."""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass

from stream.errors import ConfigError

BURST_S = 4.0
"""A page loads a dozen files at once: so many seconds' worth of requests may come together."""

MAX_ADDRESSES = 10_000
"""Addresses remembered; the one that was quiet longest is forgotten first, and starts anew."""


@dataclass(slots=True)
class _Bucket:
    requests: float
    filled_ms: float


class RequestRate:
    """Lets each address make `requests_per_s` on average, and `BURST_S` times as many at once."""

    def __init__(self, requests_per_s: float) -> None:
        """Raises ConfigError unless the rate is positive and finite."""
        if not 0 < requests_per_s < math.inf:
            raise ConfigError(f"a request rate must be above 0, got {requests_per_s}")
        self._per_ms = requests_per_s / 1000
        self._capacity = max(1.0, BURST_S * requests_per_s)
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def wait_s(self, address: str, *, now_ms: float) -> int:
        """Count a request: 0 when it is within the rate, else the seconds to wait, at least 1."""
        bucket = self._buckets.pop(address, None) or _Bucket(self._capacity, now_ms)
        self._buckets[address] = bucket  # now the newest
        if len(self._buckets) > MAX_ADDRESSES:
            self._buckets.popitem(last=False)
        earned = max(0.0, now_ms - bucket.filled_ms) * self._per_ms
        bucket.requests = min(self._capacity, bucket.requests + earned)
        bucket.filled_ms = now_ms
        if bucket.requests >= 1:
            bucket.requests -= 1
            return 0
        return math.ceil((1 - bucket.requests) / self._per_ms / 1000)
