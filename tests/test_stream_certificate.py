"""TLS from certificate files: what works, and what a user is told when it does not."""

from __future__ import annotations

import shutil
import ssl
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest

from stream.certificate import tls_context
from stream.errors import ConfigError
from stream.http_server import SignallingServer
from tests.certificates import write_certificate
from tests.http_sessions import CONFIG, Acceptor, assert_serves


async def test_sessions_are_opened_and_closed_over_tls(tmp_path: Path) -> None:
    certificate, key = write_certificate(tmp_path)
    config = replace(CONFIG, tls_cert=certificate, tls_key=key)
    trusting = ssl.create_default_context(cafile=certificate)
    async with SignallingServer(config, Acceptor()) as server:
        assert server.url.startswith("https://127.0.0.1:")
        connector = aiohttp.TCPConnector(ssl=trusting)
        async with aiohttp.ClientSession(connector=connector) as http:
            await assert_serves(server, http)
        async with aiohttp.ClientSession() as http:
            with pytest.raises(aiohttp.ClientError):
                await http.get(server.url.replace("https", "http"))


def _no_certificate(folder: Path) -> None:
    (folder / "cert.pem").unlink()


def _no_key(folder: Path) -> None:
    (folder / "key.pem").unlink()


def _garbage(folder: Path) -> None:
    (folder / "cert.pem").write_bytes(b"\x00garbage")


def _key_of_another(folder: Path) -> None:
    other = folder / "other"
    other.mkdir()
    shutil.copy(write_certificate(other)[1], folder / "key.pem")


def _with_passphrase(folder: Path) -> None:
    write_certificate(folder, passphrase=b"secret")


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (_no_certificate, "--tls-cert .*No such file"),
        (_no_key, "--tls-key .*No such file"),
        (_garbage, "not a PEM certificate"),
        (_key_of_another, "its key"),
        (_with_passphrase, "without a passphrase"),
    ],
)
def test_files_that_cannot_be_used_are_one_line(
    tmp_path: Path, spoil: Callable[[Path], None], says: str
) -> None:
    certificate, key = write_certificate(tmp_path)
    spoil(tmp_path)
    with pytest.raises(ConfigError, match=says) as caught:
        tls_context(certificate, key)
    assert "\n" not in str(caught.value)
