"""The sender: capture, downscale, compress, send."""
