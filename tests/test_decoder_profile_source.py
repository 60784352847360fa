"""Profiles from files and, by HTTPS with a pinned hash, from servers."""

from __future__ import annotations

import hashlib
import http.server
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from decoder.artefact import find_artefact
from decoder.profile_source import check_profile_source, load_profile, weights_for
from stream.certificate import tls_context
from stream.errors import ConfigError
from tests.certificates import write_certificate
from tests.profiles import profile_for
from tests.tiny_artefact import LIFT, write_tiny_artefact


class Answer(http.server.BaseHTTPRequestHandler):
    """/profile: the file; /plain and /file: redirects away from HTTPS; /huge: without end."""

    profile = b""

    def do_GET(self) -> None:
        targets = {"/plain": "http://127.0.0.1:9/p", "/file": "file:///etc/passwd"}
        if self.path in targets:
            self.send_response(302)
            self.send_header("Location", targets[self.path])
            self.end_headers()
        elif self.path == "/profile":
            self.send_response(200)
            self.end_headers()
            self.wfile.write(self.profile)
        elif self.path == "/huge":
            self.send_response(200)
            self.end_headers()
            try:
                for _ in range(200):
                    self.wfile.write(bytes(1 << 16))
            except OSError:
                return
        else:
            self.send_error(404)

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture(scope="module")
def profile(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    artefact = write_tiny_artefact(tmp_path_factory.mktemp("models") / "tiny-x2")
    return profile_for(artefact)


@pytest.fixture(scope="module")
def served(
    profile: bytes, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, ssl.SSLContext]]:
    """Address of a server with TLS, and whom to trust for it."""
    certificate, key = write_certificate(tmp_path_factory.mktemp("tls"))
    Answer.profile = profile
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    server.daemon_threads = True
    server.socket = tls_context(certificate, key).wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield (
        f"https://127.0.0.1:{server.server_port}",
        ssl.create_default_context(cafile=str(certificate)),
    )
    server.shutdown()
    server.server_close()
    thread.join(10)


def pin(data: bytes) -> str:
    return f"#sha256={hashlib.sha256(data).hexdigest()}"


def test_a_profile_is_fetched_and_checked_against_its_pin(
    served: tuple[str, ssl.SSLContext], profile: bytes
) -> None:
    address, trusted = served
    fetched = load_profile(f"{address}/profile{pin(profile)}", trusted=trusted)
    assert fetched.sha256 == hashlib.sha256(profile).hexdigest()
    assert fetched.info.base_model == "tiny-x2"


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/profile", "not what was pinned"),
        ("/missing", "404"),
        ("/plain", "unknown url type: http"),
        ("/file", "not allowed"),
        ("/huge", "larger than"),
    ],
)
def test_anything_else_that_a_server_answers_is_one_line(
    served: tuple[str, ssl.SSLContext], path: str, message: str
) -> None:
    address, trusted = served
    with pytest.raises(ConfigError, match=message) as caught:
        load_profile(f"{address}{path}{pin(b'something else')}", trusted=trusted)
    assert address in str(caught.value)


def test_a_server_that_nobody_vouches_for_is_not_asked(
    served: tuple[str, ssl.SSLContext], profile: bytes
) -> None:
    with pytest.raises(ConfigError, match="certificate"):
        load_profile(f"{served[0]}/profile{pin(profile)}")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("http://example.org/p#sha256=" + "0" * 64, "only https"),
        ("ftp://example.org/p#sha256=" + "0" * 64, "only https"),
        ("file:///p.profile", "only https"),
        ("https://example.org/p", "add its hash"),
        ("https://example.org/p#sha256=12", "add its hash"),
    ],
)
def test_urls_that_are_not_fetched_are_refused_before_anything_is_sent(
    source: str, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        check_profile_source(source)


def test_files_that_cannot_be_read_or_are_damaged_are_one_line(
    tmp_path: Path, profile: bytes
) -> None:
    with pytest.raises(ConfigError, match=r"cannot read profile .*: No such file"):
        load_profile(str(tmp_path / "none.profile"))
    with pytest.raises(ConfigError, match="Is a directory"):
        load_profile(str(tmp_path))
    path = tmp_path / "show.profile"
    path.write_bytes(profile[:-5])
    with pytest.raises(ConfigError, match=r"show\.profile: damaged"):
        load_profile(str(path))
    path.write_bytes(profile)
    assert load_profile(str(path)).info.name == "a test"


def test_weights_are_for_the_model_that_was_chosen_and_no_other(
    tmp_path: Path, profile: bytes
) -> None:
    path = tmp_path / "show.profile"
    path.write_bytes(profile)
    loaded = load_profile(str(path))
    base = write_tiny_artefact(tmp_path / "tiny-x2")
    weights = weights_for(loaded, str(base.folder))
    assert np.array_equal(weights.changes[LIFT], [np.float32(0.03125)])
    other = write_tiny_artefact(tmp_path / "tiny-x4", scale=4)
    with pytest.raises(ConfigError, match="is for tiny-x2 version 1, not for tiny-x4 version 1"):
        weights_for(loaded, str(other.folder))
    changed = write_tiny_artefact(tmp_path / "changed" / "tiny-x2", scale=4)
    with pytest.raises(ConfigError, match="with other weights"):
        weights_for(loaded, str(changed.folder))
    with pytest.raises(ConfigError, match="not installed"):
        weights_for(loaded, "auto")
    with pytest.raises(ConfigError, match="lanczos"):
        weights_for(loaded, "lanczos")


def test_auto_finds_the_installed_model_that_a_profile_is_for(tmp_path: Path) -> None:
    shipped = find_artefact("live-xs-x4")
    path = tmp_path / "show.profile"
    path.write_bytes(profile_for(shipped, scale=0.001, seed=1))
    assert weights_for(load_profile(str(path)), "auto").base_sha256 == shipped.sha256


def test_weights_beyond_all_measure_are_refused_at_the_start(tmp_path: Path) -> None:
    base = write_tiny_artefact(tmp_path / "tiny-x2")
    path = tmp_path / "show.profile"
    path.write_bytes(profile_for(base, scale=0.5))
    with pytest.raises(ConfigError, match=r"changes .* by 0\.5"):
        weights_for(load_profile(str(path)), str(base.folder))
