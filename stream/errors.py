"""Every error this project raises on purpose, in one tree.

EdvrError
 ├── ConfigError          a setting or file the user gave is wrong; fails at once
 ├── FrameError           a frame breaks its contract (our bug or our caller's)
 ├── PeerError            the remote side misbehaved; caught in one place, the stream lives on
 │    ├── SignallingError      WHIP or WHEP: no session now, but maybe later
 │    └── DeltaRefused         weights from outside are damaged, or not for this model
 ├── CodecError           a codec refused to open, encode or decode
 ├── SinkError            a local output cannot take more; other outputs go on
 └── BackendError
      ├── BackendUnavailable   the inference library is not installed; names the extra
      ├── ModelMismatch        an artefact is damaged or computes the wrong thing here
      └── InferenceFailed      the library failed while running

Third-party exceptions are translated into these where the third party is imported.
"""


class EdvrError(Exception):
    """Base of all errors; its message is one line a user can act on."""


class ConfigError(EdvrError):
    """A setting, path or URL given by the user cannot be used."""


class FrameError(EdvrError):
    """A frame breaks the contract of `stream.frame.Frame`."""


class PeerError(EdvrError):
    """The remote side sent something unusable, or went away."""


class SignallingError(PeerError):
    """No session now, but maybe later. retry_after_s: the least wait the peer asked for, or None.

    Every PeerError of the WHIP and WHEP clients is one of these.
    """

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class DeltaRefused(PeerError):
    """Weights from outside cannot be used: damaged, out of order, or not for this model."""


class CodecError(EdvrError):
    """A codec cannot be opened, or refused a picture or packet."""


class SinkError(EdvrError):
    """A local output cannot take more: disk full, pipe closed. It is over; other outputs go on."""


class BackendError(EdvrError):
    """Base of everything that can go wrong while running a network."""


class BackendUnavailable(BackendError):
    """The inference library of a backend is not installed."""


class ModelMismatch(BackendError):
    """A model artefact is damaged, or an engine computes something else than it should."""


class InferenceFailed(BackendError):
    """The inference library failed on a frame."""
