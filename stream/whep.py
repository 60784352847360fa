"""WHEP (draft-ietf-wish-whep-04), the client's side without I/O: pulling from somebody's server.

As WHIP with the directions swapped, and one thing more: a server that cannot use our offer may
send its own (406, "counter-offer"). The client then answers it with a PATCH to the session:

    POST offer          -> 201 + answer: `WhepAnswer`, done
                        -> 406 + offer: `CounterOffer`; PATCH our answer to its session URL -> 204
                        -> 409 + Retry-After: nobody publishes yet, try again
"""

from __future__ import annotations

from dataclasses import dataclass

from stream.sdp_exchange import (
    Redirect,
    Reply,
    SessionAnswer,
    read_location,
    read_post_reply,
    read_sdp_body,
    refusal,
)
from stream.sdp_text import SDP_TYPE, media_type

WhepAnswer = SessionAnswer
"""The server took our offer: feed `answer_sdp` to the peer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CounterOffer:
    """The server offers instead: answer within 30 s (the draft's default), sent to session_url."""

    offer_sdp: str
    session_url: str
    entity_tag: str | None


def read_pull_reply(
    reply: Reply, url: str, has_token: bool
) -> WhepAnswer | CounterOffer | Redirect:
    """What became of an offer to receive that was posted to `url`.

    A 406 without SDP is a plain refusal. Raises ConfigError or SignallingError, as in
    `stream.sdp_exchange`.
    """
    if reply.status == 406 and media_type(reply.headers) == SDP_TYPE:
        return CounterOffer(
            offer_sdp=read_sdp_body(reply, url=url),
            session_url=read_location(reply, url=url),
            entity_tag=reply.headers.get("etag"),
        )
    return read_post_reply(reply, url, has_token)


def read_counter_answer_reply(reply: Reply, url: str, has_token: bool) -> None:
    """Return when the server took our answer to its offer, else raise as `read_pull_reply` does."""
    if reply.status not in (200, 204):
        raise refusal(reply, url, has_token)
