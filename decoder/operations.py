"""What operators ask a running receiver over HTTP: health, figures, and streams to look at or end.

GET    /healthz             200 "ok"; no token
GET    /metrics             Prometheus; figures of the streams that the token may view
GET    /api/streams         {"streams": [...]}: those that the token may view
GET    /api/streams/NAME    one of them: the fields of a `--stats` line, and `publishing`
DELETE /api/streams/NAME    204: its publisher is sent away, its files are finished
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Mapping

from decoder.metrics import CONTENT_TYPE, exposition
from stream.access import AccessRules, Right
from stream.signalling import HttpRequest, HttpResponse, denied, error

JSON_TYPE = "application/json"

Record = Mapping[str, object]

_STREAM_PATH = re.compile(r"/api/streams/(?P<stream>[^/]+)")
_NO_CACHE = ("Cache-Control", "no-store")


class OperationsService:
    """An `HttpService` over the streams of one receiver."""

    def __init__(
        self,
        access: AccessRules,
        *,
        records: Callable[[], Mapping[str, Record]],
        end_stream: Callable[[str], Awaitable[bool]],
    ) -> None:
        """records: the newest figures of every stream, by name. end_stream: whether there was one
        to end.
        """
        self._access, self._records, self._end_stream = access, records, end_stream

    async def respond(self, request: HttpRequest) -> HttpResponse | None:
        """See `HttpService.respond`."""
        if request.path == "/healthz":
            return _get_only(request) or _text("ok\n")
        if request.path == "/metrics":
            return _get_only(request) or self._metrics(request)
        if request.path == "/api/streams":
            return _get_only(request) or self._list(request)
        if found := _STREAM_PATH.fullmatch(request.path):
            return await self._stream(request, found["stream"])
        return None

    def _metrics(self, request: HttpRequest) -> HttpResponse:
        visible = self._visible(request)
        if isinstance(visible, HttpResponse):
            return visible
        headers = (("Content-Type", CONTENT_TYPE), _NO_CACHE)
        return HttpResponse(status=200, headers=headers, body=exposition(visible))

    def _list(self, request: HttpRequest) -> HttpResponse:
        visible = self._visible(request)
        if isinstance(visible, HttpResponse):
            return visible
        return _json({"streams": visible})

    def _visible(self, request: HttpRequest) -> list[Record] | HttpResponse:
        """The streams that a request may see; its 401 when its token opens nothing at all."""
        refusals = {
            name: denied(self._access, request, Right.VIEW, stream=name)
            for name in {*self._records(), *self._access.streams}
        }
        refusal = denied(self._access, request, Right.VIEW, stream=None)
        if refusal is not None and all(each is not None for each in refusals.values()):
            return refusal
        return [record for name, record in self._records().items() if refusals[name] is None]

    async def _stream(self, request: HttpRequest, name: str) -> HttpResponse:
        if request.method == "OPTIONS":
            return _options("GET, HEAD, DELETE, OPTIONS")
        right = Right.PUBLISH if request.method == "DELETE" else Right.VIEW
        refusal = denied(self._access, request, right, stream=name)
        if refusal is not None:
            return refusal
        unknown = error(404, f"no stream {name}")
        if request.method == "DELETE":
            return HttpResponse(status=204) if await self._end_stream(name) else unknown
        if request.method not in ("GET", "HEAD"):
            return error(405, "a stream takes GET and DELETE", ("Allow", "GET, HEAD, DELETE"))
        record = self._records().get(name)
        return unknown if record is None else _json(record)


def _get_only(request: HttpRequest) -> HttpResponse | None:
    """The answer to anything but GET and HEAD."""
    if request.method == "OPTIONS":
        return _options("GET, HEAD, OPTIONS")
    if request.method not in ("GET", "HEAD"):
        return error(405, "this takes GET only", ("Allow", "GET, HEAD"))
    return None


def _options(methods: str) -> HttpResponse:
    return HttpResponse(
        status=204,
        headers=(
            ("Allow", methods),
            ("Access-Control-Allow-Methods", methods),
            ("Access-Control-Allow-Headers", "Authorization"),
        ),
    )


def _text(body: str) -> HttpResponse:
    headers = (("Content-Type", "text/plain; charset=utf-8"), _NO_CACHE)
    return HttpResponse(status=200, headers=headers, body=body)


def _json(value: object) -> HttpResponse:
    body = json.dumps(value, default=dict) + "\n"
    return HttpResponse(status=200, headers=(("Content-Type", JSON_TYPE), _NO_CACHE), body=body)
