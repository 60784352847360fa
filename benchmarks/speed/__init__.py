"""How fast restoration runs here: every model on every backend, with its peers in the same run.

`plan` says what is measured; `worker` is the process that measures one of them, alone, so that its
memory and threads are its own; `candidates` does the work of one frame in each way;
`openvino_nets` are single-frame networks of others and the machine's own limit; `table` puts it all
side by side, and `choice` what the receiver would have chosen.
"""
