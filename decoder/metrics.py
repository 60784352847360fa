"""Figures of all streams in the form that Prometheus reads; names and units are in METRICS.

Every scrape is built afresh from the records that `--stats` writes, so both always agree, and a
stream that is over leaves no series behind.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4

Record = Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricOfStream:
    """One number of a record: `field` becomes `name`, labelled by stream.

    name: with its unit as suffix; counters get `_total` besides (Prometheus' naming rules).
    """

    name: str
    kind: Literal["counter", "gauge"]
    field: str
    meaning: str


METRICS = (
    MetricOfStream(
        name="edvr_stream_publishing",
        kind="gauge",
        field="publishing",
        meaning="1 while a publisher is connected, else 0.",
    ),
    MetricOfStream(
        name="edvr_wire_received_bytes",
        kind="counter",
        field="wire_bytes",
        meaning="UDP payload received, of picture, sound and control.",
    ),
    MetricOfStream(
        name="edvr_wire_bitrate_bits_per_second",
        kind="gauge",
        field="wire_bps",
        meaning="Received over the last second.",
    ),
    MetricOfStream(
        name="edvr_packets_lost",
        kind="counter",
        field="packets_lost",
        meaning="RTP packets that never arrived.",
    ),
    MetricOfStream(
        name="edvr_frames_lost",
        kind="counter",
        field="frames_lost",
        meaning="Pictures given up because packets were missing.",
    ),
    MetricOfStream(
        name="edvr_peer_errors",
        kind="counter",
        field="peer_errors",
        meaning="Packets or pictures of the publisher that cannot be used.",
    ),
    MetricOfStream(
        name="edvr_frames_received",
        kind="counter",
        field="frames_in",
        meaning="Pictures decoded.",
    ),
    MetricOfStream(
        name="edvr_frames_restored",
        kind="counter",
        field="frames_restored",
        meaning="Pictures handed to the outputs.",
    ),
    MetricOfStream(
        name="edvr_frames_failed",
        kind="counter",
        field="frames_failed",
        meaning="Of those, only resized since the network failed.",
    ),
    MetricOfStream(
        name="edvr_frames_held",
        kind="counter",
        field="frames_held",
        meaning="Of those, the last good picture again in place of a damaged one.",
    ),
    MetricOfStream(
        name="edvr_frames_dropped",
        kind="counter",
        field="frames_dropped",
        meaning="Pictures left out because restoration was behind.",
    ),
    MetricOfStream(
        name="edvr_frames_unusable",
        kind="counter",
        field="frames_unusable",
        meaning="Pictures of a kind that cannot be restored.",
    ),
)

INFO = "edvr_stream_info"
INFO_MEANING = "Always 1; the labels say what is received and how it is restored."
INFO_LABELS = ("codec", "lr_size", "size", "model", "backend")

LATENCY = "edvr_latency_seconds"
LATENCY_MEANING = "By stage and quantile, over the newest 4096 pictures; stage total is all of it."

QUANTILES = {"p50": "0.5", "p95": "0.95", "p99": "0.99"}

OUTPUT_METRICS = (
    MetricOfStream(
        name="edvr_output_written_frames",
        kind="counter",
        field="frames_written",
        meaning="Pictures in an output.",
    ),
    MetricOfStream(
        name="edvr_output_dropped_frames",
        kind="counter",
        field="frames_dropped",
        meaning="Pictures that an output could not take in time.",
    ),
    MetricOfStream(
        name="edvr_output_written_bytes",
        kind="counter",
        field="bytes_written",
        meaning="Compressed or raw media in an output.",
    ),
)

VIEW_METRICS = (
    MetricOfStream(
        name="edvr_view_viewers",
        kind="gauge",
        field="viewers",
        meaning="Viewers that are connected.",
    ),
    MetricOfStream(
        name="edvr_view_encoded_frames",
        kind="counter",
        field="frames_encoded",
        meaning="Pictures compressed, once for all viewers.",
    ),
    MetricOfStream(
        name="edvr_view_passed_frames",
        kind="counter",
        field="frames_passed",
        meaning="Pictures passed on as the publisher compressed them.",
    ),
    MetricOfStream(
        name="edvr_view_dropped_frames",
        kind="counter",
        field="frames_dropped",
        meaning="Pictures left out because compressing was behind.",
    ),
    MetricOfStream(
        name="edvr_view_unsent_units",
        kind="counter",
        field="frames_unsent",
        meaning="Pictures and packets of sound that slow viewers did not get.",
    ),
)

OUTPUT_UP = "edvr_output_up"
OUTPUT_UP_MEANING = "1 while an output is being written, 0 while it opens, reconnects or has ended."


def exposition(records: Sequence[Record]) -> bytes:
    """The text of a scrape: Prometheus' text format 0.0.4, with memory and CPU of the process."""
    registry = CollectorRegistry(auto_describe=False)
    ProcessCollector(registry=registry)
    registry.register(_StreamCollector(records))
    return generate_latest(registry)


class _StreamCollector(Collector):
    def __init__(self, records: Sequence[Record]) -> None:
        self._records = records

    def collect(self) -> Iterator[Metric]:
        streams = GaugeMetricFamily("edvr_streams", "Streams that this receiver knows.")
        streams.add_metric([], len(self._records))
        yield streams
        for metric in METRICS:
            rows = (((str(each["stream"]),), each) for each in self._records)
            yield _family(metric, ("stream",), rows)
        info = GaugeMetricFamily(INFO, INFO_MEANING, labels=("stream", *INFO_LABELS))
        for each in self._records:
            info.add_metric([str(each[label] or "") for label in ("stream", *INFO_LABELS)], 1)
        yield info
        yield self._latency()
        outputs = [
            ((str(each["stream"]), str(number), str(output["name"])), output)
            for each in self._records
            for number, output in enumerate(_maps(each["outputs"]))
        ]
        labels = ("stream", "number", "output")
        for metric in OUTPUT_METRICS:
            yield _family(metric, labels, outputs)
        up = GaugeMetricFamily(OUTPUT_UP, OUTPUT_UP_MEANING, labels=labels)
        for values, output in outputs:
            up.add_metric(values, float(output["state"] == "writing"))
        yield up
        views = [
            ((str(each["stream"]), view), counts)
            for each in self._records
            for view, counts in _views(each["viewers"])
        ]
        for metric in VIEW_METRICS:
            yield _family(metric, ("stream", "view"), views)

    def _latency(self) -> Metric:
        labels = ("stream", "stage", "quantile")
        family = GaugeMetricFamily(LATENCY, LATENCY_MEANING, labels=labels)
        for record in self._records:
            stages = record["latency_ms"]
            assert isinstance(stages, Mapping)  # a record's shape; tells mypy
            for stage, figures in stages.items():
                for name, quantile in QUANTILES.items():
                    values = (str(record["stream"]), str(stage), quantile)
                    family.add_metric(values, _number(figures[name]) / 1000)
        return family


def _family(
    metric: MetricOfStream,
    labels: Sequence[str],
    rows: Iterable[tuple[tuple[str, ...], Record]],
) -> Metric:
    kind = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
    family = kind(metric.name, metric.meaning, labels=labels)
    for values, record in rows:
        family.add_metric(values, _number(record[metric.field]))
    return family


def _number(value: object) -> float:
    assert isinstance(value, int | float), value
    return float(value)


def _views(value: object) -> Sequence[tuple[str, Record]]:
    assert isinstance(value, Mapping), value
    return list(value.items())


def _maps(value: object) -> Sequence[Record]:
    assert isinstance(value, list), value
    return value
