"""Whatever the user or a peer gives us wrong: one line that says so, exit 2, nothing else hurt."""

import logging
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import pytest
from cyclopts import App

import decoder.cli
import decoder.restore_cli
import encoder.cli
from stream.command_line import run_command
from tests.live_processes import Receiver, Sender
from tests.tiny_artefact import write_tiny_artefact

WHIP = ("--whip", "http://127.0.0.1:9/whip")
RECEIVE = ("--listen", "127.0.0.1:0", "--output", "null:")
SEND, TAKE, RESTORE = encoder.cli.app, decoder.cli.app, decoder.restore_cli.app


@dataclass(frozen=True, slots=True, kw_only=True)
class _Material:
    """Things that cannot be used."""

    folder: Path
    busy_port: int


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Iterator[_Material]:
    folder = tmp_path_factory.mktemp("bad")
    (folder / "corrupt.mp4").write_bytes(b"\x00\x01\x02junk" * 1000)
    _write_unknown_codec(folder / "unknown.mkv")
    tampered = write_tiny_artefact(folder / "tampered-x2").folder / "fuse.deform_conv.onnx"
    tampered.write_bytes(tampered.read_bytes()[:-1] + b"?")
    with socket.create_server(("127.0.0.1", 0)) as busy:
        yield _Material(folder=folder, busy_port=busy.getsockname()[1])


def _write_unknown_codec(path: Path) -> None:
    """A Matroska file whose only track says that it has a codec nobody knows."""
    with av.open(str(path), "w", format="matroska") as container:
        track = container.add_stream("rawvideo", rate=25)
        track.width, track.height, track.pix_fmt = 32, 32, "yuv420p"
        for index in range(3):
            picture = av.VideoFrame(32, 32, "yuv420p")
            picture.pts = index
            container.mux(track.encode(picture))
    data = path.read_bytes()
    assert b"V_UNCOMPRESSED" in data
    path.write_bytes(data.replace(b"V_UNCOMPRESSED", b"V_WHO/KNOWS/IT"))


@pytest.mark.parametrize(
    ("app", "arguments", "said"),
    [
        (SEND, ("{}/missing.mp4", *WHIP), "there is no file"),
        (SEND, ("{}/corrupt.mp4", *WHIP), "damaged"),
        (SEND, ("{}/unknown.mkv", *WHIP), "unknown.mkv"),
        (SEND, ("test:", *WHIP, "--bitrate", "10k"), "10k is out of range: choose 30k to 5M"),
        (SEND, ("test:", *WHIP, "--bitrate", "6M"), "6M is out of range"),
        (SEND, ("test:", *WHIP, "--bitrate", "fast"), "'fast' is not a bitrate"),
        (SEND, ("test:", *WHIP, "--codec", "mjpeg"), "mjpeg"),
        (SEND, ("test:", *WHIP, "--size", "0x0"), "'0x0'"),
        (SEND, ("test:", *WHIP, "--fps", "0"), "--fps must be above 0"),
        (SEND, ("test:", *WHIP, "--audio-bitrate", "5k"), "5k is out of range"),
        (SEND, ("test:", *WHIP, "--preset", "warp"), "warp"),
        (SEND, ("test:", *WHIP, "--token", "two words"), "token"),
        (SEND, ("test:", "--whip", "ftp://host/whip"), "not an http:// or https:// URL"),
        (SEND, ("test:",), "--whip is missing"),
        (TAKE, ("--listen", "127.0.0.1:{port}", "--output", "null:"), "Address already in use"),
        (TAKE, ("--listen", "here", "--output", "null:"), "'here' is not HOST:PORT"),
        (TAKE, (*RECEIVE, "out.avi"), "unknown output 'out.avi'"),
        (TAKE, (*RECEIVE, "{}/nowhere/out.mp4"), "nowhere is not a directory"),
        (TAKE, (*RECEIVE, "--model", "nobody-x2"), "unknown model 'nobody-x2'"),
        (TAKE, (*RECEIVE, "--model", "{}/tampered-x2"), "fuse.deform_conv.onnx is not the file"),
        (TAKE, (*RECEIVE, "--backend", "abacus"), "abacus"),
        (TAKE, (*RECEIVE, "--size", "641x360"), "even"),
        (TAKE, (*RECEIVE, "--stats", "{}/nowhere/s.jsonl"), "its directory does not exist"),
        (TAKE, (*RECEIVE, "--whep", "http://127.0.0.1:9/"), "--listen or --whep, not both"),
        (TAKE, ("--whep", "gopher://host", "--output", "null:"), "not an http:// or https:// URL"),
        (RESTORE, ("{}/missing.mp4", "{}/out.mp4"), "missing.mp4"),
        (RESTORE, ("{}/corrupt.mp4", "{}/out.mp4", "--model", "lanczos"), "corrupt.mp4"),
        (RESTORE, ("{}/corrupt.mp4", "{}/out.mp4", "--model", "nobody"), "unknown model 'nobody'"),
        (RESTORE, ("{}/corrupt.mp4", "{}/out.mp4", "--model", "{}/tampered-x2"), "is not the file"),
    ],
)
def test_what_cannot_be_used_gets_one_line_and_exit_status_two(
    material: _Material,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    app: App,
    arguments: tuple[str, ...],
    said: str,
) -> None:
    # As in a process of its own, so that messages of the log would be seen too.
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    given = [each.format(material.folder, port=material.busy_port) for each in arguments]
    assert run_command(app, given) == 2
    captured = capfd.readouterr()
    (line,) = captured.err.splitlines()
    assert line.startswith(f"{app.name[0]}: ")
    assert said in line
    assert captured.out == ""
    assert not (material.folder / "out.mp4").exists()


def test_bad_requests_and_wrong_tokens_leave_a_receiver_as_it_was(tmp_path: Path) -> None:
    arguments = ("--output", "null:", "--model", "lanczos", "--size", "320x180")
    with Receiver(tmp_path, *arguments, "--token", "secret") as receiver:
        with Sender(tmp_path, "test:", receiver.url, "--token", "guess") as sender:
            assert sender.end(None) == 2
            (line,) = sender.log.splitlines()
            assert line.startswith("edvr-send: ")
            assert "token" in line
        assert _post(receiver.url, b"v=0\r\nm=nonsense\r\n", token="secret") in (400, 422)
        assert _post(receiver.url, b"\xff\x00" * 500, token="secret") in (400, 422)
        assert _post(receiver.url, b"", token="secret") in (400, 422)
        assert _post(receiver.url, b"v=0\r\n", token=None) == 401
        assert _post(receiver.url, b"v=0\r\n", token="guess") == 401
        good = ("--token", "secret", "--size", "160x90")
        with Sender(tmp_path, "test:1?size=320x180", receiver.url, *good) as sender:
            assert sender.end(None) == 0
        assert receiver.end() == 0
        assert receiver.stats()[-1]["frames_restored"] >= 20
        assert "Traceback" not in receiver.log


def test_a_second_stream_name_cannot_overwrite_the_first_ones_file(tmp_path: Path) -> None:
    output = tmp_path / "out.mp4"
    arguments = ("--output", str(output), "--model", "lanczos", "--size", "320x180")
    with Receiver(tmp_path, *arguments) as receiver:
        source = ("test:1?size=320x180", receiver.url)
        with Sender(tmp_path, *source, "--size", "160x90") as sender:
            assert sender.end(None) == 0
        with Sender(tmp_path, source[0], f"{receiver.url}/other", "--size", "160x90") as sender:
            sender.wait_for("no output is free beside stream live")
        assert receiver.end() == 0
        assert receiver.stats()[-1]["stream"] == "live"


def _post(url: str, body: bytes, *, token: str | None) -> int:
    """The status of a WHIP request."""
    headers = {"Content-Type": "application/sdp"}
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    request = urllib.request.Request(url, data=body, headers=headers, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            return int(response.status)
    except urllib.error.HTTPError as refusal:
        with refusal:
            return refusal.code
