"""The pages for people: static files of this package, and nothing from anywhere else."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib import resources

from stream.signalling import HttpRequest, HttpResponse, error

_PAGES = {"/": "index.html", "/publish": "publish.html"}
_ASSETS = "/web/"
_TYPES = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
"""Scripts and styles only from files of this server, none inside pages (CSP level 3)."""

_SAFETY = (
    ("Content-Security-Policy", CONTENT_SECURITY_POLICY),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("Permissions-Policy", "camera=(self), microphone=(self), fullscreen=(self)"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cache-Control", "no-cache"),  # ask each time; the tag below makes that cheap
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _File:
    content: str
    headers: tuple[tuple[str, str], ...]
    entity_tag: str


class WebPages:
    """An `HttpService`: `/`, `/publish`, and what they are made of below `/web/`.

    They hold no secrets and take no token; the figures and pictures they ask for do.
    """

    def __init__(self) -> None:
        folder = resources.files("decoder") / "web"
        files = {each.name: _read(each.name, each.read_text("utf-8")) for each in folder.iterdir()}
        self._files = {path: files[name] for path, name in _PAGES.items()}
        self._files |= {f"{_ASSETS}{name}": file for name, file in files.items()}

    async def respond(self, request: HttpRequest) -> HttpResponse | None:
        """See `HttpService.respond`."""
        file = self._files.get(request.path)
        if file is None:
            is_ours = request.path.startswith(_ASSETS)
            return error(404, "there is no such file") if is_ours else None
        if request.method not in ("GET", "HEAD"):
            return error(405, "a page takes GET only", ("Allow", "GET, HEAD"))
        if file.entity_tag in request.headers.get("if-none-match", ""):
            return HttpResponse(status=304, headers=file.headers)
        return HttpResponse(status=200, headers=file.headers, body=file.content)


def _read(name: str, content: str) -> _File:
    entity_tag = f'"{hashlib.sha256(content.encode()).hexdigest()[:32]}"'
    kind = _TYPES[name.rpartition(".")[2]]
    headers = (("Content-Type", kind), ("ETag", entity_tag), *_SAFETY)
    return _File(content=content, headers=headers, entity_tag=entity_tag)
