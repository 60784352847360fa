"""A model with a profile among the models that are compared, and what its bytes are worth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.bandwidth.curves import rate_for
from benchmarks.bandwidth.points import Point, ProfiledArtefact
from benchmarks.bandwidth.summary import Family, family_curve
from decoder.model_choice import AUTO
from decoder.profile_source import base_model, load_profile, weights_for
from stream.profile_file import Profile


@dataclass(frozen=True, slots=True, kw_only=True)
class UsedProfile:
    """A profile and the model that it changes."""

    profile: Profile
    artefact: ProfiledArtefact

    @property
    def bits(self) -> int:
        """What a receiver has to fetch, once."""
        return 8 * len(self.profile.delta)


def use_profile(source: str) -> UsedProfile:
    """Load a profile. Raises ConfigError when it cannot be read, or its model is not installed."""
    profile = load_profile(source)
    base = base_model(profile, AUTO)
    weights = weights_for(profile, AUTO)
    artefact = ProfiledArtefact(folder=base.folder, manifest=base.manifest, weights=weights)
    return UsedProfile(profile=profile, artefact=artefact)


def profile_figures(
    used: UsedProfile, points: Sequence[Point], *, clips: Sequence[str], metric: str = "psnr_y_db"
) -> dict[str, Any]:  # Any: JSON values
    """What the profile is, and after how long it has saved the bits that it took to fetch it.

    Rates of points are those of the video alone; the profile's bits are counted here.
    """
    info = used.profile.info
    return {
        "name": info.name,
        "sha256": used.profile.sha256,
        "model": info.base_model,
        "bits": used.bits,
        "trained_on": info.trained_on,
        "gains": dict(info.gains),
        "metric": metric,
        "break_even": [
            row for clip in clips for row in _break_even(used, points, clip=clip, metric=metric)
        ],
    }


def _break_even(
    used: UsedProfile, points: Sequence[Point], *, clip: str, metric: str
) -> list[dict[str, Any]]:  # Any: JSON values
    """At each rate of the base model: what the adapted one needs to show the same."""
    rows = []
    of_base = [
        point
        for point in points
        if (point.clip, point.kind, point.model) == (clip, "restored", used.profile.info.base_model)
    ]
    for point in of_base:
        same_size = [
            other for other in points if (other.coding, other.size) == (point.coding, point.size)
        ]
        family = Family(kind="adapted", coding=point.coding)
        needed = rate_for(family_curve(same_size, family, clip, metric), point.quality[metric])
        saved_bps = None if needed is None else point.coded_bps - needed
        rows.append(
            {
                "clip": clip,
                "coding": point.coding,
                "bps": point.coded_bps,
                "adapted_bps": None if needed is None else round(needed),
                "seconds": round(used.bits / saved_bps, 1) if saved_bps and saved_bps > 0 else None,
            }
        )
    return rows
