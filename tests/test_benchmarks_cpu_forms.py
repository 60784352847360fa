"""Forms of a model that are not in use are compared with the one that is."""

import pytest

from benchmarks import cpu_forms


def test_every_form_that_can_be_opened_restores_the_same_picture(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cpu_forms.main(["live-xs-x2", "--lr-size", "64x48", "--rounds", "3"]) == 0
    rows = {line.split()[0]: line.split() for line in capsys.readouterr().out.splitlines()}
    assert {"used", "plain", "deformable"} <= set(rows)
    for name in ("used", "plain", "deformable"):
        assert float(rows[name][1]) > 0
        assert abs(float(rows[name][5])) < 0.05
