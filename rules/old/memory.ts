import type { RuleText } from "./text.ts";

/** Rules about the memory of GPUs and hosts, and the room for checkpoints. Formula: docs/memory.md. */
export const memoryRules = {
  "gpu-memory": {
    title: "every role fits the memory of a GPU",
    severity: "fatal",
    consequence: "out of memory, hours into the run, when the first long trial is trained on",
    remedy:
      "a shorter window, more sequence parallelism, more trainer nodes, or kernels that never make the logits",
    source: "docs/memory.md; C-17, C-21",
    checkedBy: "plan",
  },
  "kv-cache": {
    title: "the KV cache of a rollout server holds a sequence of the full window",
    severity: "fatal",
    consequence: "vLLM refuses to start",
    remedy: "raise vllm.gpu_memory_utilization or vllm.gen_tp, or shorten vllm.max_model_length",
    source: "vLLM's documentation, conserving memory; docs/memory.md",
    checkedBy: "plan",
  },
  "host-memory": {
    title: "a training pod holds what the GPUs offload",
    severity: "fatal",
    consequence: "the kernel kills the run's processes",
    remedy: "raise gpu_nodes.memory in the site file, or turn off training.actor_offload",
    source: "docs/memory.md",
    checkedBy: "plan",
  },
  "checkpoint-size": {
    title:
      "the checkpoint volume holds the checkpoints that are kept, and one that is being written",
    severity: "fatal",
    consequence: "a checkpoint cannot be written, and the run ends",
    remedy:
      "raise storage.checkpoints.size, or keep fewer: verl.overrides: { trainer.max_actor_ckpt_to_keep: 2 }",
    source: "C-34; docs/memory.md",
    checkedBy: "plan",
  },
} as const satisfies Record<string, RuleText>;
