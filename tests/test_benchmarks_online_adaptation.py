"""Learning on the way, on a stream's own time: bits, gains and when they pay."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from rich.console import Console

from benchmarks import online_adaptation, online_run
from benchmarks.adaptation_cases import Case, Part
from benchmarks.bandwidth import online
from benchmarks.bandwidth.config import BandwidthConfig
from benchmarks.online_adaptation import gains, main, measure, programme
from benchmarks.online_plot import plot
from benchmarks.online_run import OnlineRun
from benchmarks.online_stream import CodedStream, PathOfWeights
from decoder.artefact import find_artefact
from decoder.training.delta_training import DeltaSettings
from decoder.training.online_training import OnlineSettings
from decoder.training.raw_clip import RawClip
from encoder.weight_publisher import WeightPublisher
from stream.frame import Size
from tests.profiles import delta_for
from tests.training_media import moving_frame, write_footage

pytestmark = pytest.mark.usefixtures("one_torch_thread")

RATE = Fraction(25)


def test_gains_are_told_over_time_and_so_is_when_they_pay() -> None:
    frames = range(0, 25 * 150, 5)
    plain = dict.fromkeys(frames, 30.0)
    # 20 s of loss, then a gain: what was lost is made up for after as long again
    learned = {at: 30.0 + (-0.1 if at < 500 else 0.1) for at in frames}
    told = gains(plain, learned, frame_rate=RATE)
    assert told["gain_db"] == pytest.approx((130 * 0.1 - 20 * 0.1) / 150, abs=1e-3)
    assert told["gain_from_2_min_db"] == pytest.approx(0.1, abs=1e-4)
    assert told["worst_stretch_db"] == pytest.approx(-0.1, abs=1e-4)
    assert told["pays_after_s"] == pytest.approx(40, abs=0.5)
    assert [stretch["from_s"] for stretch in told["stretches"]] == [10.0 * n for n in range(15)]
    always = gains(plain, dict.fromkeys(frames, 30.1), frame_rate=RATE)
    never = gains(plain, dict.fromkeys(frames, 29.9), frame_rate=RATE)
    assert (always["pays_after_s"], never["pays_after_s"]) == (0.0, None)
    short = gains({0: 30.0, 5: 30.0}, {0: 30.0, 5: 30.0}, frame_rate=RATE)
    assert (short["gain_from_2_min_db"], short["pays_after_s"]) == (None, 0.0)


@pytest.mark.parametrize("codec", ["h264", "av1"])
def test_weights_take_their_bits_from_the_pictures(codec: str) -> None:
    def bytes_of(weights: bytes) -> tuple[int, int]:
        path, publisher = PathOfWeights(), WeightPublisher(budget_bps=20_000)
        publisher.begin_session(path, now_ms=0)
        if weights:
            publisher.put(weights)
        stream = CodedStream(
            codec,
            size=Size(width=160, height=96),
            total_bps=40_000,
            frame_rate=25.0,
            publisher=publisher,
        )
        shown = [stream.push(moving_frame(at, width=320, height=192)) for at in range(60)]
        stream.close()
        assert [frame.pts for frame in shown] == list(range(60))
        assert {frame.size for frame in shown} == {Size(width=160, height=96)}
        assert all(frame.quantiser is not None for frame in shown)
        assert path.arrived == ([weights] if weights else [])
        return stream.video_bytes, publisher.bytes_sent

    alone, nothing = bytes_of(b"")
    beside, sent = bytes_of(np.random.default_rng(1).bytes(4000))
    assert nothing == 0
    assert sent > 4000
    assert beside < 0.95 * alone


@pytest.fixture
def footage(tmp_path: Path) -> Path:
    write_footage(tmp_path / "match.y4m", count=64, width=256, height=192, rate=8)
    return tmp_path


def test_a_programme_is_all_of_a_case_in_the_order_of_time(footage: Path) -> None:
    parts = [Part(clip="match.y4m", from_s=from_s, to_s=from_s + 1) for from_s in (2.0, 5.0)]
    case = Case(name="match", about="", adapt=(parts[0],), test=(parts[1],))
    clip = programme(case, footage, footage / "out", find_artefact("live-xs-x4"))
    assert (len(clip), clip.frame_rate) == (16, Fraction(8))
    for at, number in ((0, 16), (7, 23), (8, 40), (15, 47)):
        assert (clip.luma(at) == moving_frame(number, width=256, height=192).y).all()


def test_a_clip_is_learned_on_the_way_and_only_what_arrived_is_used(
    footage: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = OnlineSettings(
        video_bps=60_000,
        horizon_s=1e6,  # so that anything is worth its bits
        round_steps=6,
        training=DeltaSettings(batch=2, crop=64),
    )
    monkeypatch.setattr(online_run, "OnlineSettings", lambda video_bps: settings)
    frames = (moving_frame(at, width=192, height=192) for at in range(28))
    clip = RawClip.write(footage / "raw.y4m", frames, Fraction(4))
    run = OnlineRun(
        codec="h264", total_bps=600_000, budget_bps=400_000, steps_per_s=3, measure_every=4
    )
    row = measure(find_artefact("live-xs-x4"), clip, run, name="match")
    assert row["seconds"] == 6.0
    assert row["cpu_s"] > 0
    assert 0 <= row["weights_share"] < 0.5
    assert row["stretches"][0]["gain_db"] == row["worst_stretch_db"]
    assert max(row["sent_bps"]) < 1.1 * run.total_bps  # weights included
    assert all(delta["at_s"] >= 2 for delta in row["deltas"])  # a round of 6 steps comes first
    never = replace(run, steps_per_s=0)
    row = measure(find_artefact("live-xs-x4"), clip, never, name="match")
    assert (row["gain_db"], row["deltas"], row["weights_share"]) == (0.0, [], 0.0)


def test_weights_are_used_when_all_of_them_have_arrived() -> None:
    artefact = find_artefact("live-xs-x4")
    path, receiver = PathOfWeights(), online_run._Receiver(artefact)
    near = [replace(moving_frame(at, width=64, height=48), quantiser=30.0) for at in range(3)]
    before = receiver.restored(near)
    *pieces, last = path.pieces(delta_for(artefact, scale=0.002, seed=1))
    for piece in pieces:
        path.send(piece)
    receiver.take(path)
    assert np.array_equal(receiver.restored(near), before)
    path.send(last)
    receiver.take(path)
    assert not np.array_equal(receiver.restored(near), before)


ROW = {
    "case": "blocks",
    "model": "live-xs-x4",
    "codec": "h264",
    "total_bps": 150_000,
    "sent_bps": [149_000, 150_000],
    "seconds": 19.2,
    "gain_db": 0.4,
    "gain_from_2_min_db": None,
    "worst_stretch_db": -0.02,
    "pays_after_s": 3.0,
    "weights_share": 0.04,
    "cpu_s": 12.0,
    "stretches": [{"from_s": 0.0, "gain_db": -0.02}, {"from_s": 10.0, "gain_db": 0.8}],
    "deltas": [{"at_s": 5.0, "bytes": 3000, "promised_db": 0.3}],
}


def test_the_picture_shows_every_row_and_stays_in_its_frame() -> None:
    rows = [ROW | {"case": f"case <{number}>", "codec": "av1"} for number in range(9)]
    for chosen in (rows, rows[:1]):
        root = ElementTree.fromstring(plot(chosen))
        width, height = (float(each) for each in root.attrib["viewBox"].split()[2:])
        words = " ".join(each.text or "" for each in root.iter() if each.tag.endswith("text"))
        assert all(str(row["case"]) in words for row in chosen)
        for each in root.iter():
            for pair in each.attrib.get("points", "").split():
                x, y = map(float, pair.split(","))
                assert 0 <= x <= width
                assert 0 <= y <= height


def test_both_commands_keep_and_show_what_they_found(
    footage: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(online_adaptation, "measure", lambda *_, name, **__: ROW | {"case": name})
    monkeypatch.setattr(online, "measure", lambda *_, name, **__: ROW | {"case": name})
    part = Part(clip="match.y4m", from_s=0, to_s=1)
    case = Case(name="match", about="", adapt=(part,), test=(part,))
    monkeypatch.setattr(online_adaptation, "read_cases", lambda: [case])
    out, chart = footage / "online.json", footage / "online.svg"
    command = ["--data", str(footage), "--json", str(out), "--svg", str(chart)]
    assert main([*command, "--codecs", "av1"]) == 0
    assert "match        live-xs-x4" in capsys.readouterr().out
    assert json.loads(out.read_text())["figures"]["rows"][0]["case"] == "match"
    assert "<svg" in chart.read_text()
    assert main([*command, "--models", "none-of-ours"]) == 2
    assert "online adaptation: " in capsys.readouterr().err

    write_footage(footage / "wide.y4m", count=9, width=384, height=240, rate=8)
    config = BandwidthConfig(
        clips=(footage / "wide.y4m",), adapt="online", output_size=240, out=footage / "bandwidth"
    )
    picture = online.run_online(config, Console())
    assert picture == footage / "bandwidth" / "online.svg"
    rows = json.loads((footage / "bandwidth" / "online.json").read_text())["figures"]["rows"]
    assert [row["case"] for row in rows] == ["wide", "wide"]  # in both codecs
    assert not (footage / "bandwidth" / "online-clips").exists()
