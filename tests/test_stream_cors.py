"""Which origins may read a response."""

from __future__ import annotations

import pytest

from stream.cors import check_origin, cors_headers
from stream.errors import ConfigError

STUDIO = "https://studio.example"


@pytest.mark.parametrize(
    ("allowed", "origin", "allows"),
    [
        (("*",), "https://anyone.example", "*"),
        (("*",), "", "*"),
        ((STUDIO, "http://localhost:3000"), STUDIO, STUDIO),
        ((STUDIO, "http://localhost:3000"), "http://localhost:3000", "http://localhost:3000"),
        ((STUDIO,), "https://evil.example", None),
        ((STUDIO,), "https://studio.example.evil.example", None),
        ((STUDIO,), "null", None),
        ((STUDIO,), "", None),
        ((), STUDIO, None),
    ],
)
def test_only_an_allowed_origin_may_read(
    allowed: tuple[str, ...], origin: str, allows: str | None
) -> None:
    headers = dict(cors_headers(allowed, {"origin": origin}))
    assert headers.get("Access-Control-Allow-Origin") == allows
    if allows is not None:
        for name in ("Location", "ETag", "Link"):
            assert name in headers["Access-Control-Expose-Headers"]
    assert ("Vary" in headers) is (allowed != ("*",))


@pytest.mark.parametrize("origin", ["*", STUDIO, "http://127.0.0.1:8080", "http://[::1]:80"])
def test_an_origin_is_scheme_host_and_port(origin: str) -> None:
    check_origin(origin)


@pytest.mark.parametrize(
    "origin",
    [
        "",
        "null",
        "studio.example",
        f"{STUDIO}/",
        f"{STUDIO}/page",
        "ftp://studio.example",
        "https://user@studio.example",
        "https://",
        "https://a\r\nX: y",
        "https://[::1",
    ],
)
def test_anything_else_is_refused(origin: str) -> None:
    with pytest.raises(ConfigError):
        check_origin(origin)
