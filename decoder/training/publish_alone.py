"""Makes the model of each frame alone out of a published live model: the tier below it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from decoder.artefact import Artefact
from decoder.edvr.live_alone import LiveAlone
from decoder.model_choice import ALONE_TIER
from decoder.training.artefact_network import live_network
from decoder.training.model_card import CARD_FILE
from decoder.training.publish import write_network

_CARD = """# {name}, version {version}

The weights of `{above}`, version {version}, which restore each frame alone: no neighbour is
aligned, and no frame waits for the next one. For processors that have no time for `{above}`, and
for moments in which they have none. The card of `{above}` says what it was trained on and where its
limits are; all that it gains, it gains without neighbours, to a tenth of a dB.
"""


def publish_alone(artefact: Artefact, folder: Path) -> Artefact:
    """Export the weights of `artefact` without its neighbours as artefact `folder`.

    Raises ConfigError when it is not of the live family, or is alone already.
    """
    network = live_network(artefact)
    manifest = artefact.manifest
    alone = replace(
        manifest,
        name=manifest.name.replace(manifest.tier, ALONE_TIER, 1),
        tier=ALONE_TIER,
        window=1,
        lookahead=0,
        features=1,
        trained_on=f"as {manifest.name}, version {manifest.version}, whose weights these are;"
        " each frame is restored alone",
    )
    made = write_network(LiveAlone(network), alone, folder)
    card = _CARD.format(name=alone.name, above=manifest.name, version=manifest.version)
    (folder / CARD_FILE).write_text(card, "utf-8")
    return made
