"""What is trained on while a stream runs: patches of recent windows, where restoring is worst."""

from __future__ import annotations

from collections.abc import Sequence
from typing import overload

import numpy as np
from numpy.typing import NDArray

from decoder.training.corpus import MACROBLOCK
from decoder.training.samples import Sample

_RANDOM_SHARE = 0.25
"""Of the patches of a window that are taken anywhere, so that what is good stays good."""


class PatchPool(Sequence[Sample]):
    """At most `capacity` patches. A new one replaces any: most are recent, some are old, so that
    a camera that comes back is not forgotten at once.
    """

    def __init__(self, capacity: int, *, side: int, scale: int, seed: int) -> None:
        """side: of a patch in LR samples, whole macroblocks."""
        self._capacity, self._side, self._scale = capacity, side, scale
        self._rng = np.random.default_rng(seed)
        self._patches: list[Sample] = []

    def __len__(self) -> int:
        return len(self._patches)

    @overload
    def __getitem__(self, index: int) -> Sample: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Sample]: ...
    def __getitem__(self, index: int | slice) -> Sample | Sequence[Sample]:
        return self._patches[index]

    def add(self, window: Sample, error: NDArray[np.floating], *, count: int) -> None:
        """Cut `count` patches of a whole window.

        error: mean squared error of each HR luma sample (H, W) as it is restored now.
        """
        for y, x in self._places(error, count):
            patch = _cut(window, y, x, side=self._side, scale=self._scale)
            if len(self._patches) < self._capacity:
                self._patches.append(patch)
            else:
                self._patches[int(self._rng.integers(self._capacity))] = patch

    def clear(self) -> None:
        """Begin anew, for pictures of another size."""
        self._patches.clear()

    def _places(self, error: NDArray[np.floating], count: int) -> list[tuple[int, int]]:
        """Top and left in LR samples: the worst of a grid at a random offset, and some others."""
        height, width = (length // self._scale for length in error.shape)
        grid = []
        for length in (height, width):
            room = (length - self._side) // MACROBLOCK
            first = int(self._rng.integers(0, min(room, self._side // MACROBLOCK - 1) + 1))
            grid.append(range(first * MACROBLOCK, length - self._side + 1, self._side))
        places = [(y, x) for y in grid[0] for x in grid[1]]
        side = self._side * self._scale
        worst = sorted(
            places,
            key=lambda at: (
                -float(
                    error[
                        at[0] * self._scale : at[0] * self._scale + side,
                        at[1] * self._scale : at[1] * self._scale + side,
                    ].mean()
                )
            ),
        )
        anywhere = min(round(count * _RANDOM_SHARE), len(worst))
        taken = worst[: max(0, count - anywhere)]
        rest = worst[len(taken) :]
        picked = self._rng.permutation(len(rest))[:anywhere]
        return taken + [rest[int(index)] for index in picked]


def _cut(window: Sample, y: int, x: int, *, side: int, scale: int) -> Sample:
    patch: Sample = {"quantiser": window["quantiser"]}
    for kind, unit in (("lr", 1), ("hr", scale)):
        for plane, half in (("y", 1), ("u", 2), ("v", 2)):
            rows = slice(y * unit // half, (y + side) * unit // half)
            columns = slice(x * unit // half, (x + side) * unit // half)
            patch[f"{kind}_{plane}"] = window[f"{kind}_{plane}"][..., rows, columns].copy()
    return patch
