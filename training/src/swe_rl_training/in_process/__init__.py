"""Proxy mode `in_process`: a worker serves its own trials, in front of verl's rollout servers.

A weight sync that aborts a generation is verl's business then: its client for asynchronous runs asks
again with what was sampled so far (verl/workers/rollout/llm_server.py, verl 0.9.1), and the agent
waits a little longer.
"""

from .server import PolicyServer
from .session import Sampler, Session

__all__ = ["PolicyServer", "Sampler", "Session"]
