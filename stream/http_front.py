"""Sockets of the HTTP server: listening, TLS, and what keeps a client from holding up others.

Everything a client can hold open is bounded: the time for a request's head and body, the body's
size, and how many requests come from one address. Bytes that are not HTTP at all get aiohttp's own
400 and never reach the rules.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
from collections.abc import Awaitable, Callable

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from stream.certificate import tls_context
from stream.config import HostPort
from stream.cors import cors_headers
from stream.errors import ConfigError
from stream.request_rate import RequestRate
from stream.sdp_text import MAX_SDP_BYTES
from stream.signalling import HttpConfig, HttpRequest, HttpResponse, error

SHUTDOWN_TIMEOUT_S = 1.0
"""How long `stop` waits for requests in progress."""

Respond = Callable[[HttpRequest, Callable[[], bool]], Awaitable[HttpResponse]]
"""Answers a request; the function it gets tells whether the client has gone away."""


class HttpFront:
    """Takes whole requests, within the limits of `HttpConfig`, and sends the responses."""

    def __init__(self, config: HttpConfig, respond: Respond) -> None:
        self._config, self._respond = config, respond
        rate = config.requests_per_s
        self._rate = None if rate is None else RequestRate(rate)
        self._runner: web.AppRunner | None = None
        self._port = config.port

    @property
    def origin(self) -> str:
        """Scheme, host and port as a client on this machine reaches them."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self._config.host, self._config.host)
        scheme = "http" if self._config.tls_cert is None else "https"
        return f"{scheme}://{f'[{host}]' if ':' in host else host}:{self._port}"

    async def start(self) -> None:
        """Listen. Raises ConfigError for an address that is in use or not ours, and TLS files."""
        tls = None
        if self._config.tls_cert is not None and self._config.tls_key is not None:
            tls = tls_context(self._config.tls_cert, self._config.tls_key)
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._handle)
        runner = web.AppRunner(
            app,
            access_log=None,
            logger=_wire_log,
            # aiohttp applies it to a new connection too, so it bounds the time for the head.
            keepalive_timeout=self._config.request_timeout_s,
            lingering_time=SHUTDOWN_TIMEOUT_S,
            auto_decompress=False,
            shutdown_timeout=SHUTDOWN_TIMEOUT_S,
        )
        await runner.setup()
        host, port = self._config.host, self._config.port
        try:
            await web.TCPSite(runner, host, port, ssl_context=tls).start()
        except OSError as refused:
            await runner.cleanup()
            raise ConfigError(
                f"cannot listen on {host}:{port} ({_reason(refused)}): "
                "stop what uses it, or choose another HOST:PORT"
            ) from refused
        self._runner = runner
        self._port = int(runner.addresses[0][1])

    async def stop(self) -> None:
        """Stop listening; callable twice."""
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    async def _handle(self, request: web.Request) -> web.Response:
        response = await self._whole_response(request)
        origin = {"origin": request.headers.get("Origin", "")}
        reply = web.Response(
            status=response.status,
            # Encoded here: given text, aiohttp would add a charset to the type of SDP.
            body=response.body.encode() if isinstance(response.body, str) else response.body,
            headers=[*response.headers, *cors_headers(self._config.cors_origins, origin)],
        )
        if response.status in (408, 413, 429):  # what the client still sends is not worth reading
            reply.force_close()
        return reply

    async def _whole_response(self, request: web.Request) -> HttpResponse:
        if self._rate is not None:
            wait_s = self._rate.wait_s(request.remote or "", now_ms=1000 * time.monotonic())
            if wait_s:
                return error(429, "too many requests", ("Retry-After", str(wait_s)))
        try:
            async with asyncio.timeout(self._config.request_timeout_s):
                body = await _read_body(request)
        except TimeoutError:
            return error(408, f"no whole request within {self._config.request_timeout_s:g} s")
        except (web.RequestPayloadError, HttpProcessingError):
            return error(400, "the request body is not valid HTTP")
        headers = request.headers
        asked = HttpRequest(
            method=request.method,
            path=request.rel_url.raw_path,
            headers={name.lower(): ", ".join(headers.getall(name)) for name in headers},
            body=body,
            query=request.rel_url.raw_query_string,
        )
        transport = request.transport
        return await self._respond(asked, lambda: transport is None or transport.is_closing())


def check_free(address: HostPort) -> None:
    """Raises ConfigError when nobody can listen there, before the model costs a second."""
    try:
        family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
        socket.create_server((address.host, address.port), family=family).close()
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise ConfigError(
            f"cannot listen on {address} ({reason}): stop what uses it, or choose another HOST:PORT"
        ) from error


async def _read_body(request: web.Request) -> bytes:
    """The body, or as much of it as shows that it is too long."""
    body = bytearray()
    while len(body) <= MAX_SDP_BYTES:
        chunk = await request.content.read(MAX_SDP_BYTES + 1 - len(body))
        if not chunk:
            break
        body += chunk
    return bytes(body)


def _reason(refused: OSError) -> str:
    # The text of asyncio repeats the address in its own words; the system's is enough.
    return (refused.strerror or str(refused)).rpartition(": ")[2]


def _is_about_us(record: logging.LogRecord) -> bool:
    """Drops aiohttp's traceback for each request that is not HTTP: noise on a public network."""
    return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))


_wire_log = logging.getLogger(f"{__name__}.wire")
_wire_log.addFilter(_is_about_us)
