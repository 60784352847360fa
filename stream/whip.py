"""WHIP (RFC 9725), server side, without I/O: who may publish under which name.

The rules that it shares with WHEP are in `stream.session_table`. When a live session already
publishes under a name, this server answers 409; with `replace_publisher` the newcomer takes over
instead, once its own offer was accepted (a bad offer never ends a stream).
"""

from __future__ import annotations

import re

from stream.access import Right
from stream.session_table import DEFAULT_STREAM, NAME, SessionTable, no_session_free
from stream.session_table import AddCandidates as AddCandidates
from stream.session_table import CloseSession as CloseSession
from stream.session_table import Decision as Decision
from stream.session_table import OpenSession as OpenSession
from stream.signalling import Offer, error


class WhipResources(SessionTable):
    """Publishing sessions at `/whip` and `/whip/NAME`: one a name."""

    root = "whip"
    right = Right.PUBLISH
    endpoint_path = re.compile(rf"/whip(?:/(?P<stream>{NAME}))?/?")
    nothing_here = "nothing here: publish to /whip or /whip/NAME (A-Z a-z 0-9 _ -, 1 to 64)"

    def offered(self, endpoint: re.Match[str], sdp: str) -> Decision:
        """Reserve the name, or say why it is not free."""
        offer = Offer(stream=endpoint["stream"] or DEFAULT_STREAM, sdp=sdp)
        replaces = None
        for session_id, resource in self.resources.items():
            if resource.stream == offer.stream:
                if not (self._config.replace_publisher and resource.is_open):
                    return error(409, f"stream {offer.stream} is being published already")
                replaces = session_id
        if replaces is None and len(self) >= self._config.max_sessions:
            return no_session_free()
        return self.reserve(offer, replaces=replaces)
