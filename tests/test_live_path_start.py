"""How soon the first picture comes out, and what keeps a receiver from starting at all."""

import asyncio
import subprocess
import time
from pathlib import Path

import pytest

from decoder.artefact import list_artefacts
from decoder.model_choice import LANCZOS
from encoder import sender
from encoder.config import SenderConfig
from stream.frame import Size
from tests.live_processes import Receiver
from tests.marked_pictures import write_marked
from tests.tiny_artefact import write_tiny_artefact

FIRST_FRAME_S = 2.0


async def _seconds_to_first_frame(folder: Path, *arguments: str, lr_size: Size) -> float:
    """From the moment at which a sender is told to publish to the first byte of picture.

    A file is sent: the generated scene takes a second to be painted on a slow machine.
    """
    clip = write_marked(folder / "clip.mkv", sizes=[lr_size] * 100)
    with Receiver(folder, "--output", "y4m:-", *arguments, stdout=subprocess.PIPE) as receiver:
        url = await asyncio.to_thread(lambda: receiver.url)
        assert receiver.process.stdout is not None
        started_s = time.monotonic()
        sending = asyncio.create_task(
            sender.run(SenderConfig(input=str(clip), whip=url, size=lr_size, audio=False))
        )
        header = await asyncio.to_thread(receiver.process.stdout.readline)
        marker = await asyncio.to_thread(receiver.process.stdout.readline)
        took_s = time.monotonic() - started_s
        sending.cancel()
        assert (header[:9], marker) == (b"YUV4MPEG2", b"FRAME\n")
        receiver.process.kill()
        await sending
    print(f"first frame after {took_s:.2f} s")
    return took_s


@pytest.mark.parametrize("with_network", [False, True])
async def test_the_first_picture_comes_out_within_two_seconds_of_publishing(
    tmp_path: Path, with_network: bool
) -> None:
    model = LANCZOS
    if with_network:
        model = str(write_tiny_artefact(tmp_path / "tiny-x2").folder)
    took_s = await _seconds_to_first_frame(
        tmp_path, "--model", model, "--size", "640x360", lr_size=Size(width=320, height=180)
    )
    assert took_s < FIRST_FRAME_S


@pytest.mark.parametrize("width", [320, 640])
async def test_an_installed_model_does_not_delay_the_first_picture(
    tmp_path: Path, width: int
) -> None:
    assert list_artefacts(), "the package ships models"
    lr_size = Size(width=width, height=width * 9 // 16)
    took_s = await _seconds_to_first_frame(tmp_path, lr_size=lr_size)
    assert took_s < FIRST_FRAME_S


@pytest.mark.parametrize("is_known", [False, True])
def test_a_receiver_whose_model_cannot_be_used_says_so_and_never_listens(
    tmp_path: Path, is_known: bool
) -> None:
    model = "nobody-x2"
    if is_known:
        model = str(write_tiny_artefact(tmp_path / "broken-x2", is_broken=True).folder)
    with Receiver(tmp_path, "--output", "null:", "--model", model) as receiver:
        assert receiver.end(None) == 2
        assert "listening" not in receiver.log
        assert receiver.log.splitlines()[-1].startswith("edvr-receive: ")
        assert Path(model).name in receiver.log.splitlines()[-1]
        assert "Traceback" not in receiver.log
        print(receiver.log)
