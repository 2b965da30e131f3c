"""A rehearsal: all that a run does on a cluster, without a GPU and without learning.

The command line is the run's own, and what it starts is verl's as far as no GPU is needed: the data set, the agent
loops and their manager, the client of the rollout servers. In place of vLLM and of the trainer there are two programs
of this package: servers that sample tokens from a policy of random numbers (`server.py`), and a trainer that counts steps
and writes checkpoints without weights (`trainer.py`). No gradient is computed.
"""
