"""The ciphers that a WebRTC session agrees to."""

from __future__ import annotations

from typing import Any

from aiortc import RTCPeerConnection

CIPHERS = tuple(
    f"ECDHE-{signature}-{cipher}"
    for signature in ("ECDSA", "RSA")
    for cipher in ("AES128-GCM-SHA256", "CHACHA20-POLY1305", "AES128-SHA", "AES256-SHA")
)
"""aiortc's, and the same for peers whose certificates hold RSA keys, as GStreamer's do."""

_CERTIFICATES = "_RTCPeerConnection__certificates"


def widen_ciphers(connection: RTCPeerConnection) -> None:
    """Let a connection talk to peers with either kind of key. Before it has any transport."""
    [certificate] = vars(connection)[_CERTIFICATES]
    create = certificate._create_ssl_context

    def create_ssl_context(**settings: Any) -> Any:  # noqa: ANN401 (aiortc's to its OpenSSL)
        context = create(**settings)
        context.set_cipher_list(":".join(CIPHERS).encode())
        return context

    vars(certificate)["_create_ssl_context"] = create_ssl_context
