"""A profile (`stream.profile_file`) as weights of a model that is installed here."""

from __future__ import annotations

from decoder.adapted_artefact import AdaptedWeights, ShownScene
from stream.command_line import one_line
from stream.profile_file import LIMITS, Profile
from stream.weight_chain import WeightChain
from stream.weight_delta import Shapes, decode_delta


def profile_weights(profile: Profile, shapes: Shapes) -> AdaptedWeights:
    """Its weights for a model with these adaptable weights, for all scenes. Raises DeltaRefused."""
    delta = decode_delta(profile.delta, limits=LIMITS, expected_shapes=shapes)
    return AdaptedWeights(
        base_sha256=profile.header.base_sha256,
        changes=WeightChain(profile.header.base_sha256).apply(delta),
        digest=delta.digest,
        label=f"profile {one_line(profile.info.name)}",
    )


def shown_scene(profile: Profile) -> ShownScene | None:
    """The scenes that a profile was made for; None when it does not tell."""
    scene = profile.header.scene
    if scene is None or not scene.signatures:
        return None
    return ShownScene(key=f"profile {profile.sha256}", signatures=scene.signatures)


def describe_profile(profile: Profile, shapes: Shapes | None) -> list[str]:
    """Lines about a profile; shapes: adaptable weights of its base model, if that is installed.

    Raises DeltaRefused when the weights are not for that model.
    """
    info, scene = profile.info, profile.header.scene
    gains = ", ".join(f"{name} {gain:+.3g}" for name, gain in info.gains.items())
    rows = {
        "profile": info.name,
        "for model": f"{info.base_model}, version {info.base_version}"
        f" ({profile.header.base_sha256[:12]})" + ("" if shapes else ", which is not installed"),
        "trained on": info.trained_on,
        "gain": gains or "not measured",
        "licence": info.licence,
        "size": f"{len(profile.delta) / 1000:.1f} kB of weights",
        "sha256": profile.sha256,
    }
    if scene is not None:
        rows["known by"] = f"{len(scene.signatures)} pictures of its scenes"
    if shapes:
        delta = decode_delta(profile.delta, limits=LIMITS, expected_shapes=shapes)
        weights = sum(tensor.values.size for tensor in delta.tensors.values())
        rows["changes"] = f"{weights} weights in {len(delta.tensors)} of {len(shapes)} tensors"
        if weights:
            bits = 8 * len(profile.delta) / weights
            rows["changes"] += f", {bits:.2f} bits each"
    return [f"{label:<11} {one_line(text)}" for label, text in rows.items()]
