"""What operators may ask over HTTP, as a table of requests and answers."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import pytest

from decoder.operations import OperationsService
from stream.access import AccessRules
from stream.signalling import HttpRequest, HttpResponse
from tests.stream_records import stream_record

CLOSED = AccessRules(
    publish_token="pub",
    view_token="see",
    stream_publish_tokens={"a": "pub-a"},
    stream_view_tokens={"b": "see-b", "later": "see-later"},
)


@dataclass(kw_only=True)
class Streams:
    """Two streams, and a service over them."""

    access: AccessRules = field(default_factory=AccessRules)
    names: list[str] = field(default_factory=lambda: ["a", "b"])

    async def end(self, name: str) -> bool:
        found = name in self.names
        self.names = [each for each in self.names if each != name]
        return found

    async def ask(self, method: str, path: str, token: str = "") -> HttpResponse | None:
        service = OperationsService(
            self.access,
            records=lambda: {name: stream_record(name) for name in self.names},
            end_stream=self.end,
        )
        headers = {"authorization": f"Bearer {token}"} if token else {}
        return await service.respond(HttpRequest(method=method, path=path, headers=headers))


async def answer(streams: Streams, method: str, path: str, token: str = "") -> HttpResponse:
    response = await streams.ask(method, path, token)
    assert response is not None
    return response


def parsed(response: HttpResponse) -> Any:  # noqa: ANN401 (whatever JSON holds)
    assert dict(response.headers)["Content-Type"] == "application/json"
    return json.loads(response.body)


@pytest.mark.parametrize(
    ("method", "path", "token", "status"),
    [
        ("GET", "/healthz", "", 200),
        ("GET", "/healthz", "guess", 200),
        ("POST", "/healthz", "", 405),
        ("GET", "/metrics", "", 401),
        ("GET", "/metrics", "guess", 401),
        ("GET", "/metrics", "see", 200),
        ("GET", "/metrics", "pub", 200),
        ("GET", "/metrics", "see-b", 200),
        ("DELETE", "/metrics", "pub", 405),
        ("GET", "/api/streams", "", 401),
        ("GET", "/api/streams", "guess", 401),
        ("GET", "/api/streams", "see", 200),
        ("GET", "/api/streams", "see-b", 200),
        ("GET", "/api/streams", "see-later", 200),
        ("HEAD", "/api/streams", "see", 200),
        ("DELETE", "/api/streams", "pub", 405),
        ("OPTIONS", "/api/streams", "", 204),
        ("GET", "/api/streams/a", "", 401),
        ("GET", "/api/streams/a", "see-b", 401),
        ("GET", "/api/streams/a", "see", 200),
        ("GET", "/api/streams/a", "pub-a", 200),
        ("GET", "/api/streams/b", "see-b", 200),
        ("GET", "/api/streams/nobody", "see", 404),
        ("GET", "/api/streams/a%2fb", "see", 404),
        ("PUT", "/api/streams/a", "see", 405),
        ("OPTIONS", "/api/streams/a", "", 204),
        ("DELETE", "/api/streams/a", "", 401),
        ("DELETE", "/api/streams/a", "see", 401),
        ("DELETE", "/api/streams/b", "pub-a", 401),
        ("DELETE", "/api/streams/a", "pub-a", 204),
        ("DELETE", "/api/streams/b", "pub", 204),
        ("DELETE", "/api/streams/nobody", "pub", 404),
    ],
)
async def test_each_request_gets_its_status(
    method: str, path: str, token: str, status: int
) -> None:
    response = await answer(Streams(access=CLOSED), method, path, token)
    assert response.status == status
    headers = dict(response.headers)
    assert ("WWW-Authenticate" in headers) is (status == 401)
    assert ("Allow" in headers) is (status == 405 or method == "OPTIONS")


@pytest.mark.parametrize("path", ["/", "/api", "/api/streams/", "/api/streams/a/b", "/metrics/"])
async def test_other_paths_are_left_to_others(path: str) -> None:
    assert await Streams().ask("GET", path) is None


async def test_the_list_shows_what_the_token_may_view() -> None:
    streams = Streams(access=CLOSED)
    for token, names in (("pub", "ab"), ("see", "ab"), ("pub-a", "a"), ("see-b", "b")):
        listed = parsed(await answer(streams, "GET", "/api/streams", token))["streams"]
        assert [each["stream"] for each in listed] == list(names)
        assert b'stream="a"' in (await answer(streams, "GET", "/metrics", "pub-a")).body
    assert parsed(await answer(streams, "GET", "/api/streams", "see-later")) == {"streams": []}


async def test_a_stream_has_the_fields_of_a_statistics_line() -> None:
    record = parsed(await answer(Streams(), "GET", "/api/streams/a"))
    assert record == stream_record("a")
    assert record["publishing"] is False
    assert record["latency_ms"]["total"]["p50"] == 64.0


async def test_a_stream_that_was_ended_is_gone() -> None:
    streams = Streams()
    assert (await answer(streams, "DELETE", "/api/streams/a")).status == 204
    assert (await answer(streams, "DELETE", "/api/streams/a")).status == 404
    listed = parsed(await answer(streams, "GET", "/api/streams"))["streams"]
    assert [each["stream"] for each in listed] == ["b"]


async def test_nothing_may_be_cached() -> None:
    for path in ("/healthz", "/metrics", "/api/streams", "/api/streams/a"):
        assert dict((await answer(Streams(), "GET", path)).headers)["Cache-Control"] == "no-store"
