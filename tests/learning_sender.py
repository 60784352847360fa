"""`edvr-send` whose training does not wait for an idle core: on a busy machine none is."""

from __future__ import annotations

import encoder.trainer_process
from encoder.cli import main

if __name__ == "__main__":
    encoder.trainer_process.TRAIN += ("--niceness", "0")
    raise SystemExit(main())
