/** What the estimate means for the run. */
import type { Settings } from "../../config/load/load.ts";
import { bytesOf } from "../../config/schema/scalars.ts";
import type { Batches } from "../run/batches.ts";
import { machineSetting } from "../nodes/machine.ts";
import type { Problems } from "../problems.ts";
import type { Ray } from "../ray/ray.ts";
import type { Memory, RoleMemory } from "./memory.ts";
import { logitsCopies } from "./logits.ts";

const GiB = 2 ** 30;

interface Run {
  readonly memory: Memory | undefined;
  readonly batches: Batches;
  readonly ray: Ray;
}

export function checkMemory(settings: Settings, run: Run, problems: Problems): void {
  const { memory } = run;
  if (!memory) {
    problems.unknown(
      "gpu-memory",
      ["model", "model_path"],
      "the shapes of this model are not known, so neither is whether it fits the GPUs. Name its config.json with model.config_file, or add them to config/models.yaml.",
    );
    return;
  }
  if (memory.capacity === undefined) {
    problems.unknown(
      "gpu-memory",
      machineSetting(settings, "gpu_memory"),
      `is not set, so it is unknown whether the ${inGiB(peakOf(memory))} of a GPU that the trainer needs are there.`,
    );
  }
  for (const role of memory.roles) checkRole(settings, { role, memory }, problems);
  checkCache(run.batches, memory, problems);
  checkHost(settings, { ray: run.ray, hostBytes: memory.hostBytes }, problems);
  checkVolume(settings, memory, problems);
}

function checkRole(
  { experiment }: Settings,
  { role: { role, peak }, memory }: { role: RoleMemory; memory: Memory },
  problems: Problems,
): void {
  const { capacity, margin } = memory;
  if (capacity === undefined || peak.bytes <= capacity) return;
  const parts = Object.entries(peak.parts).map(([name, bytes]) => `${name} ${inGiB(bytes)}`);
  const path =
    role === "rollout" || role === "weight sync"
      ? ["vllm", "gpu_memory_utilization"]
      : ["training", "max_response_length"];
  const clearly = peak.bytes > capacity * (1 + margin);
  const doubt = clearly ? "" : ` The estimate may be wrong by ${margin * 100} %.`;
  const message = `the ${role} needs about ${inGiB(peak.bytes)} of a GPU with ${inGiB(capacity)} (${parts.join(", ")}).${doubt} ${remedy(role, experiment)}`;
  if (clearly) problems.error("gpu-memory", path, message);
  else problems.warn("gpu-memory", path, message);
}

function remedy(role: RoleMemory["role"], experiment: Settings["experiment"]): string {
  if (role === "rollout" || role === "weight sync") {
    return "Lower it, or set training.actor_offload.";
  }
  const release =
    logitsCopies(experiment) > 3 ? " or verl 0.9.1, which makes fewer copies of the logits," : "";
  return `Shorten the window, use a tier with more trainer nodes,${release} or verl.overrides: { actor_rollout_ref.model.use_fused_kernels: true }.`;
}

function checkCache({ modelLength }: Batches, { rollout }: Memory, problems: Problems): void {
  if (!rollout || rollout.kvTokens >= modelLength) return;
  const held =
    rollout.kvTokens > 0
      ? `leaves a KV cache of ${rollout.kvTokens} tokens, less than the window of ${modelLength}`
      : "is not even enough for the weights";
  problems.error(
    "kv-cache",
    ["vllm", "gpu_memory_utilization"],
    `${held}: vLLM refuses to start. Raise it, raise vllm.gen_tp, or shorten vllm.max_model_length.`,
  );
}

function checkHost(
  settings: Settings,
  { ray: { groups }, hostBytes }: { ray: Ray; hostBytes: number },
  problems: Problems,
): void {
  const [trainer] = groups;
  if (!trainer) return;
  const room = trainer.memoryBytes - trainer.sharedMemoryBytes;
  if (hostBytes <= room) return;
  problems.error(
    "host-memory",
    machineSetting(settings, "memory"),
    `leaves ${inGiB(room)} beside /dev/shm, but the trainer keeps about ${inGiB(hostBytes)} in a node's memory (offloaded weights and optimizer state, and the checkpoint as it is loaded): the kernel would kill it. Raise it, or set training.actor_offload to false.`,
  );
}

/** verl keeps every checkpoint unless it is told how many. */
function checkVolume({ experiment }: Settings, memory: Memory, problems: Problems): void {
  const { training, storage, verl } = experiment;
  if (training.save_freq === -1) return;
  const path = ["storage", "checkpoints", "size"];
  const { size } = storage.checkpoints;
  const held = Math.floor(bytesOf(size) / memory.checkpointBytes);
  const kept = verl.overrides["trainer.max_actor_ckpt_to_keep"];
  const needed = typeof kept === "number" && kept > 0 ? kept + 1 : 2;
  const each = `a checkpoint takes about ${inGiB(memory.checkpointBytes)}`;
  if (held < needed) {
    problems.error(
      "checkpoint-size",
      path,
      `is ${size}, but ${each}, and ${needed} must have room: the last is written before the first is deleted. Raise it.`,
    );
  }
}

function peakOf({ roles }: Memory): number {
  return Math.max(0, ...roles.map(({ peak }) => peak.bytes));
}

function inGiB(bytes: number): string {
  return `${Math.round(bytes / GiB)}Gi`;
}
