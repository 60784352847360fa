"""WHIP (RFC 9725), server side, without I/O: requests in, decisions out.

`WhipResources` holds the table of sessions and knows every rule of the protocol; whoever owns the
sockets (`stream.http_server`) feeds it requests and carries out the decisions it gets back:

    decision = resources.handle(request)
    HttpResponse   send it
    OpenSession    answer the offer, then report `opened` or `refused`, which give the response
    CloseSession   close that session, then send `CLOSED`
    AddCandidates  hand them to that session, then send `CANDIDATES_ADDED` (or an `error`)

Where the RFC leaves a choice, this server:
- answers 409 when a live session already publishes under the name; with `replace_publisher` the
  newcomer takes over instead, once its own offer was accepted (a bad offer never ends a stream);
- does no ICE restarts: 422, and the session lives on (section 4.3.3);
- takes OPTIONS without a token, since browsers send none in a CORS preflight (section 4.7).
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace

from stream.access import Right
from stream.errors import PeerError
from stream.sdp_text import (
    MAX_SDP_BYTES,
    SDP_FRAGMENT_TYPE,
    SDP_TYPE,
    ice_ufrags,
    media_type,
    read_sdp,
    read_sdp_fragment,
)
from stream.signalling import HttpConfig, HttpRequest, HttpResponse, Offer, denied, error

DEFAULT_STREAM = "live"
"""Name of the stream that is published at `/whip` itself."""

SESSION_ID_BYTES = 24
"""Entropy of a session URL: 192 bits, the URL is what protects a session (RFC 9725 section 5)."""

RETRY_AFTER_S = 5
"""What a client is told to wait when no session is free."""

_NAME = r"[A-Za-z0-9_-]{1,64}"
_ENDPOINT_PATH = re.compile(rf"/whip(?:/(?P<stream>{_NAME}))?/?")
_SESSION_PATH = re.compile(rf"/whip/(?P<stream>{_NAME})/(?P<session_id>{_NAME})")
_ENTITY_TAG = re.compile(r'(?:W/)?"[^"]*"')

_ENDPOINT_METHODS = "POST, OPTIONS"
_SESSION_METHODS = "PATCH, DELETE, OPTIONS"
_SESSION_METHODS_WITHOUT_TRICKLE = "DELETE, OPTIONS"


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenSession:
    """Answer `offer`; the name and a place are reserved until `opened`, `refused` or `forget`."""

    session_id: str
    offer: Offer
    replaces: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CloseSession:
    """Close this session at once; it is out of the table already."""

    session_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AddCandidates:
    """Hand the client's further ICE candidates (RFC 8840 fragment) to this session."""

    session_id: str
    sdp_fragment: str


Decision = HttpResponse | OpenSession | CloseSession | AddCandidates


@dataclass(frozen=True, slots=True, kw_only=True)
class _Resource:
    stream: str
    entity_tag: str
    ufrags: frozenset[str]
    is_open: bool = False
    takes_candidates: bool = False


CLOSED = HttpResponse(status=200)
CANDIDATES_ADDED = HttpResponse(status=204)


class WhipResources:
    """The sessions of one server, and what each request to them leads to."""

    def __init__(
        self,
        config: HttpConfig,
        *,
        new_id: Callable[[], str] = lambda: secrets.token_urlsafe(SESSION_ID_BYTES),
    ) -> None:
        self._config = config
        self._new_id = new_id
        self._resources: dict[str, _Resource] = {}

    def __len__(self) -> int:
        return len(self._resources)

    def handle(self, request: HttpRequest) -> Decision:
        """What to do about a request. Never raises, whatever the request holds."""
        endpoint = _ENDPOINT_PATH.fullmatch(request.path)
        session = _SESSION_PATH.fullmatch(request.path)
        stream = session["stream"] if session else None
        if endpoint:
            stream = endpoint["stream"] or DEFAULT_STREAM
        refusal = denied(self._config.access, request, Right.PUBLISH, stream=stream)
        if refusal is not None and request.method != "OPTIONS":
            return refusal
        if endpoint and stream:
            return self._endpoint(request, stream)
        if session and stream:
            return self._session(request, stream, session["session_id"])
        return error(404, "nothing here: publish to /whip or /whip/NAME (A-Z a-z 0-9 _ -, 1 to 64)")

    def opened(self, session_id: str, answer_sdp: str, *, takes_candidates: bool) -> HttpResponse:
        """The session of an `OpenSession` is live: put it in the table, answer 201."""
        resource = replace(
            self._resources[session_id], is_open=True, takes_candidates=takes_candidates
        )
        self._resources[session_id] = resource
        return HttpResponse(
            status=201,
            headers=(
                ("Content-Type", SDP_TYPE),
                # A path, not a whole URL: it stays right behind a proxy that ends TLS.
                ("Location", f"/whip/{resource.stream}/{session_id}"),
                ("ETag", resource.entity_tag),
            ),
            body=answer_sdp,
        )

    def refused(self, session_id: str, response: HttpResponse) -> HttpResponse:
        """The offer of an `OpenSession` came to nothing: free its place, answer `response`."""
        self.forget(session_id)
        return response

    def forget(self, session_id: str) -> None:
        """The session is gone, by itself or not; unknown ones are ignored."""
        self._resources.pop(session_id, None)

    def _endpoint(self, request: HttpRequest, stream: str) -> Decision:
        if request.method == "OPTIONS":
            return _preflight(_ENDPOINT_METHODS, ("Accept-Post", SDP_TYPE))
        if request.method != "POST":
            return error(405, "an endpoint takes POST only", ("Allow", _ENDPOINT_METHODS))
        if media_type(request.headers) != SDP_TYPE:
            return error(415, f"an offer must be {SDP_TYPE}", ("Accept-Post", SDP_TYPE))
        if len(request.body) > MAX_SDP_BYTES:
            return error(413, f"an offer may have {MAX_SDP_BYTES} bytes at most")
        try:
            sdp = read_sdp(request.body)
        except PeerError as malformed:
            return error(400, str(malformed))
        return self._reserve(Offer(stream=stream, sdp=sdp))

    def _reserve(self, offer: Offer) -> Decision:
        replaces = None
        for session_id, resource in self._resources.items():
            if resource.stream == offer.stream:
                if not (self._config.replace_publisher and resource.is_open):
                    return error(409, f"stream {offer.stream} is being published already")
                replaces = session_id
        if replaces is None and len(self._resources) >= self._config.max_sessions:
            retry_after = ("Retry-After", str(RETRY_AFTER_S))
            return error(503, "no session is free, try again later", retry_after)
        session_id = self._new_id()
        self._resources[session_id] = _Resource(
            stream=offer.stream, entity_tag=f'"{self._new_id()}"', ufrags=ice_ufrags(offer.sdp)
        )
        return OpenSession(session_id=session_id, offer=offer, replaces=replaces)

    def _session(self, request: HttpRequest, stream: str, session_id: str) -> Decision:
        if request.method == "OPTIONS":  # the same for unknown sessions: it needs no token
            return _preflight(_SESSION_METHODS, ("Accept-Patch", SDP_FRAGMENT_TYPE))
        resource = self._resources.get(session_id)
        if resource is None or resource.stream != stream:
            return error(404, "no such session: it has ended, or never was")
        if request.method == "DELETE":
            self.forget(session_id)
            return CloseSession(session_id=session_id)
        if request.method == "PATCH" and resource.takes_candidates:
            return self._patch(request, session_id, resource)
        allow = _SESSION_METHODS if resource.takes_candidates else _SESSION_METHODS_WITHOUT_TRICKLE
        return error(405, f"a session takes {allow}", ("Allow", allow))

    def _patch(self, request: HttpRequest, session_id: str, resource: _Resource) -> Decision:
        """RFC 9725 sections 4.3.1 to 4.3.3."""
        if media_type(request.headers) != SDP_FRAGMENT_TYPE:
            accepts = ("Accept-Patch", SDP_FRAGMENT_TYPE)
            return error(415, f"candidates must be {SDP_FRAGMENT_TYPE}", accepts)
        if len(request.body) > MAX_SDP_BYTES:
            return error(413, f"a fragment may have {MAX_SDP_BYTES} bytes at most")
        condition = request.headers.get("if-match", "").strip()
        if not condition:
            return error(428, "candidates need If-Match with the ETag of the session")
        try:
            fragment = read_sdp_fragment(request.body)
        except PeerError as malformed:
            return error(400, str(malformed))
        # The RFC's examples write the ICE restart's condition in quotes, its text does not.
        if condition in ("*", '"*"'):
            return error(422, "ICE restart is not supported; the session goes on")
        if resource.entity_tag not in _ENTITY_TAG.findall(condition):
            return error(412, "If-Match names another ICE session")
        if not ice_ufrags(fragment) <= resource.ufrags:
            return error(422, "the ICE user name changed, and ICE restart is not supported")
        return AddCandidates(session_id=session_id, sdp_fragment=fragment)


def _preflight(methods: str, accepts: tuple[str, str]) -> HttpResponse:
    return HttpResponse(
        status=204,
        headers=(
            ("Allow", methods),
            accepts,
            ("Access-Control-Allow-Methods", methods),
            ("Access-Control-Allow-Headers", "Authorization, Content-Type, If-Match"),
        ),
    )
