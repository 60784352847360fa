"""The pages as files: what they may load, and how they are served."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import decoder
from decoder.web_pages import CONTENT_SECURITY_POLICY, WebPages
from stream.signalling import HttpRequest, HttpResponse

FOLDER = Path(decoder.__file__).parent / "web"
PAGES = {"/": "index.html", "/publish": "publish.html"}


async def get(path: str, method: str = "GET", **headers: str) -> HttpResponse | None:
    return await WebPages().respond(HttpRequest(method=method, path=path, headers=headers))


@pytest.mark.parametrize(("path", "name"), PAGES.items())
async def test_a_page_is_served_with_a_policy_that_lets_nothing_else_in(
    path: str, name: str
) -> None:
    response = await get(path)
    assert response is not None
    headers = dict(response.headers)
    assert (response.status, response.body) == (200, (FOLDER / name).read_text())
    assert headers["Content-Type"] == "text/html; charset=utf-8"
    assert headers["Content-Security-Policy"] == CONTENT_SECURITY_POLICY
    assert headers["X-Content-Type-Options"] == "nosniff"


def test_the_policy_has_no_way_around_it() -> None:
    directives = dict(part.split(" ", 1) for part in CONTENT_SECURITY_POLICY.split("; "))
    assert directives["default-src"] == "'none'"
    assert set(directives.values()) == {"'none'", "'self'"}
    assert directives["script-src"] == directives["style-src"] == "'self'"


@pytest.mark.parametrize("name", PAGES.values())
def test_a_page_carries_no_script_or_style_of_its_own_and_names_no_other_host(name: str) -> None:
    page = (FOLDER / name).read_text()
    assert re.findall(r"<script(?![^>]*\ssrc=)[^>]*>", page) == []
    assert re.findall(r"<script[^>]*>\s*[^<\s]", page) == []
    assert re.findall(r"<style|\sstyle=|\son[a-z]+=|javascript:", page) == []
    assert re.findall(r"(?:src|href)=\"(?!/|#)[^\"]*\"", page) == []


async def test_everything_the_pages_refer_to_is_there() -> None:
    wanted = {
        path
        for name in PAGES.values()
        for path in re.findall(r"(?:src|href)=\"(/[^\"]*)\"", (FOLDER / name).read_text())
    }
    for script in FOLDER.glob("*.js"):
        imported = re.findall(r"(?:from|import) \"\./([^\"]+)\"", script.read_text())
        wanted |= {f"/web/{name}" for name in imported}
    assert "/web/signalling.js" in wanted
    for path in wanted:
        response = await get(path)
        assert response is not None, path
        assert response.status == 200, path


def test_no_file_of_theirs_names_another_host() -> None:
    for file in FOLDER.iterdir():
        hosts = set(re.findall(r"https?://[^\s\"'`)]+", file.read_text()))
        assert hosts <= {"http://www.w3.org/2000/svg"}, file.name  # a name, nothing to load


async def test_what_has_not_changed_is_not_sent_again() -> None:
    first = await get("/web/style.css")
    assert first is not None
    tag = dict(first.headers)["ETag"]
    second = await get("/web/style.css", **{"if-none-match": f'W/"x", {tag}'})
    assert second is not None
    assert (second.status, second.body) == (304, "")


@pytest.mark.parametrize(
    ("path", "method", "status"),
    [
        ("/web/nothing.js", "GET", 404),
        ("/web/../receiver.py", "GET", 404),
        ("/web/", "GET", 404),
        ("/", "POST", 405),
        ("/publish", "HEAD", 200),
    ],
)
async def test_the_rest_is_refused(path: str, method: str, status: int) -> None:
    response = await get(path, method)
    assert response is not None
    assert response.status == status


@pytest.mark.parametrize("path", ["/whip", "/whep/live", "/api/streams", "/webs", "/index.html"])
async def test_other_paths_are_somebody_elses(path: str) -> None:
    assert await get(path) is None
