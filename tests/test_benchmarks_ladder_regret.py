"""The ladder against the best size of each clip, by what was measured and is committed."""

import json
from pathlib import Path

import pytest

from benchmarks.ladder_regret import main


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], dict[str, float]]:
    path = Path(tmp_path_factory.mktemp("regret")) / "regret.json"
    assert main(["--json", str(path)]) == 0
    found = json.loads(path.read_text())["figures"]["rows"]
    return {(row["codec"], row["way"]): row for row in found}


@pytest.mark.parametrize("codec", ["av1", "h264"])
@pytest.mark.parametrize("way", ["follows", "follows, clip left out"])
def test_a_ladder_that_follows_the_pictures_is_nearer_to_the_best_than_one_for_all_clips(
    rows: dict[tuple[str, str], dict[str, float]], codec: str, way: str
) -> None:
    follows, usual = rows[codec, way], rows[codec, "for all clips"]
    assert follows["near_percent"] > max(85, usual["near_percent"])
    assert follows["mean_db"] < usual["mean_db"]
    assert follows["mean_db"] < 0.2
