"""One programme sent in the order of time, with weights that are learned on the way or without."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from benchmarks.online_stream import CodedStream, PathOfWeights
from decoder.artefact import Artefact
from decoder.training.live_restoring import LiveRestoring, window_sample
from decoder.training.metrics import psnr_db
from decoder.training.online_training import OnlineSettings, OnlineTraining
from decoder.training.raw_clip import RawClip
from decoder.training.samples import Sample
from decoder.weight_intake import WeightIntake
from encoder.weight_publisher import WeightPublisher
from stream.frame import Frame, Plane, Size


@dataclass(frozen=True, slots=True, kw_only=True)
class OnlineRun:
    """How a programme goes. total_bps: of pictures and weights together.

    budget_bps: of weights while they travel. steps_per_s: of training, in the time of the stream.
    measure_every: one frame in so many is restored and measured.
    """

    codec: str
    total_bps: int
    budget_bps: int = 10_000
    steps_per_s: int = 8
    measure_every: int = 5


@dataclass(slots=True, kw_only=True)
class Track:
    """What came of a programme. psnr_db: by number of the frame that was measured."""

    psnr_db: dict[int, float] = field(default_factory=dict)
    video_bytes: int = 0
    weight_bytes: int = 0
    cpu_s: float = 0.0
    deltas: list[dict[str, float]] = field(default_factory=list)


def send(artefact: Artefact, clip: RawClip, run: OnlineRun, *, learns: bool) -> Track:
    """Send all of `clip`, and measure what is restored. Raises CodecError."""
    manifest, track = artefact.manifest, Track()
    size = Size(width=clip.size.width // manifest.scale, height=clip.size.height // manifest.scale)
    path, publisher = PathOfWeights(), WeightPublisher(budget_bps=run.budget_bps)
    publisher.begin_session(path, now_ms=0)
    stream = CodedStream(
        run.codec,
        size=size,
        total_bps=run.total_bps,
        frame_rate=float(clip.frame_rate),
        publisher=publisher,
    )
    receiver = _Receiver(artefact)
    sender = _Learner(artefact, run, publisher) if learns else None
    past, lookahead = manifest.window - 1 - manifest.lookahead, manifest.lookahead
    per_second = max(1, round(clip.frame_rate))
    near: list[Frame] = []  # the window, oldest first
    try:
        for at in range(len(clip)):
            near = [*near[-(past + lookahead) :], stream.push(clip.frame(at))]
            receiver.take(path)
            reference = at - lookahead
            if reference < past:
                continue
            if reference % run.measure_every == 0:
                original = clip.luma(reference)
                track.psnr_db[reference] = psnr_db(receiver.restored(near), original)
            if sender is not None and reference % per_second == 0:
                sender.second(
                    window_sample(near, clip.frame(reference)), at / float(clip.frame_rate)
                )
    finally:
        stream.close()
    track.video_bytes, track.weight_bytes = stream.video_bytes, publisher.bytes_sent
    if sender is not None:
        track.cpu_s, track.deltas = sender.cpu_s, sender.deltas
    return track


class _Receiver:
    """Restores with the weights that have arrived."""

    def __init__(self, artefact: Artefact) -> None:
        self._restoring = LiveRestoring(artefact)
        self._intake = WeightIntake(lambda: {artefact.sha256: artefact})

    def take(self, path: PathOfWeights) -> None:
        """Use what has arrived. Raises DeltaRefused, as nothing is lost here."""
        while path.arrived:
            self._restoring.change(self._intake.take(path.arrived.pop(0)).changes)

    def restored(self, near: Sequence[Frame]) -> Plane:
        """Luma (H, W) of the window's reference."""
        return self._restoring.luma(near)


class _Learner:
    """The sender's side, once a second of the stream."""

    def __init__(self, artefact: Artefact, run: OnlineRun, publisher: WeightPublisher) -> None:
        settings = OnlineSettings(video_bps=run.total_bps)
        self._training, self._run = OnlineTraining(artefact, settings), run
        self._publisher = publisher
        self.cpu_s = 0.0
        self.deltas: list[dict[str, float]] = []

    def second(self, window: Sample, now_s: float) -> None:
        """Learn from one more window; send what is worth it once the last weights are there."""
        started_s = time.process_time()
        training = self._training
        training.add(window)
        training.train(self._run.steps_per_s)
        if training.is_round_over and not self._publisher.sending_bps:
            proposal = training.propose()
            if proposal is not None and self._publisher.put(proposal.coded):
                training.publish(proposal)
                self.deltas.append(
                    {
                        "at_s": round(now_s, 2),
                        "bytes": len(proposal.coded),
                        "promised_db": round(proposal.gain_db, 4),
                    }
                )
        self.cpu_s += time.process_time() - started_s
