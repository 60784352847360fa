"""`edvr-receive`: the command line of the receiver."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from decoder.receiver_config import ReceiverConfig
from stream.command_line import make_app, run_command

app = make_app("edvr-receive", "Receive live video over WebRTC, restore it to HD, write it out.")


_DEFAULTS = ReceiverConfig()


@app.default
async def receive(config: Annotated[ReceiverConfig, Parameter(name="*")] = _DEFAULTS) -> None:
    """Receive until interrupted."""
    if config.calibrate:
        from decoder.calibrate import calibrate
        from decoder.calibration_cache import load_calibration, save_calibration
        from decoder.calibration_report import calibration_lines

        measured = calibrate(config.restorer, load_calibration())
        save_calibration(measured)
        print("\n".join(calibration_lines(config.restorer, measured)))
        return
    from decoder.receiver import run  # only now: --help need not load codecs
    from stream.log import set_up_logging

    set_up_logging(verbose=config.verbose, log_format=config.log_format)
    await run(config)


def main() -> int:
    """Entry point; returns the exit code."""
    return run_command(app)


if __name__ == "__main__":
    raise SystemExit(main())
