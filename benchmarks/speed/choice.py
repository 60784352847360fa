"""How good the receiver's own choice is: what `--backend auto` takes, beside what was measured.

The receiver is calibrated anew, as `edvr-receive --calibrate` does it on a machine it never ran on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmarks.speed.measurement import Job, Timing
from decoder.backends.contract import backend_config
from decoder.calibrate import calibrate, models_for, usual_lr_sizes
from decoder.calibration import Calibration
from decoder.config import RestorerConfig
from decoder.model_choice import AUTO
from decoder.tier_choice import choose_tiers
from stream.frame import Size


def compare_choices(
    measured: Sequence[tuple[Job, Timing]], *, models: Sequence[str], outputs: Sequence[Size]
) -> list[dict[str, Any]]:
    """One row for each choice that was also measured; Any: values for JSON.

    models: as given to `plan`; none for all that are installed. times_best: the median of the
    chosen backend over that of the fastest one for the same model, size and number of threads.
    """
    most = max((job.threads for job, _ in measured if job.kind == "model"), default=0)
    timed = {
        (job.name, job.lr, job.hr, job.backend): timing.p50_ms
        for job, timing in measured
        if job.kind == "model" and job.threads == most
    }
    rows = []
    for output in outputs:
        for model in models or (AUTO,):
            config = RestorerConfig(size=output, model=model)
            for lr_size, name, backend in _choices(config, calibrate(config, Calibration())):
                place = (name if model == AUTO else model, str(lr_size), str(output))
                found = {key[3]: ms for key, ms in timed.items() if key[:3] == place}
                if backend in found:
                    best = min(found, key=lambda each: found[each])
                    rows.append(
                        {
                            "lr_size": str(lr_size),
                            "size": str(output),
                            "model": name,
                            "backend": backend,
                            "p50_ms": found[backend],
                            "best_backend": best,
                            "best_p50_ms": found[best],
                            "times_best": round(found[backend] / found[best], 3),
                        }
                    )
    return rows


def choice_lines(rows: Sequence[dict[str, Any]]) -> list[str]:
    """For people."""
    return [
        f"{row['lr_size']} to {row['size']}: the receiver takes {row['model']} on {row['backend']},"
        f" {row['p50_ms']:.1f} ms; the best of all measured is {row['best_backend']},"
        f" {row['best_p50_ms']:.1f} ms ({row['times_best']:.2f} times)"
        for row in rows
    ]


def _choices(config: RestorerConfig, known: Calibration) -> list[tuple[Size, str, str]]:
    """LR size, model and backend of the best tier for each usual size."""
    found = []
    for lr_size in usual_lr_sizes(config.size):
        tiers = choose_tiers(
            config,
            models_for(config, lr_size),
            known,
            lr_size=lr_size,
            hr_size=lr_size.fit_inside(config.size),
        )
        for tier in tiers[:1]:
            fastest = known.fastest(tier.artefact, lr_size, threads=config.threads)
            if fastest is not None and tier.backend == backend_config(fastest.backend):  # type: ignore[arg-type] # read from a file
                found.append((lr_size, tier.artefact.manifest.name, fastest.backend))
    return found
