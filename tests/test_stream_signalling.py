"""Configuration of the HTTP edge, and the one form that errors have."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from stream.errors import ConfigError
from stream.signalling import HttpConfig, error

CONFIG = HttpConfig(host="127.0.0.1", port=0)


def test_an_error_is_one_line_whatever_the_reason_holds() -> None:
    response = error(422, "first\r\nSet-Cookie: x\x00\u2028second" + "!" * 1000)
    assert isinstance(response.body, str)
    assert response.body.startswith("first Set-Cookie: x second!")
    assert response.body.count("\n") == 1
    assert len(response.body) < 400


@pytest.mark.parametrize(
    "change",
    [
        {"host": ""},
        {"port": -1},
        {"port": 65536},
        {"max_sessions": 0},
        {"cors_origins": ("a\r\nX: y",)},
        {"tls_cert": Path("cert.pem")},
        {"tls_key": Path("key.pem")},
        {"request_timeout_s": 0.0},
        {"accept_timeout_s": -1.0},
    ],
)
def test_a_configuration_that_cannot_work_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        replace(CONFIG, **change)  # type: ignore[arg-type]  # the values are wrong on purpose


def test_an_error_may_carry_headers() -> None:
    response = error(405, "no", ("Allow", "POST"))
    assert dict(response.headers)["Allow"] == "POST"
    assert response.body == "no\n"
