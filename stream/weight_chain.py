"""The order of a stream's weight deltas: what the weights are after each of them. Pure.

Both sides keep one, so that they agree bit for bit. After a delta is lost, steps that follow it
are refused until the next state; what was reached before stays whole, and never becomes a mixture.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from stream.errors import DeltaRefused
from stream.weight_delta import Delta

Changes = Mapping[str, NDArray[np.float32]]
"""By tensor, what is added to the base model's weights."""


class WeightChain:
    """How far the weights of one model are from those it was published with."""

    def __init__(self, base_sha256: str, *, after: int | None = None) -> None:
        """base_sha256: of the model artefact. after: the number that all deltas must be above."""
        self._base_sha256 = base_sha256
        self._sequence = after
        self._digest: str | None = None
        self._changes: Changes = MappingProxyType({})

    @property
    def digest(self) -> str | None:
        """Of the last delta; what the next step names as its parent. None for the base model."""
        return self._digest

    @property
    def sequence(self) -> int | None:
        """Of the last delta; before the first, the one that all must be above, or None."""
        return self._sequence

    @property
    def changes(self) -> Changes:
        """Read-only; tensors that are missing are as in the base model."""
        return self._changes

    def check(self, delta: Delta) -> None:
        """Raises DeltaRefused unless `delta` is for this model and may come next."""
        header = delta.header
        if header.base_sha256 != self._base_sha256:
            raise DeltaRefused(
                f"the weights are for another model (SHA-256 {header.base_sha256[:12]}…, not"
                f" {self._base_sha256[:12]}…)"
            )
        if self._sequence is not None and header.sequence <= self._sequence:
            raise DeltaRefused(
                f"the weights are old: number {header.sequence} after {self._sequence}"
            )
        if not header.is_state and header.parent != self._digest:
            raise DeltaRefused(
                f"the weights follow others ({str(header.parent)[:12]}…) that did not arrive"
            )

    def after(self, delta: Delta) -> Changes:
        """The changes that `delta` would stand for, without going on to it. Raises as `check`."""
        self.check(delta)
        changes = {} if delta.header.is_state else dict(self._changes)
        for name, tensor in delta.tensors.items():
            new = tensor.changes()
            changes[name] = np.asarray(changes[name] + new) if name in changes else new
            changes[name].flags.writeable = False
        return MappingProxyType(changes)

    def apply(self, delta: Delta) -> Changes:
        """Go on to `delta`; the changes that it stands for. Raises as `check`, changing nothing."""
        self._changes = self.after(delta)
        self._sequence, self._digest = delta.header.sequence, delta.digest
        return self._changes
