"""Vocabulary and transport shared by the sender (`encoder`) and the receiver (`decoder`).

Glossary, used everywhere and never re-invented:

sender
    Captures, downscales, compresses and sends live video (package `encoder`).
receiver
    Receives, restores and outputs it (package `decoder`).
rung
    A (width, height, codec, bitrate) on the ladder of what may travel.
LR, HR
    Low resolution: the picture that travels. High resolution: the picture that is restored.
reference
    The frame of a window that is being restored.
window
    The N LR frames around the reference frame.
lookahead
    How many frames of the window lie in the future of the reference (0..N//2).
Restorer
    Window, features and backend together: LR frames in, HR frames out.
VideoEncoder
    A video codec in its live settings: LR frames in, packets out.
Backend
    Runs the two graphs of a network (`extract`, `fuse`) on one inference library.
sink
    A place that restored frames go to: a file, a push URL, a pipe.
quantiser
    How coarsely a frame was coded, in H.264 QP units (0..51); AV1 and others are mapped to it.
"""
