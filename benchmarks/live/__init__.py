"""Measuring the product while it runs: real sender and receiver processes, watched from outside.

    feed (clip + time code) ──TCP──> edvr-send ──UDP──> relay ──UDP──> edvr-receive ──pipe──> output
                                         └──WHIP──> proxy ──WHIP──┘

`time_code` is drawn into each picture before the sender gets it and read back from what the
receiver puts out. `relay` stands between the two on the media path, so it sees every datagram, and
`wire_record` says what each is and which picture it belongs to. `playout` is the viewer: what comes
too late is not shown.
"""
