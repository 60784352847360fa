"""How long each model takes on each backend here, and which of them a stream should get. Pure.

Nothing is guessed by name: what was not measured is not chosen by it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from decoder.artefact import Artefact
from decoder.backends.contract import INT8
from decoder.edge_padding import padded_size
from decoder.governor import SPARE_SHARE
from decoder.model_choice import LANCZOS, TIERS, choose_artefacts
from stream.frame import Size

USUAL_INTERVAL_MS = 40.0
"""Between two frames at 25 a second: what a tier is chosen for before a stream has shown its own;
if that is faster, the governor steps down."""


INT8_WORTH = 0.15
"""Share of a frame's time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """Milliseconds to restore one frame.

    key: of the artefact's files, so that another version of a model is measured anew.
    threads: as asked for, 0 = one per core; lr_size: padded to the model's multiples.
    """

    model: str
    key: str
    backend: str
    threads: int
    lr_size: str
    p50_ms: float
    p95_ms: float

    def fits(self, interval_ms: float) -> bool:
        """Whether it keeps up with a stream and leaves 30 % for everything else."""
        return self.p95_ms <= SPARE_SHARE * interval_ms

    @property
    def place(self) -> tuple[str, str, str, int, str]:
        """What it is a measurement of; a newer one of the same replaces it."""
        return (self.model, self.key, self.backend, self.threads, self.lr_size)


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """All that is known of one machine."""

    measurements: tuple[Measurement, ...] = ()

    def with_measurement(self, new: Measurement) -> Calibration:
        """The same, and `new` in place of an older one."""
        others = tuple(each for each in self.measurements if each.place != new.place)
        return Calibration(measurements=(*others, new))

    def of(self, artefact: Artefact, lr_size: Size, *, threads: int) -> tuple[Measurement, ...]:
        """What is known of a model at a size, fastest backend first."""
        size = str(padded_size(lr_size, multiple_of=artefact.manifest.multiple_of))
        wanted = (artefact.manifest.name, artefact_key(artefact), threads, size)
        found = [
            each
            for each in self.measurements
            if (each.model, each.key, each.threads, each.lr_size) == wanted
        ]
        return tuple(sorted(found, key=lambda each: each.p95_ms))

    def fastest(
        self, artefact: Artefact, lr_size: Size, *, threads: int, backend: str = "auto"
    ) -> Measurement | None:
        """The fastest backend (or the one that is asked for) of a model at a size.

        8 bits cost a little of the picture: taken where they save `INT8_WORTH` of the time.
        """
        found = [
            each
            for each in self.of(artefact, lr_size, threads=threads)
            if backend in ("auto", each.backend)
        ]
        exact = next((each for each in found if each.backend != INT8), None)
        if not found or exact is None:
            return next(iter(found), None)
        is_worth_it = found[0].p95_ms <= (1 - INT8_WORTH) * exact.p95_ms
        return found[0] if is_worth_it else exact

    def lanczos_ms(self, lr_size: Size) -> float | None:
        """What plain resizing takes from a size."""
        for each in self.measurements:
            if each.model == LANCZOS and each.lr_size == str(lr_size):
                return each.p50_ms
        return None

    def best_tier(
        self,
        artefacts: Sequence[Artefact],
        *,
        lr_size: Size,
        hr_size: Size,
        threads: int,
        backend: str = "auto",
        interval_ms: float = USUAL_INTERVAL_MS,
    ) -> str | None:
        """The best tier whose fastest backend keeps up; the cheapest where none does.

        That one has the best chance in quiet moments. None before it was measured.
        """
        models = choose_artefacts(artefacts, lr_size=lr_size, hr_size=hr_size, best_tier=TIERS[0])
        fastest: Measurement | None = None
        for model in models:
            fastest = self.fastest(model, lr_size, threads=threads, backend=backend)
            if fastest is not None and fastest.fits(interval_ms):
                return model.manifest.tier
        return None if fastest is None else models[-1].manifest.tier


def artefact_key(artefact: Artefact) -> str:
    """Another one for every version of a model's files."""
    hashes = "".join(artefact.manifest.sha256[name] for name in sorted(artefact.manifest.sha256))
    return hashlib.sha256(hashes.encode()).hexdigest()[:16]


def stream_capacity(
    models: Sequence[Artefact],
    calibration: Calibration,
    lr_sizes: Sequence[Size],
    *,
    threads: int,
    backend: str = "auto",
) -> int | None:
    """How many streams of 25 frames a second fit, at the LR size that costs most; at least 1.

    models: the cheapest network for each of `lr_sizes`, since under load each stream steps down to
    it. None when one of them was not measured, or when there is none.
    """
    costs_ms = []
    for model, lr_size in zip(models, lr_sizes, strict=True):
        fastest = calibration.fastest(model, lr_size, threads=threads, backend=backend)
        if fastest is None:
            return None
        costs_ms.append(fastest.p50_ms)
    if not costs_ms:
        return None
    return max(1, int(SPARE_SHARE * USUAL_INTERVAL_MS / max(costs_ms)))
