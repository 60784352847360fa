"""The Restorer: LR frames in, HR frames out; the network for each size, and the tier in use."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from decoder.adapted_artefact import AdaptedWeights
from decoder.artefact import Artefact, find_artefact
from decoder.backends.engine_pool import EnginePool
from decoder.calibration import Calibration
from decoder.concealment import Concealment
from decoder.config import RestorerConfig
from decoder.model_choice import AUTO, LANCZOS
from decoder.network_shelf import Networks, NetworkShelf
from decoder.restorer_counts import RestorerCounts
from decoder.stream_weights import StreamWeights
from decoder.tier_stream import Done, LanczosTier, NetworkTier, Tally, Tier
from decoder.tier_switch import TierSwitch
from stream.errors import EdvrError
from stream.frame import CLOCK_HZ, Frame, Size
from stream.scene_cut import SceneCutDetector
from stream.stats import Percentiles

log = logging.getLogger(__name__)

MAX_PTS_STEP = CLOCK_HZ
"""A gap of more than 1 s: whatever comes after it has moved on too far to be aligned."""


class Restorer:
    """Restores one stream. Not thread-safe.

    The output size is fixed by the first frame: the largest of its aspect ratio inside
    `config.size`. When the LR size changes later, pictures are fitted to that same output size,
    since sinks cannot change theirs; another aspect ratio is then stretched.

    timings: milliseconds spent in "extract" and "fuse" (network) and "resize" (Lanczos).
    """

    def __init__(
        self,
        config: RestorerConfig,
        *,
        engines: EnginePool | None = None,
        calibration: Calibration | None = None,
        opens_beside: bool = False,
        weights: AdaptedWeights | None = None,
        scenes: Iterable[AdaptedWeights] = (),
        clock_s: Callable[[], float] = time.perf_counter,
    ) -> None:
        """engines: shared with other streams; calibration: what is known of this machine.
        opens_beside: when the size changes, frames are resized until the network for it is open;
        otherwise they wait for it. weights, and those for scenes: see `adapt`; from the start.

        Raises ConfigError or ModelMismatch for an unknown or damaged model.
        """
        self._config = config
        chosen: Artefact | None = None
        if config.model not in (AUTO, LANCZOS):
            chosen = find_artefact(config.model)
        self._owns_engines = engines is None
        self._engines = EnginePool() if engines is None else engines
        self._shelf = NetworkShelf(
            config,
            chosen=chosen,
            engines=self._engines,
            calibration=Calibration() if calibration is None else calibration,
            weights=weights,
        )
        self._weights = StreamWeights(self._shelf, scenes)
        self._opens_beside, self._is_opening = opens_beside, False
        self._tally = Tally(clock_s=clock_s)
        self._lanczos: LanczosTier | None = None
        self._ladder: Networks = ()
        self._wanted_tier = self._used_tier = 0
        self._is_hurried = False
        self._switch: TierSwitch | None = None
        self._hr_size: Size | None = None
        self._last: Frame | None = None
        self._cuts = SceneCutDetector(min_distance=0)
        self._concealment = Concealment()
        self._shown: Frame | None = None
        self._fates: Counter[str] = Counter()
        self._by_tier: Counter[str] = Counter()

    @property
    def timings(self) -> Mapping[str, Percentiles]:
        """Milliseconds by stage."""
        return self._tally.timings

    @property
    def model_name(self) -> str:
        """The model in use, "lanczos" for none, or what was asked for before the first frame."""
        return self._config.model if self._switch is None else self._switch.tier.name

    @property
    def backend_name(self) -> str | None:
        """The backend in use; None while there is none."""
        return None if self._switch is None else self._switch.tier.backend_name

    @property
    def weights_name(self) -> str | None:
        """What the model in use was adapted by; None while it is as it was published."""
        return None if self._switch is None else self._switch.tier.weights_name

    @property
    def output_size(self) -> Size | None:
        """Size of all frames out; None before the first frame in."""
        return self._hr_size

    @property
    def counts(self) -> RestorerCounts:
        """What became of all frames that came out so far."""
        return RestorerCounts(by_tier=dict(self._by_tier), **self._fates)

    @property
    def tiers(self) -> tuple[str, ...]:
        """What `use_tier` chooses from, best first: models for the present size, then lanczos."""
        if self._tally.has_given_up:
            return (LANCZOS,)
        return (*(network.artefact.manifest.name for network in self._ladder), LANCZOS)

    @property
    def tier_costs_ms(self) -> Mapping[str, float]:
        """What a frame takes when nothing disturbs, by tier, as far as it was ever measured."""
        return self._shelf.costs_ms

    @property
    def is_changing_tier(self) -> bool:
        """Whether two tiers are at work, to fade from one to the other."""
        return self._switch is not None and self._switch.is_fading

    def use_tier(self, index: int, *, is_hurried: bool = False) -> None:
        """Restore by `tiers[index]` from the next frame on, or as soon as a change is over.

        is_hurried: do not fade to it, which takes both tiers for a while, nor wait for anything.
        """
        self._wanted_tier, self._is_hurried = min(index, len(self.tiers) - 1), is_hurried

    def adapt(self, weights: AdaptedWeights) -> None:
        """Give the model that they are for other weights, while the stream goes on.

        Networks are opened with them on another thread; they are in use from the first frame on
        that is not before `valid_from_pts`. Those for a `scene` are kept and used while it is on,
        at a cut to it at once. Weights that cannot be used are logged and left.
        """
        self._weights.adapt(weights)

    def prepare(self, lr_size: Size) -> None:
        """Open the networks for a size before its first frame comes, which takes 0.3 to 1 s each.

        Raises ConfigError or BackendError when one cannot be opened.
        """
        self._shelf.get(lr_size, hr_size=lr_size.fit_inside(self._config.size))

    def push(self, frame: Frame) -> list[Frame]:
        """Add the newest frame; HR frames that are ready, in order.

        Every frame in gives exactly one out, with its pts, colour and entered_ms, up to
        `lookahead` frames later. Raises ConfigError or BackendError when the network cannot be
        opened at the first frame; later failures fall back to Lanczos.
        """
        done: list[Frame] = []
        if self._last is None or frame.size != self._last.size:
            done = self.flush()
            self._open_for(frame.size)
        elif self._is_opening:
            self._take_opened(frame.size)
        is_jump = self._last is not None and not 0 < frame.pts - self._last.pts <= MAX_PTS_STEP
        is_held, is_mended = self._concealment.judge(frame)
        is_cut = not is_held and self._cuts.push(frame)
        self._last = frame
        starts_scene = is_jump or is_cut or is_mended
        done += self._settle_tier()
        if not (self._is_opening or is_held):
            done += self._settle_weights(frame, starts_scene=starts_scene)
        assert self._switch is not None
        shown = self._switch.push(frame, starts_scene=starts_scene, is_held=is_held)
        return done + self._counted(shown)

    def flush(self) -> list[Frame]:
        """The frames that still wait for a future; the next frame starts a new scene."""
        self._cuts.forget()
        return [] if self._switch is None else self._counted(self._switch.flush())

    def close(self) -> None:
        """Give the networks' memory back; frames not flushed are gone."""
        self._weights.close()
        self._shelf.close()
        self._ladder = ()
        if self._owns_engines:
            self._engines.close()

    def _counted(self, finished: list[Done]) -> list[Frame]:
        frames = []
        for done in finished:
            self._fates[done.fate] += 1
            self._by_tier[done.tier] += 1
            if done.fate != "held":
                self._shown = done.frame
            frames.append(done.frame if done.fate != "held" else self._again(done.frame))
        return frames

    def _again(self, frame: Frame) -> Frame:
        """The last good picture at the time of a damaged one."""
        assert self._shown is not None  # there was a good frame before, and tiers keep the order
        return replace(self._shown, pts=frame.pts, entered_ms=frame.entered_ms, is_damaged=True)

    def _settle_tier(self) -> list[Frame]:
        """Begin the change of tier that is wanted or, after failures, needed."""
        assert self._switch is not None
        done: list[Frame] = []
        last = len(self.tiers) - 1
        if self._tally.has_given_up and self._switch.tier is not self._lanczos:
            done = self._counted(self._switch.flush())
            self._switch = TierSwitch(self._tier(last))
            self._used_tier = self._wanted_tier = last
        elif self._wanted_tier != self._used_tier:
            tier = self._tier(self._wanted_tier)
            if self._is_hurried:
                done = self._counted(self._switch.cut(tier))
            elif self._switch.is_fading:
                return []
            else:
                self._switch.use(tier)
            self._used_tier = self._wanted_tier
            log.info("restoring by %s from here on", tier.name)
        return done

    def _settle_weights(self, frame: Frame, *, starts_scene: bool) -> list[Frame]:
        """Go over to weights that are open and due, or that the scene has that begins or is on."""
        assert self._switch is not None
        is_fading, index = self._switch.is_fading, self._used_tier
        networks = self._weights.networks(frame, starts_scene=starts_scene, is_fading=is_fading)
        is_other = index < len(networks) and networks[index] is not self._ladder[index]
        if is_other and is_fading and not starts_scene:
            return []  # when that is over
        self._ladder = networks
        if is_other and starts_scene:  # nothing is to be seen of what was before: no need to fade
            done = self._counted(self._switch.flush())
            self._switch = TierSwitch(self._tier(index))
            return done
        if is_other:
            self._switch.use(self._tier(index))
        return []

    def _tier(self, index: int) -> Tier:
        assert self._lanczos is not None
        if index >= len(self._ladder) or self._tally.has_given_up:
            return self._lanczos
        network = self._ladder[index]
        lookahead, manifest = self._config.lookahead, network.artefact.manifest
        is_asked_for = self._config.model != AUTO  # else the model is ours to change
        if is_asked_for and lookahead is not None and lookahead > manifest.lookahead:
            log.warning(
                "%s looks ahead %d frames, not %d", manifest.name, manifest.lookahead, lookahead
            )
        return NetworkTier(network, self._lanczos, self._tally, lookahead=lookahead)

    def _open_for(self, lr_size: Size) -> None:
        is_first = self._hr_size is None
        if self._hr_size is None:
            self._hr_size = lr_size.fit_inside(self._config.size)
            self._lanczos = LanczosTier(self._hr_size, self._tally)
        if not is_first and self._opens_beside:
            self._ladder, self._is_opening = (), True
            self._take_opened(lr_size)
        else:
            self._is_opening = False
            try:
                opened = self._shelf.get(lr_size, hr_size=self._hr_size)
                self._ladder = self._weights.start(opened)
            except EdvrError as error:
                if is_first:
                    self._hr_size = None
                    raise
                self._give_up(lr_size, error)
        self._wanted_tier = self._used_tier = 0
        self._switch = TierSwitch(self._tier(0))

    def _take_opened(self, lr_size: Size) -> None:
        """Fade to the network for a size as soon as it is open."""
        assert self._hr_size is not None
        try:
            opened = self._shelf.get_soon(lr_size, hr_size=self._hr_size)
        except EdvrError as error:
            self._give_up(lr_size, error)
            return
        if opened is not None:
            self._ladder, self._is_opening = self._weights.start(opened), False
            self._used_tier, self._wanted_tier = len(opened), 0  # until now it was Lanczos

    def _give_up(self, lr_size: Size, error: EdvrError) -> None:
        log.warning("frames of %s are only resized: %s", lr_size, error)
        self._shelf.give_up(lr_size)
        self._ladder, self._is_opening = self._weights.start(()), False
