"""Sound through the whole path: from `edvr-send` into a restored file, in step with the picture."""

from pathlib import Path

import numpy as np

from stream.audio import SAMPLE_RATE_HZ
from stream.frame import Size
from tests.live_processes import Receiver, Sender
from tests.marked_pictures import write_marked
from tests.sink_media import read_with_pyav
from tests.tiny_artefact import write_tiny_artefact

EVENTS_S = (0.8, 2.0, 3.2)
LIPS_S = 0.040
BRIGHT = 165  # the network mixes a flash with its neighbours


def test_beeps_stay_within_40_ms_of_their_flashes_from_sender_to_file(tmp_path: Path) -> None:
    size = Size(width=160, height=96)
    source = write_marked(
        tmp_path / "source.mkv", sizes=[size] * 100, beeps_at=EVENTS_S, flashes_at=EVENTS_S
    )
    output = tmp_path / "out.mp4"
    # A network with one frame of lookahead: sound has to wait for restored pictures.
    model = str(write_tiny_artefact(tmp_path / "tiny-x2").folder)
    arguments = ("--model", model, "--size", "320x192", "--output", str(output))
    with Receiver(tmp_path, *arguments) as receiver:
        with Sender(tmp_path, str(source), receiver.url, "--bitrate", "300k") as sender:
            assert sender.end(None) == 0
        assert receiver.end() == 0
        assert receiver.stats()[-1]["model"] == "tiny-x2"
    recording = read_with_pyav(output)
    lumas = np.array(recording.lumas)
    times = np.array([float(time) for time in recording.frame_times])
    flashes_s = times[lumas > BRIGHT]
    assert len(flashes_s) >= len(EVENTS_S) - 1  # on a busy machine the sender may drop one
    loud = np.abs(recording.samples) > 0.1
    assert recording.audio_start is not None
    sound_s = float(recording.audio_start) + np.arange(len(loud)) / SAMPLE_RATE_HZ
    for flash_s in flashes_s:
        near = loud & (np.abs(sound_s - flash_s) < 0.3)
        beep_s = sound_s[int(np.argmax(near))]
        print(f"beep {1000 * (beep_s - flash_s):+.0f} ms from its flash")
        assert near.any()
        assert abs(beep_s - flash_s) <= LIPS_S
