"""Fetches a profile from a file or, by HTTPS and with its hash pinned, from the web."""

from __future__ import annotations

import hashlib
import http.client
import logging
import re
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from decoder.adapted_artefact import AdaptedWeights, adapt_artefact, adaptable_shapes
from decoder.artefact import Artefact, find_artefact, list_artefacts, load_artefact
from decoder.model_choice import AUTO, LANCZOS
from decoder.weight_profile import describe_profile, profile_weights, shown_scene
from stream.command_line import one_line
from stream.errors import ConfigError, DeltaRefused
from stream.profile_file import MAX_PROFILE_BYTES, Profile, decode_profile

_log = logging.getLogger(__name__)

_PIN = re.compile(r"sha256=([0-9a-fA-F]{64})")
PROFILE_ENDING = ".profile"

_CONNECT_S = 10.0
_FETCH_S = 60.0
"""For all of it: a few hundred kilobytes, once, before anything is received."""
_CHUNK = 1 << 16


def is_url(source: str) -> bool:
    """Whether a profile is named by a URL and not by a file."""
    return "://" in source


def check_profile_source(source: str) -> None:
    """Raises ConfigError for a URL that is not `https`, or that lacks `#sha256=…`."""
    if not is_url(source):
        return
    url, _, fragment = source.partition("#")
    if not url.startswith("https://"):
        raise ConfigError(f"profile {url}: only https:// URLs are fetched")
    if not _PIN.fullmatch(fragment):
        raise ConfigError(f"profile {url}: add its hash, as URL#sha256=64 hexadecimal digits")


def load_profile(source: str, *, trusted: ssl.SSLContext | None = None) -> Profile:
    """Read a profile from FILE or URL#sha256=HASH.

    trusted: whom to trust, by default whom the system trusts. Raises ConfigError when it cannot be
    fetched, is not what was pinned, or is damaged.
    """
    check_profile_source(source)
    name = source.partition("#")[0] if is_url(source) else source
    data = _fetch(source, trusted) if is_url(source) else _read(Path(source))
    try:
        return decode_profile(data)
    except DeltaRefused as error:
        raise ConfigError(f"profile {name}: {error}") from error


def load_scene_weights(sources: Sequence[str], model: str) -> list[AdaptedWeights]:
    """The weights of several profiles, each for the scenes that it was made from.

    A single one is for all scenes, and so is one of several that does not tell its own. Raises
    ConfigError as `load_weights`, and when two of them do not tell.
    """
    found: list[AdaptedWeights] = []
    for source in sources:
        profile = load_profile(source)
        weights = _told(profile, weights_for(profile, model))
        scene = shown_scene(profile) if len(sources) > 1 else None
        if scene is None and any(each.scene is None for each in found):
            raise ConfigError(
                f"profile {profile.info.name!r} does not tell its scenes, and neither does another"
            )
        found.append(replace(weights, scene=scene))
    return found


def load_weights(source: str, model: str) -> AdaptedWeights:
    """The weights of the profile at FILE or URL#sha256=HASH, for a restorer that uses `model`.

    Raises ConfigError as `load_profile` and `weights_for`.
    """
    profile = load_profile(source)
    return _told(profile, weights_for(profile, model))


def weights_for(profile: Profile, model: str) -> AdaptedWeights:
    """The weights of a profile, for a restorer that was told to use `model`.

    Raises ConfigError when that model, or with auto any installed one, is not what it was made for.
    """
    base = base_model(profile, model)
    try:
        weights = profile_weights(profile, adaptable_shapes(base))
        adapt_artefact(base, weights)
    except DeltaRefused as error:
        raise ConfigError(f"profile {profile.info.name!r}: {error}") from error
    return weights


def profile_lines(source: str) -> list[str]:
    """What a profile says of itself. Raises ConfigError when it cannot be read."""
    profile = load_profile(source)
    base = installed_base(profile)
    try:
        return describe_profile(profile, None if base is None else adaptable_shapes(base))
    except DeltaRefused as error:
        raise ConfigError(f"profile {source}: {error}") from error


def installed_base(profile: Profile) -> Artefact | None:
    """The installed model that a profile was made from, if there is one."""
    for artefact in list_artefacts():
        if artefact.sha256 == profile.header.base_sha256:
            return load_artefact(artefact.folder)
    return None


def base_model(profile: Profile, model: str) -> Artefact:
    """The model that a profile was made from, when told to use `model`. Raises ConfigError."""
    info = profile.info
    wanted = f"profile {info.name!r} is for {info.base_model} version {info.base_version}"
    if model == LANCZOS:
        raise ConfigError(f"{wanted}, not for lanczos, which has no weights")
    if model == AUTO:
        base = installed_base(profile)
        if base is None:
            raise ConfigError(f"{wanted}, and that is not installed")
        return base
    chosen = find_artefact(model)
    if chosen.sha256 != profile.header.base_sha256:
        found = f"{chosen.manifest.name} version {chosen.manifest.version}"
        other = (
            " with other weights"
            if found == f"{info.base_model} version {info.base_version}"
            else ""
        )
        raise ConfigError(f"{wanted}, not for {found}{other}")
    return chosen


def _told(profile: Profile, weights: AdaptedWeights) -> AdaptedWeights:
    """Log what they are."""
    gains = ", ".join(f"{name} {gain:+.3g}" for name, gain in profile.info.gains.items())
    _log.info("%s for %s: %s", weights.label, one_line(profile.info.base_model), one_line(gains))
    return weights


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAX_PROFILE_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"cannot read profile {path}: {error.strerror}") from error


def _fetch(source: str, trusted: ssl.SSLContext | None) -> bytes:
    url, _, fragment = source.partition("#")
    pin = fragment.removeprefix("sha256=").lower()
    opener = urllib.request.OpenerDirector()
    for handler in (  # nothing else: a redirect may not lead to http, ftp or a file
        urllib.request.ProxyHandler(),
        urllib.request.HTTPSHandler(context=trusted or ssl.create_default_context()),
        urllib.request.HTTPRedirectHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.UnknownHandler(),
    ):
        opener.add_handler(handler)
    deadline_s = time.monotonic() + _FETCH_S
    data = bytearray()
    try:
        with opener.open(url, timeout=_CONNECT_S) as response:
            while chunk := response.read1(_CHUNK):
                data += chunk
                if len(data) > MAX_PROFILE_BYTES:
                    raise ConfigError(f"profile {url}: larger than {MAX_PROFILE_BYTES} bytes")
                if time.monotonic() > deadline_s:
                    raise ConfigError(f"profile {url}: not fetched within {_FETCH_S:g} s")
    except urllib.error.HTTPError as error:
        error.close()
        raise ConfigError(f"cannot fetch profile {url}: {error.code} {error.reason}") from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        raise ConfigError(f"cannot fetch profile {url}: {reason}") from error
    found = hashlib.sha256(data).hexdigest()
    if found != pin:
        raise ConfigError(f"profile {url} is not what was pinned: SHA-256 {found}")
    return bytes(data)
