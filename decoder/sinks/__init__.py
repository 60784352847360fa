"""One file per kind of sink; `decoder.sink.open_sink` is the way in."""
