"""WHEP (draft-ietf-wish-whep-04), server side, without I/O: who may view what.

The rules that it shares with WHIP are in `stream.session_table`. Any number of sessions, up to
`max_viewers` together, view the same stream. A stream that never was live is 404; one whose
publisher is away for the moment is not: its viewers wait, and so may a new one.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable

from stream.access import Right
from stream.session_table import (
    DEFAULT_STREAM,
    NAME,
    SESSION_ID_BYTES,
    Decision,
    SessionTable,
    no_session_free,
)
from stream.signalling import HttpConfig, Offer, error


class WhepResources(SessionTable):
    """Viewing sessions: `/whep/NAME` is the restored HD, `/whep/NAME/lr` the picture that came."""

    root = "whep"
    right = Right.VIEW
    endpoint_path = re.compile(rf"/whep(?:/(?P<stream>{NAME})(?P<lr>/lr)?)?/?")
    nothing_here = "nothing here: view /whep/NAME, or /whep/NAME/lr as it came"

    def __init__(
        self,
        config: HttpConfig,
        *,
        is_known: Callable[[str], bool],
        max_viewers: int,
        new_id: Callable[[], str] = lambda: secrets.token_urlsafe(SESSION_ID_BYTES),
    ) -> None:
        """is_known: whether there is a stream of this name. max_viewers: of all together."""
        super().__init__(config, new_id=new_id)
        self._is_known, self._max_viewers = is_known, max_viewers

    def offered(self, endpoint: re.Match[str], sdp: str) -> Decision:
        """Reserve a place, if the stream is there and a place is free."""
        stream = endpoint["stream"] or DEFAULT_STREAM
        if not self._is_known(stream):
            return error(404, f"there is no stream {stream}")
        if len(self) >= self._max_viewers:
            return no_session_free()
        is_lr = endpoint["lr"] is not None
        return self.reserve(Offer(stream=stream, sdp=sdp, view="received" if is_lr else "restored"))
