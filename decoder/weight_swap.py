"""Brings other weights into a stream that is being restored, between two of its frames.

The networks are opened with them on another thread, beside the ones that run. When they are open
and the frame has come that they are meant for, the restorer fades over to them as it does between
tiers, so that no frame is missing and no step is seen.
"""

from __future__ import annotations

import logging
from concurrent.futures import Future

from decoder.adapted_artefact import AdaptedWeights
from decoder.network_shelf import Networks, NetworkShelf
from stream.errors import EdvrError
from stream.frame import CLOCK_HZ, Size

log = logging.getLogger(__name__)

MAX_AHEAD_PTS = 30 * CLOCK_HZ
"""Weights that are meant for a frame later than in 30 s are meant for another stream."""


class WeightSwap:
    """One stream's, used by its thread. Of weights that come faster than they open, the latest."""

    def __init__(self, shelf: NetworkShelf) -> None:
        self._shelf = shelf
        self._wanted: AdaptedWeights | None = None
        self._opening: tuple[AdaptedWeights, Size, Future[Networks]] | None = None
        self._is_stale = False
        self._retired: list[Networks] = []

    def want(self, weights: AdaptedWeights) -> None:
        """Open networks with these as soon as possible."""
        self._wanted = weights
        if weights.starts_anew:
            self._is_stale = self._opening is not None

    def poll(self, lr_size: Size, *, pts: int) -> Networks | None:
        """The networks to go on with from the frame of `pts` on, when other ones are due.

        lr_size: of the stream now. Those before stay open until the next call, so there is none
        while anybody still uses them.
        """
        while self._retired:
            self._shelf.discard_beside(self._retired.pop())
        if self._opening is None and self._wanted is not None and lr_size in self._shelf.sizes:
            weights, self._wanted = self._wanted, None
            self._opening = weights, lr_size, self._shelf.open_beside(lr_size, weights)
        if self._opening is None:
            return None
        weights, size, opening = self._opening
        if not opening.done():
            return None
        if self._is_stale:
            self._is_stale = False
            self._forgo()
            return None
        if (error := opening.exception()) is not None:
            is_defect = not isinstance(error, EdvrError)  # of ours; the stream goes on all the same
            log.warning(
                "%s is not used: %s", weights.label, error, exc_info=error if is_defect else None
            )
            self._forgo()
            return None
        if size != lr_size:  # the stream has changed its size meanwhile: once more, for that
            self._forgo()
            self._wanted = self._wanted or weights
            return None
        ahead = 0 if weights.valid_from_pts is None else weights.valid_from_pts - pts
        if ahead > MAX_AHEAD_PTS:
            late_s = ahead // CLOCK_HZ
            log.warning("%s is not used: it is meant for %d s later", weights.label, late_s)
            self._forgo()
        if ahead > 0:
            return None
        self._opening = None
        networks = opening.result()
        self._retired.append(self._shelf.replace(lr_size, networks, weights))
        if networks != self._retired[-1]:
            log.info("restoring with %s from here on", weights.label)
        return networks

    def close(self) -> None:
        """Close what is open, also what is still being opened."""
        self._wanted = None
        if self._opening is not None and self._opening[2].cancel():
            self._opening = None
        self._forgo()
        while self._retired:
            self._shelf.discard(self._retired.pop())

    def _forgo(self) -> None:
        """Do without what was opened, or wait until it is."""
        if self._opening is not None:
            opening, self._opening = self._opening[2], None
            if opening.exception() is None:
                self._retired.append(opening.result())
