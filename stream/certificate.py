"""TLS of the HTTP server, from certificate files."""

from __future__ import annotations

import ssl
from pathlib import Path

from stream.errors import ConfigError


def tls_context(certificate: Path, key: Path) -> ssl.SSLContext:
    """A server's TLS with a PEM chain and its PEM key; TLS 1.2 and newer (RFC 9325 section 3.1).

    Raises ConfigError when the files cannot be read or do not belong together.
    """
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    for name, path in (("--tls-cert", certificate), ("--tls-key", key)):
        try:
            path.open("rb").close()
        except OSError as error:
            raise ConfigError(f"{name} {path}: {error.strerror}") from error
    try:
        # An empty password instead of none: else OpenSSL would ask on the terminal.
        context.load_cert_chain(certificate, key, password="")
    except (ssl.SSLError, OSError) as error:
        raise ConfigError(
            f"--tls-cert {certificate} and --tls-key {key} are not a PEM certificate and its key"
            " without a passphrase"
        ) from error
    return context
