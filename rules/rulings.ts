/** Rulings where the original system's documents disagree, as far as something here follows from them (domain 14). */
export const rulings: Readonly<Record<string, string>> = {
  "D-01": "LiteLLM on one node, the proxy in process on the asynchronous tiers",
  "D-03":
    "outputs live below `repos/harbor-verl-train`, on the asynchronous tiers below the repository's root",
  "D-07": "behind LiteLLM, a trial's calls are in `<trial>/litellm-trajectory.jsonl`",
  "D-08": "sequence parallelism 1 for Qwen3.5: an error on FSDP, a warning on VeOmni",
  "D-11": "prompts in flight are derived by verl, and shown",
  "D-17": "the new verl has router replay and the trajectory filter",
  "D-20": "KL loss: off on one node, on in the asynchronous tiers",
  "D-21":
    "save and validate every 5 steps on one node, every 10 in the asynchronous tiers, which also validate first",
  "D-22": "turns, set-up time, validation temperature and the no-tool limit of each generation",
  "D-24": "Claude Code is named `claude-code`",
  "D-26": "start with 16 workers; the quota is sized for the steady state",
  "D-28": "trials may lag one weight version",
  "D-29": "steps between weight syncs: batch / (mini-batch × batches taken at once)",
  "D-30": "object store of 40 GB",
  "D-31": "validation pods may live 9000 s",
  "D-32": "the sandbox backend follows the site",
};
