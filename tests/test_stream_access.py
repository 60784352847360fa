"""Every combination of tokens, and what it opens."""

from __future__ import annotations

import pytest

from stream.access import (
    MISSING_TOKEN,
    WRONG_TOKEN,
    AccessRules,
    Right,
    check_token,
    parse_stream_token,
)
from stream.errors import ConfigError

OPEN = AccessRules()
PUBLISHING = AccessRules(publish_token="pub")
BOTH = AccessRules(publish_token="pub", view_token="see")
PUBLIC = AccessRules(publish_token="pub", is_viewing_public=True)
VIEWING = AccessRules(view_token="see")
STREAMS = AccessRules(
    stream_publish_tokens={"a": "pub-a"}, stream_view_tokens={"a": "see-a", "b": "see-b"}
)


@pytest.mark.parametrize(
    ("rules", "token", "publishes", "views"),
    [
        # For streams: who may publish, who may watch; "*" stands for what concerns all of them.
        (OPEN, "", {"a", "b", "*"}, {"a", "b", "*"}),
        (OPEN, "any", {"a", "b", "*"}, {"a", "b", "*"}),
        (PUBLISHING, "", set(), set()),
        (PUBLISHING, "guess", set(), set()),
        (PUBLISHING, "pub", {"a", "b", "*"}, {"a", "b", "*"}),
        (BOTH, "see", set(), {"a", "b", "*"}),
        (BOTH, "pub", {"a", "b", "*"}, {"a", "b", "*"}),
        (PUBLIC, "", set(), {"a", "b", "*"}),
        (VIEWING, "", {"a", "b", "*"}, set()),
        (VIEWING, "see", {"a", "b", "*"}, {"a", "b", "*"}),
        (STREAMS, "", set(), set()),
        (STREAMS, "pub-a", {"a"}, {"a"}),
        (STREAMS, "see-a", set(), {"a"}),
        (STREAMS, "see-b", set(), {"b"}),
    ],
)
def test_a_token_opens_what_it_is_for_and_nothing_else(
    rules: AccessRules, token: str, publishes: set[str], views: set[str]
) -> None:
    authorization = f"Bearer {token}" if token else ""
    for right, opened in ((Right.PUBLISH, publishes), (Right.VIEW, views)):
        for name in ("a", "b", "*"):
            stream = None if name == "*" else name
            denial = rules.denial(authorization, right, stream=stream)
            refusal = WRONG_TOKEN if token else MISSING_TOKEN
            assert denial == (None if name in opened else refusal), (right, name)


@pytest.mark.parametrize("header", ["bearer pub", "BEARER pub", "Bearer  pub "])
def test_the_scheme_has_any_case_and_any_space(header: str) -> None:
    assert PUBLISHING.denial(header, Right.PUBLISH, stream="a") is None


@pytest.mark.parametrize("header", ["Basic pub", "pub", "Bearer", "Bearer  ", "Bearer \udcff"])
def test_any_other_header_is_no_token(header: str) -> None:
    assert PUBLISHING.denial(header, Right.PUBLISH, stream="a") is not None


@pytest.mark.parametrize("token", [None, "t", "p@ss:word!", "eyJhbGciOi.J9._-~+/=="])
def test_tokens_that_fit_into_a_header_are_taken(token: str | None) -> None:
    check_token(token)


@pytest.mark.parametrize("token", ["", "two words", "line\nbreak", "naïve"])
def test_tokens_that_do_not_are_refused_wherever_they_are_set(token: str) -> None:
    for tokens in ({"publish_token": token}, {"stream_view_tokens": {"a": token}}):
        with pytest.raises(ConfigError):
            AccessRules(**tokens)


def test_a_streams_token_is_read_and_a_bad_one_is_not_repeated() -> None:
    assert parse_stream_token("studio-2=a=b") == ("studio-2", "a=b")
    for text in ("s3cret", "=s3cret", "two words=s3cret", "a=s3c ret", "x" * 65 + "=s3cret"):
        with pytest.raises(ConfigError) as caught:
            parse_stream_token(text)
        assert "s3c" not in str(caught.value)
    with pytest.raises(ConfigError):
        AccessRules(stream_view_tokens={"a/b": "t"})
