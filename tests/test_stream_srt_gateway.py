from __future__ import annotations

import os
import socket
import subprocess
from pathlib import Path

import pytest

from stream import srt_gateway
from stream.errors import ConfigError
from stream.srt_gateway import SrtGateway, find_gateway

NOBODY = "srt://127.0.0.1:9?passphrase=a-long-secret&connect_timeout=200"
COPY = ["-map", "0", "-c", "copy", "-f", "data"]


@pytest.fixture(autouse=True)
def fresh_search() -> None:
    find_gateway.cache_clear()


def _fake_ffmpeg(folder: Path, protocols: str) -> None:
    path = folder / "ffmpeg"
    path.write_text(f"#!/bin/sh\necho '{protocols}'\n")
    path.chmod(0o755)


def test_the_ffmpeg_of_the_system_is_taken_when_it_speaks_srt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _fake_ffmpeg(tmp_path, "Input: file srt tcp")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert find_gateway() == str(tmp_path / "ffmpeg")


def test_an_ffmpeg_without_srt_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _fake_ffmpeg(tmp_path, "Input: file srtp tcp")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert find_gateway() != str(tmp_path / "ffmpeg")


def test_without_any_the_user_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(srt_gateway, "_speaks_srt", lambda path: False)
    with pytest.raises(ConfigError, match="pip install imageio-ffmpeg"):
        SrtGateway([], pipe="stdin")


def test_bytes_pass_between_two_gateways_unchanged() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    sent = os.urandom(7 * 188 * 40)
    address = f"srt://127.0.0.1:{port}"
    into = SrtGateway(
        ["-f", "data", "-i", f"{address}?mode=listener", *COPY, "-flush_packets", "1", "pipe:1"],
        pipe="stdout",
    )
    out = SrtGateway(
        ["-f", "data", "-raw_packet_size", "1316", "-i", "pipe:0", *COPY, address], pipe="stdin"
    )
    os.write(out.pipe, sent[: len(sent) // 2])
    os.write(out.pipe, sent[len(sent) // 2 :])
    received = b""
    while len(received) < len(sent) // 2:
        received += os.read(into.pipe, 65536)
    out.end(grace_s=0)
    into.end(grace_s=0)
    assert sent.startswith(received)


def test_a_failure_has_a_cause_without_the_secret_of_the_url() -> None:
    gateway = SrtGateway(["-f", "data", "-i", NOBODY, *COPY, "pipe:1"], pipe="stdout")
    assert os.read(gateway.pipe, 1) == b""
    cause = gateway.cause_of_failure(wait_s=5)
    assert cause
    assert "secret" not in cause
    assert not gateway.is_running
    gateway.end(grace_s=0)


def test_a_gateway_that_waits_for_ever_is_ended_by_force() -> None:
    gateway = SrtGateway(["-f", "data", "-i", "pipe:0", *COPY, "pipe:1"], pipe="stdout")
    stubborn = SrtGateway(["-f", "data", "-i", "srt://127.0.0.1:0?mode=listener"], pipe="stdout")
    for each in (gateway, stubborn):
        each.end(grace_s=0)
        assert not each.is_running


def test_a_program_that_does_not_start_is_an_oserror(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_processes(*args: object, **kwargs: object) -> None:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    assert find_gateway()
    monkeypatch.setattr(subprocess, "Popen", no_processes)
    with pytest.raises(OSError, match="temporarily unavailable"):
        SrtGateway([], pipe="stdin")
