import type { z } from "zod";
import type { experiment, Tier } from "./experiment.ts";

type Deep<T> = T extends readonly unknown[] ? T : { [K in keyof T]?: Deep<T[K]> };

/** Defaults of a tier, below everything that a file says and above the schema's own. */
export type TierDefaults = Deep<Omit<z.input<typeof experiment>, "tier">>;

/** What the asynchronous generations of the original system do otherwise. */
const asynchronous: TierDefaults = {
  // verl's own server manager must see every request, or a weight sync reaches the agent as a failed call (D-01).
  proxy: { mode: "in_process" },
  trainer: { project_dir: "/workspace" }, // D-03
  algorithm: { use_kl_loss: true, val_temperature: 0.7 }, // D-20, D-22
  training: { save_freq: 10, test_freq: 10, val_before_train: true }, // D-21
  harbor_agent: {
    max_iterations: 200,
    agent_setup_timeout_multiplier: 5,
    max_consecutive_no_tool: 3,
  }, // D-22
  // Two rollout servers × 32 prompts × 8 trials in flight.
  sandbox: { parallel_trials: 512 },
};

export const tierDefaults: Readonly<Record<Tier, TierDefaults>> = {
  // Asynchronous tiers take prompt plus response.
  "single-node": { vllm: { max_model_length: 128000 } },
  "two-node": asynchronous,
  "three-node": asynchronous,
};
