"""What is timed, how one thing is timed, and the table that comes of it."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.random_edvr import paper_model
from benchmarks.speed.candidates import BACKENDS, moving_frames, open_candidate
from benchmarks.speed.choice import choice_lines, compare_choices
from benchmarks.speed.measurement import Job, Timing
from benchmarks.speed.plan import plan, run_job
from benchmarks.speed.table import COLUMNS, as_rows, as_tables
from benchmarks.speed.worker import measure
from decoder.artefact import Artefact
from decoder.edvr.eager_speed import time_eager
from decoder.edvr.network import EdvrConfig
from stream.errors import BackendUnavailable, ConfigError
from stream.frame import Size
from tests.tiny_artefact import write_tiny_artefact

LR, HR = "64x48", "128x96"


@pytest.fixture(scope="module")
def artefact(tmp_path_factory: pytest.TempPathFactory) -> Artefact:
    return write_tiny_artefact(tmp_path_factory.mktemp("models") / "tiny-x2")


def _job(kind: str = "lanczos", **changes: object) -> Job:
    job = Job(kind="lanczos", name="lanczos", backend="swscale", threads=1, lr=LR, hr=HR, frames=10)
    return replace(job, kind=kind, **changes)  # type: ignore[arg-type] # tests name any kind


TIMING = Timing(
    backend="openvino bf16",
    p50_ms=10.0,
    p95_ms=12.0,
    p99_ms=13.0,
    cpu_ms=18.0,
    peak_mb=200.0,
    opened_mb=50.0,
    macs=1_000_000_000,
)


def test_every_model_meets_every_backend_and_thread_count_with_its_peers(
    artefact: Artefact,
) -> None:
    outputs = [Size(width=128, height=96), Size(width=256, height=192)]
    jobs = plan([str(artefact.folder)], outputs=outputs, threads=(1, 2), frames=10, with_peers=True)
    models = [job for job in jobs if job.kind == "model"]
    assert {(job.backend, job.threads, job.lr, job.hr) for job in models} == {
        (backend, threads, lr, hr)
        for backend in BACKENDS
        for threads in (1, 2)
        for lr, hr in (("64x48", "128x96"), ("128x96", "256x192"))
    }
    kinds = {job.kind for job in jobs}
    assert kinds == {"peak", "lanczos", "model", "ffmpeg", "uncached", "fsrcnn", "espcn"}
    alone = plan(
        [str(artefact.folder)], outputs=outputs[:1], threads=(1,), frames=10, with_peers=False
    )
    assert {job.kind for job in alone} == {"peak", "lanczos", "model"}


def test_the_papers_network_stands_beside_models_that_enlarge_by_four() -> None:
    jobs = plan(
        ["live-xs-x4"],
        outputs=[Size(width=1280, height=720)],
        threads=(2,),
        frames=10,
        with_peers=True,
    )
    (paper,) = [job for job in jobs if job.kind == "edvr-m"]
    assert (paper.lr, paper.hr) == ("320x180", "1280x720")
    streams = [job for job in jobs if job.kind == "edvr-m-stream"]
    assert {(job.backend, job.lr, job.threads) for job in streams} == {
        ("openvino", "320x180", 2),
        ("onnxruntime", "320x180", 2),
    }


def test_the_papers_network_is_compared_with_itself_in_eager_torch() -> None:
    eager = (_job("edvr-m", name="EDVR-M"), replace(TIMING, p50_ms=300.0))
    stream = (_job("edvr-m-stream", name="EDVR-M"), replace(TIMING, p50_ms=60.0))
    rows = as_rows([(_job(), TIMING), eager, stream])
    assert [row["times_eager"] for row in rows] == [None, 1.0, 5.0]


def test_one_frame_of_a_model_is_timed_and_its_cost_counted(artefact: Artefact) -> None:
    job = _job("model", name=str(artefact.folder), backend="onnxruntime")
    timing = measure(job)
    assert timing.backend.startswith("onnxruntime")
    assert timing.p95_ms is not None
    assert timing.p99_ms is not None
    assert 0 < timing.p50_ms <= timing.p95_ms <= timing.p99_ms
    assert timing.peak_mb > timing.opened_mb >= 0
    uncached = open_candidate(replace(job, kind="uncached"))
    assert timing.macs is not None
    assert uncached.macs is not None
    assert uncached.macs >= timing.macs


def test_the_uncached_window_gives_the_same_picture(artefact: Artefact) -> None:
    frames = moving_frames(Size(width=64, height=48), 4)
    job = _job("model", name=str(artefact.folder), backend="onnxruntime")
    cached, uncached = open_candidate(job), open_candidate(replace(job, kind="uncached"))
    for frame in frames:
        one, other = cached.step(frame), uncached.step(frame)
        assert [plane.tolist() for plane in one] == [plane.tolist() for plane in other]  # type: ignore[attr-defined] # planes


@pytest.mark.parametrize(
    ("kind", "macs"),
    [
        ("espcn", 64 * 48 * (64 * 25 + 32 * 64 * 9 + 4 * 32 * 9)),
        ("fsrcnn", 64 * 48 * (56 * 25 + 12 * 56 + 4 * 12 * 12 * 9 + 56 * 12 + 56 * 81)),
    ],
)
def test_networks_of_others_have_the_shape_of_their_papers(kind: str, macs: int) -> None:
    (frame,) = moving_frames(Size(width=64, height=48), 1)
    candidate = open_candidate(_job(kind, backend="f32"))
    assert candidate.macs == macs
    (output,) = candidate.step(frame).values()  # type: ignore[attr-defined] # OpenVINO's results
    assert output.shape == (1, 1, 96, 128)


def test_convolutions_at_their_best_are_faster_than_none() -> None:
    timing = measure(_job("peak", backend="f32", lr="16x16", hr="16x16"))
    assert timing.gmacs_per_s is not None
    assert timing.gmacs_per_s > 0


def test_ffmpeg_is_timed_without_its_start() -> None:
    timing = measure(_job("ffmpeg", lr="320x180", hr="640x360", frames=40))
    assert timing.backend == "ffmpeg"
    assert 0 < timing.p50_ms < 50
    assert timing.p95_ms is None


def test_the_papers_network_runs_eagerly() -> None:
    config = EdvrConfig(num_feat=8, num_extract_block=1, num_reconstruct_block=1, num_frame=3)
    took_ms, macs = time_eager(Size(width=16, height=16), frames=2, threads=1, config=config)
    assert len(took_ms) == 2
    assert macs > 0


def test_a_job_runs_in_a_process_of_its_own(artefact: Artefact, tmp_path: Path) -> None:
    timing = run_job(_job("model", name=str(artefact.folder), backend="onnxruntime"))
    assert timing is not None
    assert json.loads(timing.to_json())["p50_ms"] == timing.p50_ms
    with pytest.raises(ConfigError, match="missing"):
        run_job(_job("model", name=str(tmp_path / "missing"), backend="onnxruntime"))


def test_rows_have_ratios_to_lanczos_and_to_the_machines_limit() -> None:
    lanczos = replace(TIMING, backend="swscale", p50_ms=2.0, macs=None)
    peak = replace(TIMING, p50_ms=5.0)
    slower = replace(TIMING, p50_ms=8.0)
    measured = [
        (_job("peak", lr="160x90", hr="160x90", backend="bf16"), slower),
        (_job("peak", lr="320x180", hr="320x180", backend="bf16"), peak),
        (_job(), lanczos),
        (_job("model", name="live-xs-x2", backend="openvino"), TIMING),
        (_job("uncached", name="live-xs-x2", backend="openvino"), TIMING),
        (_job("model", name="live-xs-x2", backend="openvino", threads=2), TIMING),
    ]
    first, model, uncached, other_threads = as_rows(measured)
    assert (first["times_lanczos"], first["gmac"]) == (1.0, None)
    assert model["times_lanczos"] == 5.0
    assert (model["gmac"], model["gmac_per_s"], model["share_of_peak"]) == (1.0, 100.0, 0.5)
    assert uncached["name"] == "live-xs-x2, whole window each frame"
    assert other_threads["share_of_peak"] is None  # its limit was not measured


def test_people_are_shown_every_measure_of_a_row_in_a_table_for_each_size() -> None:
    lanczos = replace(TIMING, backend="swscale", p50_ms=2.0, p99_ms=None, macs=None)
    rows = as_rows([(_job(), lanczos), (_job("model", name="m", hr="64x36"), TIMING)])
    tables = as_tables(rows)
    assert list(tables) == [f"{row['lr_size']} to {row['size']}" for row in rows]
    ((shown,),) = [lines for title, lines in tables.items() if title.endswith("to 64x36")]
    cells = dict(zip(COLUMNS.values(), shown, strict=True))
    assert (cells["name"], cells["p50_ms"], cells["times_eager"]) == ("m", "10.0", "")
    missing = {"lr_size", "size", "opened_mb", "gmac", "gmac_per_s"}  # in the title, or in the file
    assert set(COLUMNS.values()) == set(rows[0]) - missing


def test_a_stream_is_compared_with_the_plain_window_in_onnx_runtime() -> None:
    plain = (_job("uncached", name="m", backend="onnxruntime"), replace(TIMING, p50_ms=50.0))
    stream = (_job("model", name="m", backend="openvino"), replace(TIMING, p50_ms=20.0))
    other = (_job("model", name="n", backend="openvino"), TIMING)
    rows = as_rows([stream, plain, other])
    assert [row["times_plain"] for row in rows] == [2.5, 1.0, None]


def test_the_receivers_own_choice_stands_beside_the_best_that_was_measured(
    artefact: Artefact,
) -> None:
    model = str(artefact.folder)

    def timed(backend: str, p50_ms: float) -> tuple[Job, Timing]:
        return _job("model", name=model, backend=backend, threads=2), replace(TIMING, p50_ms=p50_ms)

    measured = [timed("openvino", 10.0), timed("onnxruntime", 8.0)]
    (row,) = compare_choices(measured, models=[model], outputs=[Size(width=128, height=96)])
    assert (row["model"], row["lr_size"], row["best_backend"]) == ("tiny-x2", LR, "onnxruntime")
    assert row["times_best"] == {"openvino": 1.25, "onnxruntime": 1.0}[row["backend"]]
    (line,) = choice_lines([row])
    assert f"the receiver takes tiny-x2 on {row['backend']}" in line


def test_without_what_exports_it_the_papers_network_is_unavailable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.executable", "false")
    with pytest.raises(BackendUnavailable, match="edvr-m cannot be exported"):
        paper_model("edvr-m", tmp_path)
