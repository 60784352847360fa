"""Settings from a TOML file: every flag by its name without the dashes.

    output = ["restored.mp4", "hls:live"]      # --output restored.mp4 hls:live
    listen = "0.0.0.0:8080"
    lookahead = 0

What is given on the command line or in the environment goes before the file.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from cyclopts import App, ArgumentCollection, Parameter
from cyclopts.config import Dict

from stream.errors import ConfigError

FIELD = "config"
FLAG = f"--{FIELD}"

ConfigFilePath = Annotated[Path | None, Parameter(name=FLAG, metavar="FILE", show_default=False)]
"""Type of a config dataclass' field `config`, which makes `--config FILE` a flag."""


def apply_config_file(app: App, commands: tuple[str, ...], arguments: ArgumentCollection) -> None:
    """A `cyclopts.App.config`: fill what was not given from the file that `--config` names.

    Raises ConfigError for a file that cannot be read; cyclopts' own errors for keys that are no
    flags and values that do not fit.
    """
    tokens = [
        token
        for each in arguments
        # By its field too: another program's --config may be something else.
        if FLAG in each.names and each.field_info.name == FIELD
        for token in each.tokens
    ]
    if not tokens:
        return
    path = tokens[0].value
    settings = _read(Path(path))
    if FIELD in settings:
        raise ConfigError(f"{FLAG} {path}: a configuration file cannot name another one")
    source = Dict(dict(settings), source=path, use_commands_as_keys=False)
    source(app, commands, arguments)


def _read(path: Path) -> Mapping[str, object]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{FLAG} {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{FLAG} {path} is not TOML: {error}") from error
