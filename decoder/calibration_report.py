"""The table that `edvr-receive --calibrate` prints."""

from __future__ import annotations

from decoder.calibrate import models_for, usual_lr_sizes
from decoder.calibration import USUAL_INTERVAL_MS, Calibration, Measurement
from decoder.config import RestorerConfig
from decoder.model_choice import LANCZOS
from decoder.tier_choice import choose_tiers

_HEADER = f"{'model':<14}{'backend':<16}{'from':>10}{'p50 ms':>9}{'p95 ms':>9}{'of 40 ms':>10}"


def calibration_lines(config: RestorerConfig, calibration: Calibration) -> list[str]:
    """One line a measurement, and which of them a stream of 25 frames a second gets."""
    rows = sorted(
        (each for each in calibration.measurements if each.threads in (config.threads, 1)),
        key=lambda each: (-int(each.lr_size.partition("x")[0]), each.p95_ms),
    )
    lines = [f"restoring to {config.size}, {config.threads or 'all'} threads", _HEADER]
    lines += [_line(each) for each in rows]
    for lr_size in usual_lr_sizes(config.size):
        choices = choose_tiers(
            config,
            models_for(config, lr_size),
            calibration,
            lr_size=lr_size,
            hr_size=lr_size.fit_inside(config.size),
        )
        names = [each.artefact.manifest.name for each in choices[:1]] or [LANCZOS]
        below = [each.artefact.manifest.name for each in choices[1:]] + [LANCZOS] * bool(choices)
        under_load = f", under load {', '.join(below)}" if below else ""
        is_known = not choices or choices[0].cost_ms is not None
        verdict = "" if is_known else "; it was not measured in time, so a short trial decides"
        lines.append(f"{lr_size} gets {names[0]}{under_load}{verdict}")
    return lines


def _line(row: Measurement) -> str:
    share = row.p95_ms / USUAL_INTERVAL_MS
    verdict = "" if row.fits(USUAL_INTERVAL_MS) else "  too slow"
    return (
        f"{row.model:<14}{row.backend:<16}{row.lr_size:>10}{row.p50_ms:>9.1f}{row.p95_ms:>9.1f}"
        f"{share:>10.0%}{verdict}"
    )
