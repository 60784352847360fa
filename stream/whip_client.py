"""WHIP and WHEP clients over aiohttp; what replies mean is in `stream.sdp_exchange` and `whep`.

    async with WhipClient("http://host:8080/whip", token="...") as client:
        answer_sdp = await client.publish(offer_sdp)
        ...                                             # leaving the block ends the session

Both raise ConfigError when the user must change something, and SignallingError (a PeerError with
`retry_after_s`) when trying again makes sense.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Self, TypeVar

import aiohttp

from stream.access import check_token
from stream.errors import ConfigError, SignallingError
from stream.sdp_exchange import (
    MAX_REDIRECTS,
    Redirect,
    Reply,
    SessionAnswer,
    check_url,
    is_downgrade,
    public_url,
    read_post_reply,
)
from stream.sdp_text import MAX_SDP_BYTES, SDP_TYPE, one_line
from stream.whep import CounterOffer, WhepAnswer, read_counter_answer_reply, read_pull_reply

__all__ = ["CounterOffer", "WhepAnswer", "WhepClient", "WhipClient"]

Outcome = TypeVar("Outcome", SessionAnswer, SessionAnswer | CounterOffer)

REQUEST_TIMEOUT_S = 10.0
"""For one request with its reply; a server gathers ICE candidates before it answers."""

DELETE_TIMEOUT_S = 3.0
"""Ending a session is a courtesy, a server that is gone must not hold up our own end."""


class _SdpClient:
    """One session at a server: what publishing and pulling have in common."""

    def __init__(
        self, url: str, token: str | None = None, *, timeout_s: float = REQUEST_TIMEOUT_S
    ) -> None:
        check_url(url)
        check_token(token)
        if token is not None and "@" in url.partition("://")[2].partition("/")[0]:
            raise ConfigError(f"give a token or a user in the URL, not both: {public_url(url)}")
        self._url = url
        self._token = token
        self._timeout_s = timeout_s
        self._http: aiohttp.ClientSession | None = None
        self.session_url: str | None = None
        """URL of the open session; None when there is none."""
        self.entity_tag: str | None = None
        """ETag of its ICE session, if the server gave one."""

    async def __aenter__(self) -> Self:
        self._http = aiohttp.ClientSession(
            # Requests are minutes apart: an idle connection would only go stale.
            connector=aiohttp.TCPConnector(force_close=True),
            auto_decompress=False,  # a small reply cannot blow up in memory
        )
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        if self._http is not None:
            try:
                await self.delete()
            finally:
                await self._http.close()
                self._http = None

    async def delete(self) -> bool:
        """End the session, best effort: never raises, returns whether the server confirmed."""
        url, self.session_url, self.entity_tag = self.session_url, None, None
        if url is None:
            return False
        try:
            reply = await self._request("DELETE", url, timeout_s=DELETE_TIMEOUT_S)
        except (ConfigError, SignallingError):
            return False
        return 200 <= reply.status < 300

    async def _post_offer(
        self, offer_sdp: str, read_reply: Callable[[Reply, str, bool], Outcome | Redirect]
    ) -> Outcome:
        await self.delete()
        url = self._url
        for _ in range(1 + MAX_REDIRECTS):
            reply = await self._request("POST", url, sdp=offer_sdp)
            outcome = read_reply(reply, url, self._token is not None)
            if not isinstance(outcome, Redirect):
                self.session_url, self.entity_tag = outcome.session_url, outcome.entity_tag
                return outcome
            url = outcome.url
        raise SignallingError(f"{public_url(self._url)} redirects more than {MAX_REDIRECTS} times")

    async def _request(
        self,
        method: str,
        url: str,
        *,
        sdp: str | None = None,
        entity_tag: str | None = None,
        timeout_s: float | None = None,
    ) -> Reply:
        if self._http is None:
            raise RuntimeError("use the client inside `async with`")
        headers = {"Accept": f"{SDP_TYPE}, */*;q=0.1", "Accept-Encoding": "identity"}
        # Load balancing needs the token after a redirect too (RFC 9725 section 4.5), but it
        # never goes from an encrypted URL to one that anybody can listen to.
        if self._token is not None and not is_downgrade(url, from_url=self._url):
            headers["Authorization"] = f"Bearer {self._token}"
        if sdp is not None:
            headers["Content-Type"] = SDP_TYPE
        if entity_tag is not None:
            headers["If-Match"] = entity_tag
        timeout_s = timeout_s or self._timeout_s
        where = public_url(url)
        try:
            async with self._http.request(
                method,
                url,
                data=None if sdp is None else sdp.encode(),
                headers=headers,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=timeout_s),
            ) as response:
                return Reply(
                    status=response.status,
                    headers={name.lower(): value for name, value in response.headers.items()},
                    body=await _read_body(response),
                )
        except TimeoutError as late:
            raise SignallingError(f"{where} did not answer within {timeout_s:g} s") from late
        except aiohttp.ClientSSLError as untrusted:
            raise ConfigError(
                f"no secure connection to {where}: {_reason(untrusted)}"
            ) from untrusted
        except aiohttp.ClientConnectorError as unreachable:
            raise SignallingError(f"cannot reach {where}: {_reason(unreachable)}") from unreachable
        except (aiohttp.ClientError, OSError, ValueError) as broken:
            raise SignallingError(f"no valid HTTP from {where}: {_reason(broken)}") from broken


class WhipClient(_SdpClient):
    """Publishes one stream to a WHIP endpoint (RFC 9725)."""

    async def publish(self, offer_sdp: str) -> str:
        """Send an offer, return the answer; a session that is still open is ended first.

        Raises ConfigError (token, URL) or SignallingError (busy, unreachable, refused).
        """
        return (await self._post_offer(offer_sdp, read_post_reply)).answer_sdp


class WhepClient(_SdpClient):
    """Pulls one stream from a WHEP endpoint (draft-ietf-wish-whep-04)."""

    async def pull(self, offer_sdp: str) -> WhepAnswer | CounterOffer:
        """Send an offer to receive. After a `CounterOffer`, call `answer` with ours.

        Raises ConfigError (token, URL) or SignallingError (busy, not live yet, unreachable).
        """
        return await self._post_offer(offer_sdp, read_pull_reply)

    async def answer(self, answer_sdp: str) -> None:
        """Answer the server's counter-offer. Raises as `pull` does."""
        url = self.session_url
        if url is None:
            raise SignallingError(f"{public_url(self._url)} made no offer that could be answered")
        reply = await self._request("PATCH", url, sdp=answer_sdp, entity_tag=self.entity_tag)
        read_counter_answer_reply(reply, url, self._token is not None)


async def _read_body(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    while len(body) <= MAX_SDP_BYTES:
        chunk = await response.content.read(MAX_SDP_BYTES + 1 - len(body))
        if not chunk:
            break
        body += chunk
    return bytes(body)


def _reason(error: Exception) -> str:
    if isinstance(error, aiohttp.ClientSSLError | aiohttp.ClientConnectorDNSError):
        return one_line(error.os_error.strerror or str(error.os_error))
    if isinstance(error, aiohttp.ClientConnectorError) and error.os_error.errno:
        # asyncio's own text repeats the address and leaves out why.
        return os.strerror(error.os_error.errno).lower()
    return one_line(str(error)) or type(error).__name__
