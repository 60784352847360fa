import pytest

from benchmarks.cli import app
from benchmarks.live.latency_cli import LatencyConfig
from stream.command_line import parse_command, run_command


def _parsed(*arguments: str) -> LatencyConfig:
    config = parse_command(app, ["latency", *arguments]).arguments["config"]
    assert isinstance(config, LatencyConfig)
    return config


def test_a_link_is_described_by_flags() -> None:
    config = _parsed(
        *("--link-rate", "300k,10:150k", "--link-delay-ms", "25", "--link-loss", "0.02"),
        *("--bitrate", "auto", "--lr-size", "auto"),
    )
    assert config.forward.rate is not None
    assert config.forward.rate.rate_bps(11_000) == 150_000
    assert (config.forward.delay_ms, config.forward.loss_ratio) == (25, 0.02)
    assert (config.backward.delay_ms, config.backward.loss_ratio) == (25, 0)
    assert config.backward.rate is None
    assert (config.bitrate_bps, config.lr_size) == (None, None)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--seconds", "100"), "--seconds must be 1 to 30"),
        (("--playout-ms", "0"), "--playout-ms must be above 0"),
        (("--link-loss", "1"), "loss must be 0 to below 1"),
        (("--link-rate", "fast"), "not a bitrate"),
        (("--clip", "nowhere.mp4"), "nowhere.mp4"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(
    arguments: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(app, ["latency", *arguments]) == 2
    error = capsys.readouterr().err.strip()
    assert said in error
    assert len(error.splitlines()) == 1
