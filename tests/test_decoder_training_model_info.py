import re

from decoder.artefact import Artefact
from decoder.backends.graph_cost import count_cost
from decoder.training.model_info import describe, summary
from stream.frame import Size

SIZE = Size(width=64, height=48)


def test_a_model_is_described_with_its_cost_features_and_files(live_artefact: Artefact) -> None:
    lines = describe(live_artefact, SIZE)

    rows = {line[:11].strip(): line[12:] for line in lines if not line.startswith("file")}
    assert rows["model"] == "tiny-x2, version 7, tier tiny"
    assert rows["window"] == "3 frames: 1 past, the reference, 1 future"
    assert rows["enlarges"] == "x2, LR sizes in multiples of 4"
    gmacs = count_cost(live_artefact, SIZE).frame_macs / 1e9
    assert rows["cost"].startswith(f"{gmacs:.2f} GMAC a frame at 64x48 to 128x96")
    assert rows["features"].startswith("8 a frame, 0.1 MB in float32: 6x28x36, 8x24x32")
    files = [line.split()[1] for line in lines if line.startswith("file")]
    assert sorted(files) == sorted(path.name for path in live_artefact.folder.iterdir())
    assert all(re.search(r"\d+ kB", line) for line in lines if line.startswith("file"))


def test_a_model_has_one_line_in_a_list(live_artefact: Artefact) -> None:
    assert " ".join(summary(live_artefact).split()) == "tiny-x2 x2, 3 frames, h264, version 7"
