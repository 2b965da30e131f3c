/** Rules about what GPUs, hosts and the checkpoint volume hold. */
import type { Experiment } from "../config/schema/experiment.ts";
import { machineSetting } from "../plan/host.ts";
import { fullAfterStep } from "../plan/storage/index.ts";
import type { LogitsLoss, Memory, RoleMemory } from "../plan/memory/index.ts";
import { defineRule } from "./rule.ts";

const GiB = 2 ** 30;

export const gpuMemory = defineRule({
  id: "gpu-memory",
  title: "every role fits the GPU's memory",
  severity: "fatal",
  consequence: "out of memory, hours into the run, when the first long trial is trained on",
  remedy: "shorten the window, or use a tier with more trainer nodes",
  source: "docs/memory.md; docs/decisions.md#c-17; docs/decisions.md#c-21",
  *check({ settings, host, plan: { memory } }) {
    if (!memory) {
      yield {
        severity: "unknown",
        path: ["model", "model_path"],
        found: "has shapes that are not known, so it is unknown whether it fits the GPUs",
        remedy: "name its config.json with model.config_file, or add them to config/models.yaml",
      };
      return;
    }
    const { capacity, margin } = memory;
    if (capacity === undefined) {
      yield {
        severity: "unknown",
        path: machineSetting(host, "gpu_memory"),
        found: `is not set, so it is unknown whether a GPU has the ${inGiB(peakOf(memory))} that the trainer needs`,
        remedy: "set it to what nvidia-smi shows",
      };
      return;
    }
    for (const { role, peak } of memory.roles) {
      // What vLLM takes is bounded by its share; what the trainer needs is estimated.
      const doubtful = isRollout(role) ? 1 : 1 + margin;
      if (peak.bytes * doubtful <= capacity) continue;
      const clearly = peak.bytes > capacity * (1 + margin);
      const parts = Object.entries(peak.parts).map(([name, bytes]) => `${name} ${inGiB(bytes)}`);
      const assumed =
        role === "actor" && memory.loss ? `; assumed loss: ${lossOf(memory.loss)}` : "";
      const doubt = clearly
        ? ""
        : `; the estimate may be wrong by ${margin * 100} %, and the allocator reserves more than it uses`;
      yield {
        ...(clearly ? {} : { severity: "warn" as const }),
        path: isRollout(role)
          ? ["vllm", "gpu_memory_utilization"]
          : ["training", "max_response_length"],
        found: `the ${role} needs about ${inGiB(peak.bytes)} of a GPU with ${inGiB(capacity)} (${parts.join(", ")})${assumed}${doubt}`,
        remedy: remedyOf(role, memory, settings.experiment),
      };
    }
  },
});

function lossOf({ copies, words }: LogitsLoss): string {
  return `${words}, ${copies} × the logits`;
}

function isRollout(role: RoleMemory["role"]): boolean {
  return role === "rollout" || role === "weight sync";
}

function remedyOf(role: RoleMemory["role"], { loss }: Memory, experiment: Experiment): string {
  if (isRollout(role)) return "lower it, or set training.actor_offload";
  const { training, verl } = experiment;
  const ways = [
    "shorten the window",
    "use a tier with more trainer nodes",
    ...(verl.engine === "fsdp" && !training.activation_offload
      ? ["set training.activation_offload to true"]
      : []),
    ...((loss?.copies ?? 0) > 3 ? ["use verl 0.9.1, which makes fewer copies of the logits"] : []),
    "verl.overrides: { actor_rollout_ref.model.use_fused_kernels: true }",
  ];
  return `${ways.slice(0, -1).join(", ")}, or ${ways.at(-1) ?? ""}`;
}

export const kvCache = defineRule({
  id: "kv-cache",
  title: "the KV cache holds one window",
  severity: "fatal",
  consequence: "vLLM refuses to start",
  remedy: "raise it, raise vllm.gen_tp, or shorten vllm.max_model_length",
  source: "https://docs.vllm.ai/en/stable/configuration/conserving_memory/; docs/memory.md",
  *check({ plan: { memory, batches } }) {
    const { modelLength } = batches;
    if (!memory?.rollout || memory.rollout.kvTokens >= modelLength) return;
    const { kvTokens } = memory.rollout;
    yield {
      path: ["vllm", "gpu_memory_utilization"],
      found:
        kvTokens > 0
          ? `leaves a KV cache of ${kvTokens} tokens, less than the window of ${modelLength}`
          : "is not even enough for the weights",
    };
  },
});

export const hostMemory = defineRule({
  id: "host-memory",
  title: "the host's memory holds what GPUs offload",
  severity: "fatal",
  consequence: "the kernel kills the trainer",
  remedy: "raise it, or set training.actor_offload to false",
  source: "docs/memory.md",
  *check({ host, plan: { memory, ray } }) {
    const [trainer] = ray.groups;
    if (!memory || !trainer) return;
    const left = trainer.memoryBytes - trainer.sharedMemoryBytes;
    if (memory.hostBytes <= left) return;
    yield {
      path: machineSetting(host, "memory"),
      found: `leaves ${inGiB(left)} beside /dev/shm, but the trainer keeps about ${inGiB(memory.hostBytes)} in a node's memory (offloaded weights and optimizer state, and the checkpoint as it is loaded)`,
    };
  },
});

export const checkpointSize = defineRule({
  id: "checkpoint-size",
  title: "the checkpoint volume holds all checkpoints that are kept, through every restart",
  severity: "fatal",
  consequence: "the volume is full, and the run fails as it saves",
  remedy: "raise it, or lower training.checkpoints_to_keep",
  source:
    "docs/decisions.md#c-34; docs/memory.md; https://github.com/volcengine/verl/blob/v0.8.0/verl/utils/checkpoint/checkpoint_manager.py",
  *check({ settings: { experiment }, plan: { checkpoints } }) {
    const { keep, bytes, room, interval, perStart, withRestarts } = checkpoints;
    if (bytes === undefined || room === undefined || interval === undefined) return;
    const path = ["storage", "checkpoints", "size"];
    const held = `is ${experiment.storage.checkpoints.size}, which holds ${room} checkpoints of about ${inGiB(bytes)}`;
    if (room < (perStart ?? 2)) {
      yield {
        path,
        found: `${held}, but ${perStart ?? 2} must fit, since the next is written before the oldest is deleted`,
      };
    } else if (keep === "all") {
      yield {
        severity: "warn",
        path: ["training", "checkpoints_to_keep"],
        found: `is all, and the volume has room for ${room} checkpoints of about ${inGiB(bytes)}: it is full after step ${fullAfterStep(checkpoints)}`,
        remedy: "name a number, or leave it out",
      };
    } else if (withRestarts !== undefined && room < withRestarts) {
      const { max_restarts: restarts } = experiment.trainer;
      yield {
        severity: "warn",
        path,
        found: `${held}, but ${restarts} restarts (trainer.max_restarts) leave up to ${withRestarts}: verl deletes only what the same start has saved`,
      };
    }
  },
});

export const trialsSize = defineRule({
  id: "trials-size",
  title: "the trials' volume holds their records until the first checkpoint",
  severity: "warn",
  consequence: "the volume may be full, and no call be recorded, before anything is saved",
  remedy: "raise it, lower training.save_freq, or have finished steps moved away",
  source: "docs/trajectories.md#how-much-it-takes",
  *check({ settings: { experiment }, plan: { trialRecords, checkpoints } }) {
    if (!trialRecords) return;
    const { perTrial, perStep, steps } = trialRecords;
    const first = checkpoints.interval ?? 1;
    if (steps >= first) return;
    yield {
      path: ["storage", "trials", "size"],
      found: `is ${experiment.storage.trials.size}; trials that use their whole window write ${Math.round(perTrial / 2 ** 20)}Mi each, ${inGiB(perStep)} a step, so that it is full after step ${steps}, and the first checkpoint is that of step ${first}`,
    };
  },
});

function peakOf({ roles }: Memory): number {
  return Math.max(0, ...roles.map(({ peak }) => peak.bytes));
}

function inGiB(bytes: number): string {
  return `${Math.round(bytes / GiB)}Gi`;
}
