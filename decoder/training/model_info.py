"""What a model is, in words: its manifest, files, features and cost."""

from __future__ import annotations

from decoder.artefact import MANIFEST_FILE, Artefact
from decoder.backends.graph_cost import count_cost
from stream.frame import Size


def describe(artefact: Artefact, lr_size: Size) -> list[str]:
    """Lines about a model; its cost is for LR frames of `lr_size`, in its multiples.

    Raises BackendUnavailable or ModelMismatch when the graphs cannot be read.
    """
    manifest = artefact.manifest
    cost = count_cost(artefact, lr_size)
    hr_size = Size(width=lr_size.width * manifest.scale, height=lr_size.height * manifest.scale)
    past = manifest.window - 1 - manifest.lookahead
    rows = {
        "model": f"{manifest.name}, version {manifest.version}, tier {manifest.tier}",
        "folder": str(artefact.folder),
        "enlarges": f"x{manifest.scale}, LR sizes in multiples of {manifest.multiple_of}",
        "window": f"{manifest.window} frames: {past} past, the reference, "
        f"{manifest.lookahead} future",
        "takes": f"{', '.join(manifest.inputs)}; {manifest.colour}",
        "codecs": ", ".join(manifest.codecs) or "not stated",
        "trained on": manifest.trained_on,
        "licence": manifest.licence,
        "self-check": f"within {manifest.tolerance_levels} level(s) of its reference in float32",
        "cost": f"{cost.frame_macs / 1e9:.2f} GMAC a frame at {lr_size} to {hr_size}: "
        f"{cost.extract_macs / 1e9:.2f} extract, {cost.fuse_macs / 1e9:.2f} fuse",
        "features": f"{manifest.features} a frame, {cost.feature_bytes / 1e6:.1f} MB in float32: "
        + ", ".join("x".join(str(side) for side in shape[1:]) for shape in cost.feature_shapes),
    }
    lines = [f"{label:<11} {text}" for label, text in rows.items()]
    for name in (MANIFEST_FILE, *manifest.sha256):
        size_kb = (artefact.folder / name).stat().st_size / 1000
        digest = manifest.sha256.get(name, "")[:12]
        lines.append(f"{'file':<11} {name:<24} {size_kb:8.0f} kB  {digest}".rstrip())
    return lines


def summary(artefact: Artefact) -> str:
    """One line about a model, for a list of them."""
    manifest = artefact.manifest
    codecs = ", ".join(manifest.codecs) or "any codec"
    return (
        f"{manifest.name:<20} x{manifest.scale}, {manifest.window} frames, {codecs}, version "
        f"{manifest.version}"
    )
