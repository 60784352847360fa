"""Training of the networks: corpus, losses, loop, evaluation. Needs the extra `train`."""
