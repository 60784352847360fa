"""The sessions of one WHIP or WHEP server, without I/O: requests in, decisions out.

A table knows every rule of its protocol; whoever owns the sockets (`stream.http_server`) feeds it
requests and carries out the decisions it gets back:

    decision = table.handle(request)
    HttpResponse   send it
    OpenSession    answer the offer, then report `opened`, `counter_offered` or `refused`, which
                   give the response
    CloseSession   close that session, then send `CLOSED`
    AddCandidates  hand them to that session, then send `CANDIDATES_ADDED` (or an `error`)
    TakeAnswer     hand it to that session, then report `answered` (or send an `error`)

Where RFC 9725 leaves a choice, these servers:
- do no ICE restarts: 422, and the session lives on (section 4.3.3);
- take OPTIONS without a token, since browsers send none in a CORS preflight (section 4.7).
"""

from __future__ import annotations

import re
import secrets
from abc import ABC, abstractmethod
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

SESSION_ID_BYTES = 24
"""Entropy of a session URL: 192 bits, the URL is what protects a session (RFC 9725 section 5)."""

RETRY_AFTER_S = 5
"""What a client is told to wait when no session is free."""

DEFAULT_STREAM = "live"
"""Name of the stream at `/whip` and `/whep` themselves."""

NAME = r"[A-Za-z0-9_-]{1,64}"
"""A stream's name, or a session's."""

_ENTITY_TAG = re.compile(r'(?:W/)?"[^"]*"')

_ENDPOINT_METHODS = "POST, OPTIONS"
_SESSION_METHODS = "PATCH, DELETE, OPTIONS"
_SESSION_METHODS_WITHOUT_PATCH = "DELETE, OPTIONS"


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenSession:
    """Answer `offer`; the place is reserved until `opened`, `refused` or `forget`."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class TakeAnswer:
    """Hand the client's answer to our counter-offer to this session."""

    session_id: str
    answer_sdp: str


Decision = HttpResponse | OpenSession | CloseSession | AddCandidates | TakeAnswer


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """One session as its URL shows it; `is_open` once its offer was accepted."""

    stream: str
    entity_tag: str
    ufrags: frozenset[str]
    is_open: bool = False
    takes_candidates: bool = False
    awaits_answer: bool = False


CLOSED = HttpResponse(status=200)
CANDIDATES_ADDED = HttpResponse(status=204)
ANSWER_TAKEN = HttpResponse(status=204)


class SessionTable(ABC):
    """The sessions below one root path, and what each request to them leads to."""

    root: str
    """First part of every path: `whip` or `whep`."""
    right: Right
    """What a request's token must give."""
    endpoint_path: re.Pattern[str]
    nothing_here: str
    """What a request to any other path is told."""

    def __init__(
        self,
        config: HttpConfig,
        *,
        new_id: Callable[[], str] = lambda: secrets.token_urlsafe(SESSION_ID_BYTES),
    ) -> None:
        self._config = config
        self._new_id = new_id
        self._session_path = re.compile(rf"/{self.root}/(?P<stream>{NAME})/(?P<session_id>{NAME})")
        self.resources: dict[str, Resource] = {}

    def __len__(self) -> int:
        return len(self.resources)

    @abstractmethod
    def offered(self, endpoint: re.Match[str], sdp: str) -> Decision:
        """What to do about an offer that is well-formed; `endpoint` matched `endpoint_path`."""

    def handle(self, request: HttpRequest) -> Decision:
        """What to do about a request. Never raises, whatever the request holds."""
        endpoint = self.endpoint_path.fullmatch(request.path)
        session = self._session_path.fullmatch(request.path)
        stream = session["stream"] if session else None
        if endpoint:
            stream = endpoint["stream"] or DEFAULT_STREAM
        refusal = denied(self._config.access, request, self.right, stream=stream)
        if refusal is not None and request.method != "OPTIONS":
            return refusal
        if endpoint:
            return self._endpoint(request, endpoint)
        if session:
            return self._session(request, session["stream"], session["session_id"])
        return error(404, self.nothing_here)

    def opened(self, session_id: str, answer_sdp: str, *, takes_candidates: bool) -> HttpResponse:
        """The session of an `OpenSession` is live: put it in the table, answer 201."""
        resource = replace(
            self.resources[session_id], is_open=True, takes_candidates=takes_candidates
        )
        return self._created(201, session_id, resource, answer_sdp)

    def counter_offered(self, session_id: str, offer_sdp: str) -> HttpResponse:
        """The offer could not be used, ours goes back (WHEP): the client may PATCH its answer."""
        resource = replace(self.resources[session_id], is_open=True, awaits_answer=True)
        return self._created(406, session_id, resource, offer_sdp)

    def answered(self, session_id: str) -> HttpResponse:
        """The session took the answer of a `TakeAnswer`."""
        if session_id in self.resources:
            self.resources[session_id] = replace(self.resources[session_id], awaits_answer=False)
        return ANSWER_TAKEN

    def refused(self, session_id: str, response: HttpResponse) -> HttpResponse:
        """The offer of an `OpenSession` came to nothing: free its place, answer `response`."""
        self.forget(session_id)
        return response

    def forget(self, session_id: str) -> None:
        """The session is gone, by itself or not; unknown ones are ignored."""
        self.resources.pop(session_id, None)

    def reserve(self, offer: Offer, *, replaces: str | None = None) -> OpenSession:
        """Give the offer a place and a name."""
        session_id = self._new_id()
        self.resources[session_id] = Resource(
            stream=offer.stream, entity_tag=f'"{self._new_id()}"', ufrags=ice_ufrags(offer.sdp)
        )
        return OpenSession(session_id=session_id, offer=offer, replaces=replaces)

    def _created(self, status: int, session_id: str, resource: Resource, sdp: str) -> HttpResponse:
        self.resources[session_id] = resource
        return HttpResponse(
            status=status,
            headers=(
                ("Content-Type", SDP_TYPE),
                # A path, not a whole URL: it stays right behind a proxy that ends TLS.
                ("Location", f"/{self.root}/{resource.stream}/{session_id}"),
                ("ETag", resource.entity_tag),
            ),
            body=sdp,
        )

    def _endpoint(self, request: HttpRequest, endpoint: re.Match[str]) -> Decision:
        if request.method == "OPTIONS":
            return preflight(_ENDPOINT_METHODS, ("Accept-Post", SDP_TYPE))
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
        return self.offered(endpoint, sdp)

    def _session(self, request: HttpRequest, stream: str, session_id: str) -> Decision:
        if request.method == "OPTIONS":  # the same for unknown sessions: it needs no token
            return preflight(_SESSION_METHODS, ("Accept-Patch", SDP_FRAGMENT_TYPE))
        resource = self.resources.get(session_id)
        if resource is None or resource.stream != stream:
            return error(404, "no such session: it has ended, or never was")
        if request.method == "DELETE":
            self.forget(session_id)
            return CloseSession(session_id=session_id)
        if request.method == "PATCH" and resource.awaits_answer:
            return self._answer(request, session_id)
        if request.method == "PATCH" and resource.takes_candidates:
            return self._patch(request, session_id, resource)
        takes_patch = resource.takes_candidates or resource.awaits_answer
        allow = _SESSION_METHODS if takes_patch else _SESSION_METHODS_WITHOUT_PATCH
        return error(405, f"a session takes {allow}", ("Allow", allow))

    def _answer(self, request: HttpRequest, session_id: str) -> Decision:
        """The client's answer to a counter-offer (WHEP draft 04 section 4.3)."""
        if media_type(request.headers) != SDP_TYPE:
            return error(415, f"an answer must be {SDP_TYPE}", ("Accept-Patch", SDP_TYPE))
        if len(request.body) > MAX_SDP_BYTES:
            return error(413, f"an answer may have {MAX_SDP_BYTES} bytes at most")
        try:
            return TakeAnswer(session_id=session_id, answer_sdp=read_sdp(request.body))
        except PeerError as malformed:
            return error(400, str(malformed))

    def _patch(self, request: HttpRequest, session_id: str, resource: Resource) -> Decision:
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


def preflight(methods: str, accepts: tuple[str, str]) -> HttpResponse:
    """The answer to OPTIONS."""
    return HttpResponse(
        status=204,
        headers=(
            ("Allow", methods),
            accepts,
            ("Access-Control-Allow-Methods", methods),
            ("Access-Control-Allow-Headers", "Authorization, Content-Type, If-Match"),
        ),
    )


def no_session_free() -> HttpResponse:
    """503 for one session too many."""
    return error(503, "no session is free, try again later", ("Retry-After", str(RETRY_AFTER_S)))
