"""Weights for each of the scenes that a stream comes back to: opened ahead, at hand at a cut.

Programmes go from camera to camera and back. For each scene that has weights of its own, networks
are opened with them on another thread and kept open, so that at a cut to it they are in use from
its first frame on. A scene is known by the signature of its pictures (`stream.scene_signature`);
one that is not known is restored with the weights for all scenes.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass

from decoder.adapted_artefact import AdaptedWeights
from decoder.network_shelf import Networks, NetworkShelf
from decoder.tier_stream import OpenNetwork
from decoder.weight_swap import MAX_AHEAD_PTS
from stream.errors import EdvrError
from stream.frame import CLOCK_HZ, Frame, Size
from stream.scene_signature import (
    MAX_SCENES,
    SAME_SCENE,
    STILL_SAME_SCENE,
    Signature,
    signature_of,
)

log = logging.getLogger(__name__)

LOOK_EVERY = 12
"""Frames without a cut after which it is looked again: there are dissolves, and cameras turn."""

LOOKS_TO_LEAVE = 2
"""In a row that must find another scene, or none, before one is left without a cut."""

_Own = Mapping[int, OpenNetwork]
"""Networks of a scene, by tier; other tiers have the usual ones."""


@dataclass(slots=True, kw_only=True, eq=False)
class _Kept:
    """Weights of a scene. newer: those that are to take their place; shown: frame of the last time.

    own: None until they are open for the size that travels.
    """

    weights: AdaptedWeights
    own: _Own | None = None
    newer: AdaptedWeights | None = None
    shown: int = 0

    @property
    def signatures(self) -> tuple[Signature, ...]:
        scene = (self.newer or self.weights).scene
        return () if scene is None else scene.signatures


class SceneWeights:
    """One stream's, used by its thread."""

    def __init__(self, shelf: NetworkShelf) -> None:
        self._shelf = shelf
        self._kept: dict[str, _Kept] = {}
        self._opening: tuple[str, AdaptedWeights, Size, Future[_Own]] | None = None
        self._retired: list[_Own] = []  # not to be used from the next frame on
        self._unused: list[_Own] = []
        self._size: Size | None = None
        self._shown: str | None = None
        self._frames = self._looked = self._strange = 0

    @property
    def is_used(self) -> bool:
        """Whether any scene has weights, or had some that are not closed yet."""
        return bool(self._kept or self._retired or self._unused or self._opening)

    @property
    def keys(self) -> tuple[str, ...]:
        """Of the scenes that have weights."""
        return tuple(self._kept)

    @property
    def shown(self) -> str | None:
        """The scene that is on, as far as it has weights."""
        return self._shown

    def want(self, weights: AdaptedWeights) -> None:
        """Have these at hand for their scene as soon as possible. Raises ValueError without one."""
        if weights.scene is None:
            raise ValueError(f"{weights.label} is for no scene")
        kept = self._kept.get(weights.scene.key)
        if kept is not None:
            kept.newer = weights
        else:
            if len(self._kept) >= MAX_SCENES:  # each holds a network open
                others = [key for key in self._kept if key != self._shown]
                self._forget(min(others, key=lambda key: self._kept[key].shown))
            self._kept[weights.scene.key] = _Kept(
                weights=weights, newer=weights, shown=self._frames
            )
        self._looked = 0  # it may be on already

    def forget_all(self) -> None:
        """Have the usual weights for all scenes."""
        for key in tuple(self._kept):
            self._forget(key)

    def prepare(self, lr_size: Size, *, pts: int) -> None:
        """Open what is to be opened, and close what is not used any more.

        Call it only when nothing but what `networks` gave last is in use.
        """
        while self._unused:
            self._shelf.discard_beside(tuple(self._unused.pop().values()))
        self._unused, self._retired = self._retired, []  # may be in use until this frame
        if lr_size != self._size:
            self._size = lr_size
            for kept in self._kept.values():
                kept.newer = kept.newer or kept.weights
                self._retire(kept)
        if self._opening is not None and self._opening[3].done():
            self._take_opened()
        if self._opening is None and lr_size in self._shelf.sizes:
            self._open_next(lr_size, pts)

    def look(self, frame: Frame, *, starts_scene: bool) -> None:
        """Tell which scene is on from this frame on."""
        self._frames += 1
        if not self._kept:
            return
        self._looked -= 1
        if not starts_scene and self._looked > 0:
            return
        self._looked = LOOK_EVERY
        signature = signature_of(frame)
        distances = {key: signature.distance(each.signatures) for key, each in self._kept.items()}
        nearest = min(distances, key=distances.__getitem__)
        found = nearest if distances[nearest] < SAME_SCENE else None
        if starts_scene or self._shown is None:
            self._show(found)
        elif found == self._shown or (found is None and distances[self._shown] < STILL_SAME_SCENE):
            self._show(self._shown)
        else:
            self._strange += 1
            if self._strange >= LOOKS_TO_LEAVE:
                self._show(found)

    def networks(self, usual: Networks) -> Networks:
        """Those for the scene that is on. usual: for all that have none of their own."""
        kept = None if self._shown is None else self._kept[self._shown]
        if kept is None or kept.own is None:
            return usual
        return tuple(kept.own.get(index, network) for index, network in enumerate(usual))

    def close(self) -> None:
        """Close what is open, also what is still being opened."""
        if self._opening is not None and not self._opening[3].cancel():
            opening = self._opening[3]
            if opening.exception() is None:
                self._retired.append(opening.result())
        self._opening = None
        self.forget_all()
        for own in (*self._retired, *self._unused):
            self._shelf.discard(tuple(own.values()))
        self._retired, self._unused = [], []

    def _show(self, key: str | None) -> None:
        self._strange = 0
        if key is not None:
            self._kept[key].shown = self._frames
            if key != self._shown:
                log.debug("the picture shows a scene with %s", self._kept[key].weights.label)
        self._shown = key

    def _forget(self, key: str) -> None:
        self._retire(self._kept.pop(key))
        if self._shown == key:
            self._shown = None

    def _retire(self, kept: _Kept) -> None:
        if kept.own:
            self._retired.append(kept.own)
        kept.own = None

    def _open_next(self, lr_size: Size, pts: int) -> None:
        for key, kept in tuple(self._kept.items()):
            weights = kept.newer
            if weights is None:
                continue
            ahead = 0 if weights.valid_from_pts is None else weights.valid_from_pts - pts
            if ahead <= 0:
                kept.newer = None
                opening = self._shelf.open_scene(lr_size, weights)
                self._opening = (key, weights, lr_size, opening)
                return
            if ahead > MAX_AHEAD_PTS:
                late_s = ahead // CLOCK_HZ
                log.warning("%s is not used: it is meant for %d s later", weights.label, late_s)
                kept.newer = None
                if kept.own is None:
                    self._forget(key)

    def _take_opened(self) -> None:
        assert self._opening is not None
        key, weights, size, opening = self._opening
        self._opening = None
        kept = self._kept.get(key)
        if (error := opening.exception()) is not None:
            is_defect = not isinstance(error, EdvrError)  # of ours; the stream goes on all the same
            log.warning(
                "%s is not used: %s", weights.label, error, exc_info=error if is_defect else None
            )
            if kept is not None and kept.own is None and kept.newer is None:
                self._forget(key)
        elif kept is None or size != self._size:  # retired, or the size changed, meanwhile
            self._retired.append(opening.result())
        else:
            self._retire(kept)
            kept.weights, kept.own = weights, opening.result()
            if not kept.own:
                log.info("%s is for no model that is used for %s", weights.label, size)
