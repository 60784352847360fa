"""Which weights a stream's networks have, frame by frame: the usual ones, or those of its scene."""

from __future__ import annotations

from collections.abc import Iterable

from decoder.adapted_artefact import AdaptedWeights
from decoder.network_shelf import Networks, NetworkShelf
from decoder.scene_weights import SceneWeights
from decoder.weight_swap import WeightSwap
from stream.frame import Frame


class StreamWeights:
    """One stream's, used by its thread."""

    def __init__(self, shelf: NetworkShelf, weights: Iterable[AdaptedWeights] = ()) -> None:
        """weights: of scenes, that are known from the start."""
        self._swap, self._scenes = WeightSwap(shelf), SceneWeights(shelf)
        self._usual: Networks = ()
        for each in weights:
            self._scenes.want(each)

    def start(self, usual: Networks) -> Networks:
        """Go on with these, which are open for another size than those before, or for none."""
        self._usual = usual
        return usual

    def adapt(self, weights: AdaptedWeights) -> None:
        """See `Restorer.adapt`."""
        if weights.starts_anew:
            self._scenes.forget_all()
        if weights.scene is None:
            self._swap.want(weights)
        else:
            self._scenes.want(weights)

    def networks(self, frame: Frame, *, starts_scene: bool, is_fading: bool) -> Networks:
        """Those to go on with from this frame on.

        is_fading: others than the last ones are at work, too, and none of them may be closed.
        """
        if not is_fading:
            networks = self._swap.poll(frame.size, pts=frame.pts)
            self._usual = self._usual if networks is None else networks
            self._scenes.prepare(frame.size, pts=frame.pts)
        self._scenes.look(frame, starts_scene=starts_scene)
        return self._scenes.networks(self._usual)

    def close(self) -> None:
        """Close what is open beside the shelf's own."""
        self._swap.close()
        self._scenes.close()
