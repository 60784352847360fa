"""Requests to a WHIP server as values, for tests of its rules."""

from __future__ import annotations

from itertools import count

from stream.signalling import HttpConfig, HttpRequest, HttpResponse
from stream.whip import Decision, OpenSession, WhipResources

OFFER = (
    "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=video 9 UDP 96\r\na=ice-ufrag:EsAw\r\n"
)
FRAGMENT = "a=ice-ufrag:EsAw\r\na=ice-pwd:secret\r\nm=audio 9 RTP/AVP 0\r\na=mid:0\r\n"
CONFIG = HttpConfig(host="127.0.0.1", port=0)
SDP = {"content-type": "application/sdp"}
TRICKLE = {"content-type": "application/trickle-ice-sdpfrag"}


def resources(config: HttpConfig = CONFIG) -> WhipResources:
    numbers = count(1)
    return WhipResources(config, new_id=lambda: f"id{next(numbers)}")


def post(path: str = "/whip", body: str | bytes = OFFER, **headers: str) -> HttpRequest:
    raw = body if isinstance(body, bytes) else body.encode()
    return HttpRequest(method="POST", path=path, headers={**SDP, **headers}, body=raw)


def opened(table: WhipResources, request: HttpRequest, *, takes_candidates: bool = True) -> str:
    """Open a session as the edge would; return its path."""
    decision = table.handle(request)
    assert isinstance(decision, OpenSession)
    response = table.opened(decision.session_id, "v=0\r\n", takes_candidates=takes_candidates)
    assert response.status == 201
    return dict(response.headers)["Location"]


def patch(path: str, condition: str | None, body: str = FRAGMENT) -> HttpRequest:
    headers = TRICKLE if condition is None else {**TRICKLE, "if-match": condition}
    return HttpRequest(method="PATCH", path=path, headers=headers, body=body.encode())


def status(decision: Decision) -> int:
    assert isinstance(decision, HttpResponse), decision
    if decision.status >= 400:
        assert isinstance(decision.body, str)
        assert decision.body.count("\n") == 1
        assert decision.body.endswith("\n")
        assert len(decision.body) > 5
        assert dict(decision.headers)["Content-Type"].startswith("text/plain")
    return decision.status
