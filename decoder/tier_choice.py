"""Which models restore a stream of one size, on which backends: the rule behind `auto`. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from decoder.artefact import Artefact
from decoder.backends.contract import INSTALLABLE, BackendConfig, backend_config
from decoder.calibration import Calibration, Measurement
from decoder.config import RestorerConfig
from decoder.model_choice import AUTO, LANCZOS, choose_artefacts
from stream.frame import Size


@dataclass(frozen=True, slots=True, kw_only=True)
class TierChoice:
    """A model and how to open it. cost_ms: of a frame when nothing disturbs, if ever measured."""

    artefact: Artefact
    backend: BackendConfig
    cost_ms: float | None


def choose_tiers(
    config: RestorerConfig,
    installed: Sequence[Artefact],
    calibration: Calibration,
    *,
    lr_size: Size,
    hr_size: Size,
) -> tuple[TierChoice, ...]:
    """Best first; none means Lanczos.

    installed: the models to choose from, or the one that `config` names. With `auto` the best is
    the one that was measured to keep up, or, before anything was measured, one of the default tier.
    """
    if config.model == LANCZOS:
        return ()
    models = list(installed)
    if config.model == AUTO:
        best = calibration.best_tier(
            installed,
            lr_size=lr_size,
            hr_size=hr_size,
            threads=config.threads,
            backend=config.backend,
        )
        models = choose_artefacts(installed, lr_size=lr_size, hr_size=hr_size, best_tier=best)
    return tuple(_choice(config, model, calibration, lr_size) for model in models)


def tier_costs_ms(
    choices: Sequence[TierChoice], calibration: Calibration, lr_size: Size
) -> Mapping[str, float]:
    """What is known of the cost of each tier, by its name, plain resizing among them."""
    costs = {
        each.artefact.manifest.name: each.cost_ms for each in choices if each.cost_ms is not None
    }
    lanczos_ms = calibration.lanczos_ms(lr_size)
    return costs if lanczos_ms is None else {**costs, LANCZOS: lanczos_ms}


def _choice(
    config: RestorerConfig, model: Artefact, calibration: Calibration, lr_size: Size
) -> TierChoice:
    fastest = calibration.fastest(model, lr_size, threads=config.threads, backend=config.backend)
    return TierChoice(
        artefact=model,
        backend=_backend(config, fastest),
        cost_ms=None if fastest is None else fastest.p50_ms,
    )


def _backend(config: RestorerConfig, fastest: Measurement | None) -> BackendConfig:
    measured = None if fastest is None else fastest.backend
    name = next((each for each in INSTALLABLE if each == measured), config.backend)
    return backend_config(name, threads=config.threads)
