"""The scrape, read back by the official client's own parser."""

from __future__ import annotations

import re

import pytest
from prometheus_client.parser import text_string_to_metric_families

from decoder.metrics import INFO, LATENCY, METRICS, OUTPUT_METRICS, VIEW_METRICS, exposition
from tests.stream_records import stream_record

BASE_UNITS = {"seconds", "bytes", "bits_per_second"}


def samples(*records: dict[str, object]) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Every sample by its name and labels; fails for text that the parser does not take."""
    found = {}
    for family in text_string_to_metric_families(exposition(records).decode()):
        assert family.documentation
        for sample in family.samples:
            key = (sample.name, frozenset(sample.labels.items()))
            assert key not in found, key
            found[key] = sample.value
    return found


def test_the_parser_reads_back_what_the_record_says() -> None:
    record = stream_record("live", wire_bytes=12_345, frames_restored=7, publishing=True)
    read = samples(record)
    live = frozenset({("stream", "live")})
    assert read["edvr_streams", frozenset()] == 1
    assert read["edvr_wire_received_bytes_total", live] == 12_345
    assert read["edvr_frames_restored_total", live] == 7
    assert read["edvr_stream_publishing", live] == 1
    median = frozenset({("stream", "live"), ("stage", "total"), ("quantile", "0.5")})
    assert read[LATENCY, median] == pytest.approx(0.064)
    output = frozenset({("stream", "live"), ("number", "0"), ("output", "restored.mp4")})
    assert read["edvr_output_up", output] == 1
    assert read["edvr_output_written_bytes_total", output] == 2000
    restored = frozenset({("stream", "live"), ("view", "restored")})
    assert read["edvr_view_viewers", restored] == 3
    assert read["edvr_view_passed_frames_total", restored] == 0
    info = next(dict(labels) for name, labels in read if name == INFO)
    assert info == {
        "stream": "live",
        "codec": "h264",
        "lr_size": "640x360",
        "size": "1280x720",
        "model": "live-xs-x2",
        "backend": "",
    }


def test_every_stream_and_every_output_has_a_series_of_its_own() -> None:
    twice = [{**stream_record("a")["outputs"][0], "name": "rtmp://host"}] * 2  # type: ignore[index] # a list
    read = samples(stream_record("a", outputs=twice), stream_record("b"))
    assert read["edvr_streams", frozenset()] == 2
    assert len([name for name, _ in read if name == "edvr_output_up"]) == 3
    assert len([name for name, _ in read if name == "edvr_frames_lost_total"]) == 2


def test_without_streams_there_is_the_process_alone() -> None:
    names = {name for name, _ in samples()}
    assert {"edvr_streams", "process_resident_memory_bytes", "process_open_fds"} <= names
    assert not any(name.startswith("edvr_") for name in names - {"edvr_streams"})


def test_hostile_names_cannot_break_the_format() -> None:
    record = stream_record("live", model='x"} 1\nedvr_fake 9\n\\')
    read = samples(record)
    assert ("edvr_fake", frozenset()) not in read


def test_names_follow_the_rules_of_prometheus() -> None:
    for metric in (*METRICS, *OUTPUT_METRICS, *VIEW_METRICS):
        assert re.fullmatch(r"edvr_[a-z_]+", metric.name)
        assert not metric.name.endswith("_total")  # the client adds it to counters
        assert metric.meaning.endswith(".")
    units = {name for name in BASE_UNITS if any(m.name.endswith(name) for m in METRICS)}
    assert units == {"bytes", "bits_per_second"}
