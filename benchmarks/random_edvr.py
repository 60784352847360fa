"""The paper's networks with random weights, exported as models: for timing alone."""

from __future__ import annotations

from pathlib import Path

from decoder.artefact import Artefact, Manifest
from decoder.backends.contract import import_library


def export_random(name: str, folder: Path) -> Artefact:
    """Write edvr-m or edvr-l, x4, into `folder`. Needs what the extra `train` installs."""
    from decoder.edvr.network import EDVR_L, EDVR_M, Edvr
    from decoder.edvr.planes import EdvrPlanes
    from decoder.training.publish import PAPER_FEATURES, write_network

    config = {"edvr-m": EDVR_M, "edvr-l": EDVR_L}[name]
    import_library("torch", extra="'edvr-live[train]'").manual_seed(0)
    manifest = Manifest(
        name=folder.name,
        version="0",
        tier=name,
        scale=config.scale,
        window=config.num_frame,
        lookahead=config.lookahead,
        multiple_of=config.multiple_of,
        inputs=("y", "u", "v", "quantiser"),
        features=PAPER_FEATURES,
        colour="limited-range 4:2:0",
        codecs=(),
        trained_on="nothing: random weights, for timing alone",
        licence="Apache-2.0",
        sha256={},
    )
    return write_network(EdvrPlanes(Edvr(config).eval()), manifest, folder)
