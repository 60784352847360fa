"""The paper's networks with random weights, exported as models: for timing alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from decoder.artefact import MANIFEST_FILE, Artefact, Manifest, load_artefact
from decoder.backends.contract import import_library
from stream.errors import BackendUnavailable


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


def paper_model(name: str, folder: Path) -> Artefact:
    """edvr-m or edvr-l with random weights, x4; exported into `folder` (a minute) if not there.

    By another process, whose memory is not the caller's. Raises BackendUnavailable when it fails,
    as it does without torch.
    """
    target = folder / f"{name}-random-x4"
    if not (target / MANIFEST_FILE).exists():
        command = [sys.executable, "-m", "benchmarks.random_edvr", name, str(target)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
            raise BackendUnavailable(f"{name} cannot be exported: {reason}")
    return load_artefact(target)


if __name__ == "__main__":
    export_random(sys.argv[1], Path(sys.argv[2]))
