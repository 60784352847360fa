"""Which models a benchmark of bandwidth restores with."""

from __future__ import annotations

from decoder.artefact import Artefact, find_artefact, list_artefacts, load_artefact
from decoder.backends import BackendName, backend_config, open_backend
from decoder.model_choice import ALONE_TIER, AUTO, LANCZOS, MIN_USEFUL_RATIO, enlargement
from stream.errors import ConfigError
from stream.frame import Size


def chosen_models(names: tuple[str, ...], *, backend: BackendName) -> list[Artefact]:
    """The models of these names, or all that a receiver would take by itself; each was opened.

    Raises ConfigError for a name that is no network, BackendUnavailable when `backend` is missing:
    before hours are spent.
    """
    for name in names:
        if name in (AUTO, LANCZOS):
            raise ConfigError(
                f"--models {name}: name models, or none for all; Lanczos is always compared"
            )
    if names:
        models = [find_artefact(name) for name in names]
    else:
        installed = (each for each in list_artefacts() if each.manifest.tier != ALONE_TIER)
        models = [load_artefact(found.folder) for found in installed]
    for model in models:
        open_backend(backend_config(backend), model, model.reference().size).close()
    return models


def models_for(models: list[Artefact], *, lr_size: Size, hr_size: Size) -> list[Artefact]:
    """Those of the smallest scale that reaches the output: what a receiver would take there."""
    ratio = enlargement(lr_size, hr_size)
    scales = sorted({m.manifest.scale for m in models if m.manifest.scale >= ratio})
    if ratio < MIN_USEFUL_RATIO or not scales:
        return []
    return [model for model in models if model.manifest.scale == scales[0]]
