"""A WHIP endpoint that hands everything on to another one, with the media sent through a relay."""

from __future__ import annotations

import http.client
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

from benchmarks.live.relay import HOST, MediaRelay

TIMEOUT_S = 20.0
_PASSED_ON = ("Content-Type", "Authorization", "If-Match", "ETag", "Retry-After")


class WhipProxy:
    """Listens on a free port of loopback; `url` stands for `target`, a WHIP endpoint (http)."""

    def __init__(self, target: str, relay: MediaRelay) -> None:
        handler = type("Handler", (_Handler,), {"target": urlsplit(target), "relay": relay})
        self._server = ThreadingHTTPServer((HOST, 0), handler)
        self._server.daemon_threads = True
        self.url = f"http://{HOST}:{self._server.server_address[1]}{urlsplit(target).path}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(timeout=5)


class _Handler(BaseHTTPRequestHandler):
    target = urlsplit("")
    relay: MediaRelay

    def do_POST(self) -> None:
        """Publish: offer and answer are changed on their way."""
        offer = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        status, headers, body = self._ask("POST", self.relay.take_offer(offer).encode())
        if status == 201:
            body = self.relay.take_answer(body.decode()).encode()
        self._reply(status, headers, body)

    def do_DELETE(self) -> None:
        """End the session."""
        self._reply(*self._ask("DELETE", b""))

    def do_PATCH(self) -> None:
        """Trickle ICE, which loopback does not need: handed on as it is."""
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self._reply(*self._ask("PATCH", body))

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the base's name)
        """Say nothing."""

    def _ask(self, method: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection(
            self.target.hostname or HOST, self.target.port, timeout=TIMEOUT_S
        )
        passed_on = {name: self.headers[name] for name in _PASSED_ON if name in self.headers}
        try:
            connection.request(method, self.path, body=body, headers=passed_on)
            response = connection.getresponse()
            replied = {
                name: value
                for name, value in response.getheaders()
                if name in _PASSED_ON or name == "Location"
            }
            return response.status, replied, response.read()
        except OSError as error:
            return 502, {}, f"the receiver does not answer: {error}\n".encode()
        finally:
            connection.close()

    def _reply(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            # An absolute Location would lead past the proxy.
            self.send_header(name, urlsplit(value).path if name == "Location" else value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
