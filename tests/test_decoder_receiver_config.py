import asyncio
from pathlib import Path

import pytest

from decoder.cli import app
from decoder.hls_shelf import HlsShelf
from decoder.receiver_config import MAX_STREAMS, ReceiverConfig
from stream.command_line import parse_command
from stream.errors import ConfigError


def _parsed(*arguments: str) -> ReceiverConfig:
    config = parse_command(app, list(arguments)).arguments["config"]
    assert isinstance(config, ReceiverConfig)
    return config


def test_the_documented_command_line_means_what_it_says(tmp_path: Path) -> None:
    stats = tmp_path / "stats.jsonl"
    config = _parsed(
        *("--listen", "0.0.0.0:80", "--token", "t", "--output", "a.mp4", "null:"),
        *("--output", "hls:web", "--size", "1920x1080", "--model", "live-xs-x2"),
        *("--backend", "onnxruntime", "--lookahead", "0", "--stats", str(stats)),
    )
    assert config.outputs == ("a.mp4", "null:", "hls:web")
    assert (str(config.listen), config.token, config.stats) == ("0.0.0.0:80", "t", stats)
    restorer = config.restorer
    assert (str(restorer.size), restorer.model) == ("1920x1080", "live-xs-x2")
    assert (restorer.backend, restorer.lookahead) == ("onnxruntime", 0)


def test_defaults_restore_to_720p_with_the_model_that_fits() -> None:
    config = _parsed("--output", "null:")
    assert (str(config.size), config.model, config.backend) == ("1280x720", "auto", "auto")
    assert (config.lookahead, config.listen, config.whep) == (None, None, None)


def test_several_streams_need_an_output_of_their_own_each() -> None:
    assert _parsed("--output", "a.mp4").max_streams == 1
    assert _parsed("--output", "null:").max_streams == MAX_STREAMS
    assert _parsed("--output", "{stream}.mp4", "null:").max_streams == MAX_STREAMS
    assert _parsed("--output", "{stream}.mp4", "b.mp4").max_streams == 1
    assert _parsed("--output", "null:", "--lr-output", "b.mp4").max_streams == 1


def test_the_name_of_the_stream_is_put_into_its_outputs() -> None:
    config = _parsed("--output", "{stream}.mp4", "hls:web/{stream}", "--lr-output", "{stream}.y4m")
    assert config.outputs_of("studio-2") == ("studio-2.mp4", "hls:web/studio-2")
    assert config.lr_outputs_of("studio-2") == ("studio-2.y4m",)


@pytest.mark.parametrize(
    "arguments",
    [
        ("--output", "out.avi"),
        ("--output", "null:", "--size", "1281x720"),
        ("--output", "null:", "--whep", "http://host/whep", "--listen", "127.0.0.1:1"),
        ("--output", "null:", "--whep", "host/whep"),
        ("--output", "null:", "--profile", "http://host/show.profile"),
        ("--output", "null:", "--profile", "https://host/show.profile"),
        ("--output", "null:", "--token", "a b"),
        ("--output", "null:", "--stats", "/nowhere/at/all/s.jsonl"),
        ("--output", "null:", "--lookahead", "3"),
        ("--output", "null:", "--backend", "tpu"),
        ("--output", "null:", "--threads", "-1"),
        ("--output", "same.mp4", "same.mp4"),
        ("--output", "null:", "--segment", "10m"),
        ("--output", "a.mp4", "--segment", "soon"),
        ("--output", "null:", "--stream-token", "no-token"),
        ("--output", "null:", "--stream-view-token", "a=b c"),
        ("--output", "null:", "--view-token", ""),
        ("--output", "null:", "--whip-token", "a b"),
        ("--output", "null:", "--tls-cert", "cert.pem"),
        ("--output", "null:", "--cors-origin", "studio.example"),
        ("--output", "null:", "--request-rate", "-1"),
        ("--output", "same.mp4", "--lr-output", "same.mp4"),
    ],
)
def test_settings_that_cannot_work_are_refused(arguments: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError):
        _parsed(*arguments)


def test_tokens_limits_and_files_become_the_settings_of_the_server() -> None:
    http = _parsed(
        *("--output", "null:", "--token", "pub", "--view-token", "see", "--public-view"),
        *("--stream-token", "a=pub-a", "--stream-view-token", "a=see-a", "b=see-b"),
        *("--cors-origin", "https://a.example", "--request-rate", "0"),
        *("--tls-cert", "cert.pem", "--tls-key", "key.pem"),
    ).http
    assert (http.access.publish_token, http.access.view_token) == ("pub", "see")
    assert http.access.stream_publish_tokens == {"a": "pub-a"}
    assert http.access.stream_view_tokens == {"a": "see-a", "b": "see-b"}
    assert http.access.is_viewing_public
    assert http.cors_origins == ("https://a.example",)
    assert http.requests_per_s is None
    assert (http.tls_cert, http.tls_key) == (Path("cert.pem"), Path("key.pem"))


def test_a_file_is_cut_into_segments_of_the_length_that_is_asked_for() -> None:
    loop = asyncio.new_event_loop()
    options = _parsed("--output", "a.mp4", "--segment", "10m").output_options(HlsShelf(loop))
    loop.close()
    assert options.segment_s == 600
