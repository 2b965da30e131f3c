"""Has verl hand weights to vLLM through shared memory, for machines on which CUDA shares none between processes.

verl imports it where `actor_rollout_ref.model.external_lib` names it.
"""

from __future__ import annotations

from verl.workers.rollout.vllm_rollout import vllm_rollout


def _no() -> bool:
    return False


vllm_rollout.is_support_ipc = _no
