import http.client
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import urlsplit

import pytest

from benchmarks.live.relay import MediaRelay
from benchmarks.live.whip_proxy import WhipProxy
from benchmarks.live.wire_record import Kind
from tests.live_processes import wait_until

VIDEO = bytes([0x80, 97, 0, 1, 0, 0, 0, 9]) + bytes(100)


def _sdp(port: int) -> str:
    return (
        f"v=0\r\nm=video {port} UDP/TLS/RTP/SAVPF 97\r\nc=IN IP4 127.0.0.1\r\n"
        f"a=candidate:abc 1 udp 2130706431 127.0.0.1 {port} typ host\r\na=rtpmap:97 H264/90000\r\n"
    )


def _port(sdp: str) -> int:
    ports = {
        int(port) for port in re.findall(r"127\.0\.0\.1 (\d+) typ|m=video (\d+)", sdp)[0] if port
    }
    (port,) = ports
    assert sdp.count(f" {port} ") == 2  # in the candidate and in the m= line
    return port


@contextmanager
def _ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver,
    ):
        for end in (sender, receiver):
            end.bind(("127.0.0.1", 0))
            end.settimeout(20)
        yield sender, receiver


class _Every3rdIsLost:
    """A path of 30 ms."""

    def __init__(self) -> None:
        self.count = 0

    def send(self, size_bytes: int, *, now_ms: float) -> float | None:
        self.count += 1
        return None if self.count % 3 == 0 else now_ms + 30

    def restart_trace(self, *, now_ms: float) -> None:
        return


def test_both_ends_talk_through_the_relay_and_everything_is_counted() -> None:
    relay = MediaRelay()
    with _ends() as (sender, receiver):
        for_receiver = _port(relay.take_offer(_sdp(sender.getsockname()[1])))
        for_sender = _port(relay.take_answer(_sdp(receiver.getsockname()[1])))
        sender.sendto(VIDEO, ("127.0.0.1", for_sender))
        data, source = receiver.recvfrom(2000)
        assert (data, source[1]) == (VIDEO, for_receiver)
        receiver.sendto(b"\x00\x01" + bytes(18), source)
        reply, source = sender.recvfrom(2000)
        assert (len(reply), source[1]) == (20, for_sender)
    relay.close()
    assert [(way, kind, size) for _, way, kind, size in relay.record.events] == [
        ("forward", Kind.VIDEO, 108),
        ("backward", Kind.STUN, 20),
    ]
    (seen,) = relay.record.pictures.values()
    assert (seen.timestamp, seen.packets, seen.bytes) == (9, 1, 108)
    assert seen.last_ms >= seen.first_ms


def test_a_path_delays_and_loses_what_goes_through_it() -> None:
    relay = MediaRelay(forward=_Every3rdIsLost())
    with _ends() as (sender, receiver):
        relay.take_offer(_sdp(sender.getsockname()[1]))
        to = _port(relay.take_answer(_sdp(receiver.getsockname()[1])))
        for _ in range(6):
            sender.sendto(VIDEO, ("127.0.0.1", to))
        for _ in range(4):
            receiver.recvfrom(2000)
        wait_until(lambda: relay.record.lost_packets == 2, "two lost packets")
    relay.close()
    (seen,) = relay.record.pictures.values()
    assert seen.packets == 6
    assert seen.last_ms - seen.first_ms >= 30


def test_strangers_are_not_let_through() -> None:
    relay = MediaRelay()
    with _ends() as (sender, receiver), _ends() as (stranger, _):
        relay.take_offer(_sdp(sender.getsockname()[1]))
        to = _port(relay.take_answer(_sdp(receiver.getsockname()[1])))
        stranger.sendto(b"\x80stranger", ("127.0.0.1", to))
        sender.sendto(VIDEO, ("127.0.0.1", to))
        assert receiver.recvfrom(2000)[0] == VIDEO
    relay.close()


@contextmanager
def _endpoint(status: int) -> Iterator[tuple[str, list[str]]]:
    """A WHIP endpoint that notes what it is asked."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            asked.append(f"POST {self.path} {self.headers['Authorization']} {_port(body)}")
            answer = _sdp(7).encode() if status == 201 else b"no\n"
            self.send_response(status)
            if status == 201:
                self.send_header("Location", "http://elsewhere.example/session/1")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def do_DELETE(self) -> None:
            asked.append(f"DELETE {self.path}")
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the base's name)
            return

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/whip", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _ask(url: str, method: str, path: str, body: str = "") -> tuple[int, str, str]:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=20)
    connection.request(method, path, body=body, headers={"Authorization": "Bearer secret"})
    response = connection.getresponse()
    text = response.read().decode()
    connection.close()
    return response.status, response.getheader("Location") or "", text


@pytest.mark.parametrize("status", [201, 503])
def test_the_proxy_changes_ports_and_nothing_else(status: int) -> None:
    relay = MediaRelay()
    with _endpoint(status) as (target, asked):
        proxy = WhipProxy(target, relay)
        replied, location, answer = _ask(proxy.url, "POST", "/whip", _sdp(5))
        assert replied == status
        assert asked[0].startswith("POST /whip Bearer secret ")
        assert not asked[0].endswith(" 5")
        if status == 201:
            assert location == "/session/1"
            assert _port(answer) != 7
            assert _ask(proxy.url, "DELETE", location)[0] == 200
            assert asked[1] == "DELETE /session/1"
        else:
            assert answer == "no\n"
        proxy.close()
    relay.close()
