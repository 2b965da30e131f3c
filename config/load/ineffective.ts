import type { Problem, SettingPath } from "./problem.ts";
import type { Experiment } from "../schema/experiment.ts";
import type { Site } from "../schema/sites.ts";
import { locate, type Layers } from "./layers.ts";

interface Ineffective {
  readonly path: SettingPath;
  readonly reason: string;
  /** Value that raises no warning. */
  readonly harmless?: unknown;
  /** Kind of site that it has no meaning on. Default: every kind. */
  readonly only?: Site["kind"];
  /** Settings with which it has no meaning. Default: all. */
  readonly when?: (experiment: Experiment) => boolean;
}

const isSynchronous = ({ tier }: Experiment) => tier === "single-node";
const isStock = ({ verl }: Experiment) => verl.distribution === "stock";
const isInProcess = ({ proxy }: Experiment) => proxy.mode === "in_process";
const isWithoutKl = ({ algorithm }: Experiment) => !algorithm.use_kl_loss;
const isWithoutTailKill = (experiment: Experiment) =>
  experiment.harbor_runtime.tail_kill_target === 1;

/** Settings that have no meaning here, or none beside others, with the reason. */
const ineffective: readonly Ineffective[] = [
  { path: ["meta_info"], reason: "describes a block of the original pipeline" },
  {
    path: ["runtime_info", "output"],
    reason: "outputs are fixed; `pulumi stack output` shows them",
  },
  {
    path: ["environment"],
    reason: "the training image brings its Python environment (site: images.training)",
  },
  { path: ["k8s", "kubeconfig"], reason: "the site names the cluster (cluster.context)" },
  {
    path: ["k8s", "namespace"],
    reason: "trials run in the stack's own namespace, so that experiments share nothing",
    harmless: "default",
  },
  { path: ["infrastructure", "node0_ip"], reason: "KubeRay gives the head its address" },
  {
    path: ["experiment", "trajectory_logger_src"],
    reason: "the proxy brings its own trajectory recorder",
  },
  {
    path: ["harbor_agent", "docker_host"],
    reason: "a site of kind docker names its daemon itself",
  },
  {
    path: ["harbor_agent", "environment_force_build"],
    reason: "Harbor's Kubernetes backend only pulls",
    harmless: false,
    only: "kubernetes",
  },
  {
    path: ["async_training"],
    reason: "tier single-node trains synchronously",
    when: isSynchronous,
  },
  {
    path: ["async_training", "validation_rollout_min_idle_workers"],
    reason: "only the fork of verl reads it (verl.distribution)",
    when: isStock,
  },
  {
    path: ["algorithm", "trajectory_filter"],
    reason: "the fork filters trials only in asynchronous training",
    when: (experiment) =>
      isSynchronous(experiment) &&
      !isStock(experiment) &&
      experiment.algorithm.trajectory_filter.enable,
  },
  {
    path: ["harbor_agent", "disable_tool_calls"],
    reason: "only the fork's agent loop reads it (verl.distribution)",
    harmless: false,
    when: isStock,
  },
  {
    path: ["harbor_agent", "max_consecutive_no_tool"],
    reason: "only the fork's agent loop reads it (verl.distribution)",
    harmless: 0,
    when: isStock,
  },
  {
    path: ["algorithm", "kl_loss_coef"],
    reason: "algorithm.use_kl_loss is false",
    harmless: 0.001,
    when: isWithoutKl,
  },
  {
    path: ["algorithm", "kl_loss_type"],
    reason: "algorithm.use_kl_loss is false",
    harmless: "low_var_kl",
    when: isWithoutKl,
  },
  {
    path: ["training", "ref_offload"],
    reason: "without algorithm.use_kl_loss there is no reference model",
    harmless: true,
    when: isWithoutKl,
  },
  {
    path: ["algorithm", "rollout_is_threshold"],
    reason: "algorithm.rollout_is is not set",
    harmless: 2,
    when: ({ algorithm }) => algorithm.rollout_is === null,
  },
  {
    path: ["harbor_runtime", "tail_kill_grace_sec"],
    reason: "harbor_runtime.tail_kill_target is 1, which is off",
    harmless: 180,
    when: isWithoutTailKill,
  },
  {
    path: ["harbor_runtime", "tail_kill_min_tasks"],
    reason: "harbor_runtime.tail_kill_target is 1, which is off",
    harmless: 32,
    when: isWithoutTailKill,
  },
  {
    path: ["infrastructure", "litellm_port"],
    reason: "proxy.mode is in_process, without LiteLLM",
    harmless: 8002,
    when: isInProcess,
  },
  ...["replicas", "cpus", "memory", "recorder_port"].map((key) => ({
    path: ["proxy", key],
    reason: "proxy.mode is in_process, without LiteLLM and recorder",
    when: isInProcess,
  })),
  {
    path: ["proxy", "replicas"],
    reason: "on a Docker host LiteLLM is one container",
    only: "docker",
  },
  {
    path: ["training", "activation_offload"],
    reason: "verl's engine megatron has its own recomputation and no such offload",
    harmless: false,
    when: ({ verl }) => verl.engine === "megatron",
  },
  {
    path: ["training", "logits_copies"],
    reason: "the estimate counts the loss of the engine megatron itself",
    when: ({ verl }) => verl.engine === "megatron",
  },
  {
    path: ["training", "val_batch_size"],
    reason: "validation is off (training.test_freq, training.val_before_train)",
    harmless: 500,
    when: ({ training }) => training.test_freq === -1 && !training.val_before_train,
  },
];

/** Settings that have no meaning in some runs, as dotted paths. */
export const sometimesIneffective: ReadonlySet<string> = new Set(
  ineffective.map(({ path }) => path.join(".")),
);

/** A warning for every setting that is written down but has no effect. */
export function findIneffective(
  layers: Layers,
  { experiment, kind }: { experiment: Experiment; kind: Site["kind"] },
): Problem[] {
  return ineffective.flatMap(({ path, reason, harmless, only = kind, when = () => true }) => {
    if (only !== kind || !when(experiment)) return [];
    const file = layers.files.find((candidate) => candidate.locate(path));
    if (!file) return [];
    const value = path.reduce<unknown>(
      (inner, key) => (inner as Record<string, unknown> | null | undefined)?.[key],
      layers.settings,
    );
    if (isBlank(value) && file.settings[String(path[0])] !== undefined) return [];
    if (harmless !== undefined && value === harmless) return [];
    return [{ path, message: `has no effect: ${reason}`, location: locate(layers.files, path) }];
  });
}

function isBlank(value: unknown): boolean {
  if (value === undefined || value === null || value === "") return true;
  return typeof value === "object" && Object.values(value).every(isBlank);
}
