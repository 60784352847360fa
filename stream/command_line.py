"""Command lines generated from frozen config dataclasses, and errors as one line for the user.

A setting is defined once, as a field with a docstring; the flag, its help, its default and its
check follow from it:

    @dataclass(frozen=True, slots=True, kw_only=True)
    class SenderConfig:
        input: Annotated[StreamName, Parameter(name="--input")] = field(kw_only=False)
        \"\"\"What to send: a file, a URL, or - for standard input.\"\"\"
        whip: str
        \"\"\"WHIP endpoint to publish to.\"\"\"
        bitrate_bps: Annotated[BitrateOrAuto, Parameter(name="--bitrate")] = 150_000
        \"\"\"Target on the wire.\"\"\"
        audio: bool = True
        \"\"\"Send sound.\"\"\"

        def __post_init__(self) -> None: ...  # raise ConfigError

    app = make_app("edvr-send", "Shrink, compress and publish live video.")

    @app.default
    def send(config: Annotated[SenderConfig, Parameter(name="*")]) -> None: ...

    def main() -> int:
        return run_command(app)

`input` (not keyword-only) becomes the positional INPUT, `audio` the pair `--audio`/`--no-audio`.

Exit status: 0 done; 2 the user must change something; 1 it broke while running (the remote side,
an inference library, or a defect of ours); 130 and 141 as shells report Ctrl-C and a closed pipe.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator, Sequence
from importlib import metadata
from inspect import BoundArguments

from cyclopts import App
from cyclopts.exceptions import (
    CycloptsError,
    MissingArgumentError,
    UnusedCliTokensError,
)

from stream.config_file import apply_config_file
from stream.errors import ConfigError, EdvrError, InferenceFailed, PeerError
from stream.log import logs_json

DISTRIBUTION = "edvr-live"

_log = logging.getLogger(__name__)

EXIT_BROKE = 1
EXIT_USER = 2
EXIT_INTERRUPTED = 128 + 2  # how shells report a death by SIGINT
EXIT_PIPE_CLOSED = 128 + 13  # and by SIGPIPE

TRACEBACK_VARIABLE = "EDVR_TRACEBACK"
"""Environment variable that lets errors out with their traceback, for whoever debugs."""


def make_app(name: str, summary: str) -> App:
    """An application whose errors and results are left to `run_command`."""
    return App(
        name=name,
        help=summary,
        help_format="plaintext",
        version=lambda: f"{name} {_version()}",
        suppress_keyboard_interrupt=False,
        exit_on_error=False,
        print_error=False,
        result_action="return_value",
        config=apply_config_file,  # for commands that have the flag
    )


def parse_command(app: App, arguments: Sequence[str]) -> BoundArguments:
    """Parse without running: the arguments that the command of `app` would be called with.

    Raises ConfigError for whatever `run_command` would refuse before it runs the command.
    """
    try:
        return app.parse_args(list(arguments))[1]
    except CycloptsError as error:
        raise ConfigError(_wrong_arguments(app, error)) from error


def run_command(app: App, arguments: Sequence[str] | None = None) -> int:
    """Run the command line of `app` and return its exit status; see the module docstring.

    arguments: what follows the program's name; None takes them from this process.
    A command returns None (status 0) or its own status. Errors become one line on stderr.
    """
    try:
        given = sys.argv[1:] if arguments is None else arguments
        outcome = app(list(given), verbose=False)
        sys.stdout.flush()  # here, where a closed pipe can still be dealt with
        return outcome if isinstance(outcome, int) else 0
    except BaseException as error:
        if os.environ.get(TRACEBACK_VARIABLE):
            raise
        cause = _leading_cause(error)
        if isinstance(cause, KeyboardInterrupt):
            return EXIT_INTERRUPTED
        if isinstance(cause, BrokenPipeError):
            _discard_stdout()
            return EXIT_PIPE_CLOSED
        if not isinstance(cause, Exception):
            raise  # SystemExit and the like mean what they say
        message, status = _explain(app, cause)
        if logs_json():
            _log.error("%s", one_line(message))
        else:
            print(f"{app.name[0]}: {one_line(message)}", file=sys.stderr)
        return status


def one_line(text: str) -> str:
    """`text` without line breaks and control characters, so that a peer cannot steer a terminal."""
    return "".join(c if c.isprintable() else "?" for c in " ".join(text.split()))


def _explain(app: App, error: Exception) -> tuple[str, int]:
    """What to tell the user about `error`, and the exit status."""
    match error:
        case CycloptsError():
            return _wrong_arguments(app, error), EXIT_USER
        case PeerError() | InferenceFailed():
            return str(error), EXIT_BROKE
        case EdvrError():
            return str(error), EXIT_USER
        case OSError():
            where = f" ({error.filename})" if error.filename else ""
            return f"{error.strerror or error}{where}", EXIT_USER
        case _:
            message = f"stopped by a defect of ours ({type(error).__name__}: {error})"
            return f"{message}; {TRACEBACK_VARIABLE}=1 in the environment shows where", EXIT_BROKE


def _wrong_arguments(app: App, error: CycloptsError) -> str:
    """One line about a command line that does not fit, and where to read how it should be."""
    match error:
        case MissingArgumentError(argument=argument) if (
            argument is not None and not argument.tokens
        ):
            named = error.keyword is not None
            label = argument.name if named or argument.index is None else argument.name[2:].upper()
            problem = f"{label} needs a value" if named else f"{label} is missing"
        case UnusedCliTokensError(unused_tokens=[first, *_]):
            problem = f"{first!r} is one argument too many"
        case _:
            error.verbose = False
            problem = str(error).rstrip(".")
            problem = problem[:1].lower() + problem[1:]
    command = " ".join((app.name[0], *(error.command_chain or ())))
    return f"{problem} (see {command} --help)"


def _leading_cause(error: BaseException) -> BaseException:
    """Of a group (a failed asyncio.TaskGroup), the error to report: ours before any other."""
    leaves = list(_leaves(error))
    return next((leaf for leaf in leaves if isinstance(leaf, EdvrError)), leaves[0])


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for member in error.exceptions:
            yield from _leaves(member)
    else:
        yield error


def _discard_stdout() -> None:
    """Send what Python still wants to flush at exit nowhere, instead of into the closed pipe."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def _version() -> str:
    try:
        return metadata.version(DISTRIBUTION)
    except metadata.PackageNotFoundError:
        return "(not installed, run from its source tree)"
