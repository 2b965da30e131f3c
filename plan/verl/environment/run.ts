import type { Basis } from "../../host.ts";
import { row } from "./row.ts";
import { type EnvironmentInputs, type EnvironmentVariable, trackingMode } from "./types.ts";

export function runVariables(settings: Basis, inputs: EnvironmentInputs): EnvironmentVariable[] {
  const { experiment } = settings;
  const { infrastructure, training, harbor_runtime: runtime } = experiment;
  const { names, topology, storage } = inputs;
  const mode = trackingMode(settings);
  return [
    ...row("MODEL_PATH", experiment.model.model_path, "model.model_path"),
    ...row("SERVED_MODEL_NAME", experiment.model.served_model_name, "model.served_model_name"),
    ...row("TOOL_CALL_PARSER", inputs.scaffold.toolCallParser, "docs/decisions.md#c-22"),
    ...row("DATA_DIR", experiment.data.data_dir, "data.data_dir"),
    ...row("TRAIN_INDEX", experiment.data.train_index, "data.train_index"),
    ...row("VAL_INDEX", experiment.data.val_index, "data.val_index"),
    ...row(
      "NNODES",
      topology.gpuNodes,
      "tier; infrastructure.trainer_nodes; infrastructure.rollout_nodes",
    ),
    ...row("NGPUS_PER_NODE", topology.gpusPerNode, "infrastructure.ngpus_per_node"),
    ...row("RAY_PORT", infrastructure.ray_port, "infrastructure.ray_port"),
    ...row(
      "RAY_DASHBOARD_PORT",
      infrastructure.ray_dashboard_port,
      "infrastructure.ray_dashboard_port",
    ),
    ...(experiment.proxy.mode === "litellm"
      ? row("LITELLM_PORT", infrastructure.litellm_port, "infrastructure.litellm_port")
      : []),
    // Only that tree has the replay, the asynchronous fixes and the trajectory filter.
    ...row(
      "USE_NEW_VERL",
      needsNewVerl(settings, inputs) ? 1 : undefined,
      "docs/decisions.md#c-16; docs/decisions.md#d-17",
    ),
    ...row("NUM_WORKERS", runtime.num_workers, "harbor_runtime.num_workers"),
    ...row("test_freq", training.test_freq, "training.test_freq"),
    ...row("HARBOR_TAIL_KILL_TARGET", runtime.tail_kill_target, "harbor_runtime.tail_kill_target"),
    ...row(
      "HARBOR_TAIL_KILL_GRACE_SEC",
      runtime.tail_kill_grace_sec,
      "harbor_runtime.tail_kill_grace_sec",
    ),
    ...row(
      "HARBOR_TAIL_KILL_MIN_TASKS",
      runtime.tail_kill_min_tasks,
      "harbor_runtime.tail_kill_min_tasks",
    ),
    ...row("PROJECT_NAME", names.project, "experiment.project_name"),
    ...row("EXP_NAME", names.run, "experiment.exp_name"),
    ...row("HARBOR_TRIALS_DIR", storage.directories.trials, "experiment.trials_dir"),
    ...row("WANDB_MODE", mode, "credentials.wandb_mode"),
    ...(mode === "online"
      ? [
          {
            name: "WANDB_API_KEY",
            secret: "wandbApiKey",
            source: "docs/decisions.md#c-10",
          } as const,
        ]
      : []),
  ];
}

function needsNewVerl({ modelFacts }: Basis, { topology, engine }: EnvironmentInputs): boolean {
  const isNew = topology.mode === "async" || engine.name === "veomni";
  return isNew && modelFacts?.mixture_of_experts === true;
}
