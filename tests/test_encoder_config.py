import pytest

from encoder.cli import app
from encoder.config import SenderConfig
from stream.command_line import parse_command
from stream.errors import ConfigError

WHIP = "http://127.0.0.1:8080/whip"


def _parsed(*arguments: str) -> SenderConfig:
    config = parse_command(app, ["clip.mp4", "--whip", WHIP, *arguments]).arguments["config"]
    assert isinstance(config, SenderConfig)
    return config


def test_the_documented_command_line_means_what_it_says() -> None:
    config = _parsed(
        *("--token", "t", "--bitrate", "150k", "--codec", "h264", "--size", "640x360"),
        *("--fps", "25", "--loop", "--no-audio"),
    )
    assert (config.input, config.whip, config.token) == ("clip.mp4", WHIP, "t")
    assert (config.bitrate_bps, config.codec, str(config.size)) == (150_000, "h264", "640x360")
    assert (config.fps, config.loop, config.audio) == (25.0, True, False)


def test_defaults_send_a_file_once_at_150_kbps_with_sound() -> None:
    config = _parsed()
    assert (config.bitrate_bps, config.size, config.codec) == (150_000, None, "auto")
    assert (config.loop, config.audio, config.fps, config.token) == (False, True, None, None)


def test_auto_leaves_rate_and_size_to_the_program() -> None:
    config = _parsed("--bitrate", "auto", "--size", "auto")
    assert (config.bitrate_bps, config.size) == (None, None)


def test_the_source_gets_its_part() -> None:
    source = _parsed("--fps", "12.5", "--loop", "--no-audio").source
    assert (source.url, source.loop, source.fps, source.audio) == ("clip.mp4", True, 12.5, False)


@pytest.mark.parametrize(
    "arguments",
    [
        ("--bitrate", "29999"),
        ("--bitrate", "5000001"),
        ("--audio-bitrate", "23k"),
        ("--audio-bitrate", "65k"),
        ("--fps", "nan"),
        ("--fps", "-1"),
        ("--fps", "241"),
        ("--preset", "placebo"),
        ("--token", ""),
        ("--codec", "mpeg2"),
    ],
)
def test_values_out_of_range_are_refused(arguments: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError):
        _parsed(*arguments)


@pytest.mark.parametrize("bitrate", ["30k", "5M", "150000", "1.5M"])
def test_the_whole_range_of_bitrates_is_accepted(bitrate: str) -> None:
    assert _parsed("--bitrate", bitrate).bitrate_bps is not None


def test_an_endpoint_that_is_no_http_url_is_refused_before_anything_is_opened() -> None:
    with pytest.raises(ConfigError, match="not an http:// or https:// URL"):
        SenderConfig("clip.mp4", whip="rtmp://host/app")
