"""A virtual camera, which video calls and browsers open like a real one; no sound.

On Linux it is a v4l2loopback device, which only root can make: `modprobe v4l2loopback`.
"""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

import numpy as np

from decoder.sink import CameraTarget, public_name
from stream.audio import AudioChunk
from stream.errors import CodecError, ConfigError, SinkError
from stream.frame import Frame, Size

if TYPE_CHECKING:
    import pyvirtualcam


def check_camera() -> None:
    """Raise ConfigError that says what to install when there cannot be a virtual camera."""
    if importlib.util.find_spec("pyvirtualcam") is None:
        raise ConfigError("camera: needs a library: pip install 'edvr-live[camera]'")


class CameraSink:
    """See `decoder.sink.Sink` for the contract."""

    def __init__(self, target: CameraTarget, *, size: Size, frame_rate: float) -> None:
        """Open the device. Raises ConfigError without the library, SinkError without a device."""
        check_camera()
        import pyvirtualcam

        self._name, self._size = public_name(target), size
        self._bytes_written = 0
        try:
            self._camera: pyvirtualcam.Camera = pyvirtualcam.Camera(
                width=size.width,
                height=size.height,
                fps=frame_rate,
                fmt=pyvirtualcam.PixelFormat.I420,
                device=target.device,
            )
        except (RuntimeError, ValueError, OSError) as error:
            raise SinkError(
                f"{self._name} cannot be opened: {str(error).partition('. ')[0]}"
            ) from (error)

    @property
    def name(self) -> str:
        """The target."""
        return self._name

    @property
    def bytes_written(self) -> int:
        """Bytes of the pictures so far."""
        return self._bytes_written

    def write_video(self, frame: Frame) -> bool:
        """Show a frame until the next one. Raises CodecError (size) and SinkError."""
        if frame.size != self._size:
            raise CodecError(f"the output is {self._size}, but a frame of {frame.size} came")
        planes = np.concatenate([frame.y.ravel(), frame.u.ravel(), frame.v.ravel()])
        try:
            self._camera.send(planes)
        except (RuntimeError, OSError) as error:
            raise SinkError(f"{self._name} stopped: {error}") from error
        self._bytes_written += planes.nbytes
        return True

    def write_audio(self, chunk: AudioChunk) -> None:
        """Nothing: a camera has no sound."""

    def close(self) -> None:
        """Give the device back."""
        self._camera.close()
