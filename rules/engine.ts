/** Rules about the trainer's engine. */
import type { SettingPath } from "../config/load/problem.ts";
import type { Architecture } from "../config/schema/models.ts";
import { type Engine, replayObstacle } from "../plan/run/index.ts";
import { type Decided, defineRule, noPlan, type Verdict } from "./rule.ts";

export const foreignSizes = defineRule({
  id: "engine-settings",
  title: "no setting of another engine",
  severity: "fatal",
  consequence: "the setting would be ignored silently",
  remedy: "leave it out, or choose the engine that has it",
  source: "https://github.com/volcengine/verl/tree/v0.8.0/verl/trainer/config/engine",
  unwaivable: noPlan,
  *check({ settings: { experiment } }) {
    const { training, verl } = experiment;
    const foreign = {
      fsdp: ["ep_size", "tp_size", "pp_size", "cp_size"],
      veomni: ["tp_size", "pp_size", "cp_size"],
      megatron: ["sp_size"],
    } as const;
    for (const key of foreign[verl.engine]) {
      if (training[key] === 1) continue;
      yield {
        path: ["training", key],
        found: `is ${training[key]}, which the engine ${verl.engine} does not have`,
        remedy: key === "sp_size" ? "set it to 1; Megatron has cp_size" : "leave it at 1",
      };
    }
    if (verl.engine === "megatron" && training.fsdp_size !== -1) {
      yield {
        path: ["training", "fsdp_size"],
        found: `is ${training.fsdp_size}, which the engine megatron does not have`,
        remedy: "leave it at -1",
      };
    }
  },
});

export const deviceMesh = defineRule({
  id: "C-12",
  title: "the engine's parallel sizes divide the trainer's GPUs",
  severity: "fatal",
  consequence: "the device mesh cannot be built",
  remedy: "choose divisors of the trainer's GPUs",
  source: "docs/decisions.md#c-12",
  unwaivable: noPlan,
  *check(decided) {
    yield* sizesAlone(decided);
    yield* sizesTogether(decided);
  },
});

function* sizesAlone({ settings, plan }: Decided): Generator<Verdict> {
  const { training, verl } = settings.experiment;
  const { trainerGpus: gpus } = plan.topology;
  const keys =
    verl.engine === "megatron"
      ? (["tp_size", "pp_size", "cp_size", "ep_size"] as const)
      : verl.engine === "veomni"
        ? (["sp_size", "ep_size"] as const)
        : (["sp_size"] as const);
  for (const key of keys) {
    if (gpus % training[key] !== 0) yield notDividing(["training", key], training[key], gpus);
  }
  if (training.fsdp_size !== -1 && gpus % training.fsdp_size !== 0) {
    yield {
      ...notDividing(["training", "fsdp_size"], training.fsdp_size, gpus),
      remedy: `choose a divisor of ${gpus}, or -1 for all`,
    };
  }
}

function notDividing(path: SettingPath, size: number, gpus: number): Verdict {
  return {
    path,
    found: `is ${size}, which does not divide the ${gpus} trainer GPUs`,
    remedy: `choose a divisor of ${gpus}`,
  };
}

/** Meshes of several sizes at once, each of which divides the GPUs by itself. */
function* sizesTogether({ settings, plan }: Decided): Generator<Verdict> {
  const { training, verl } = settings.experiment;
  const { trainerGpus: gpus } = plan.topology;
  const { tp_size: tp, pp_size: pp, cp_size: cp, ep_size: ep, sp_size: sp } = training;
  if (verl.engine === "megatron" && gpus % (tp * pp * cp) !== 0) {
    yield {
      path: ["training", "tp_size"],
      found: `gives tp_size ${tp} × pp_size ${pp} × cp_size ${cp} = ${tp * pp * cp}, which does not divide the ${gpus} trainer GPUs`,
    };
  }
  if (verl.engine === "megatron" && ep > 1 && gpus % ep === 0 && gpus % (tp * ep * pp) !== 0) {
    yield {
      path: ["training", "ep_size"],
      found: `gives tp_size ${tp} × ep_size ${ep} × pp_size ${pp} = ${tp * ep * pp}, which does not divide the ${gpus} trainer GPUs`,
      consequence: "the mesh of the experts cannot be built",
    };
  }
  const groups = gpus / sp;
  const { fsdp_size: sharding } = training;
  if (
    verl.engine === "veomni" &&
    Number.isInteger(groups) &&
    sharding !== -1 &&
    sharding < groups &&
    groups % sharding !== 0
  ) {
    yield {
      path: ["training", "fsdp_size"],
      found: `is ${sharding}, which does not divide the ${gpus} trainer GPUs / sp_size ${sp} = ${groups} that VeOmni shards over`,
      consequence: "VeOmni refuses to start",
      remedy: `choose a divisor of ${groups}, or -1 for all`,
    };
  }
}

/** A part of the model that a size of the engine splits into equal shares. */
interface Split {
  readonly key: "sp_size" | "tp_size" | "pp_size" | "ep_size";
  readonly what: string;
  readonly of: (model: Architecture) => number | undefined;
  /** Fewer parts than shares are repeated, if they divide them. */
  readonly repeats?: true;
}

const ulyssesSplits: readonly Split[] = [
  { key: "sp_size", what: "attention heads", of: ({ heads }) => heads },
  { key: "sp_size", what: "KV heads", of: ({ kv_heads: heads }) => heads, repeats: true },
];
const expertSplit: Split = { key: "ep_size", what: "experts", of: ({ experts }) => experts?.count };

/** What each engine asserts when it builds the model. */
const splits: Readonly<Record<Engine["name"], readonly Split[]>> = {
  fsdp: ulyssesSplits,
  veomni: [...ulyssesSplits, expertSplit],
  megatron: [
    { key: "tp_size", what: "attention heads", of: ({ heads }) => heads },
    { key: "tp_size", what: "KV heads", of: ({ kv_heads: heads }) => heads },
    { key: "pp_size", what: "layers", of: ({ layers }) => layers },
    expertSplit,
  ],
};

export const modelShares = defineRule({
  id: "model-shares",
  title: "the engine's parallel sizes divide the model's heads, layers and experts",
  severity: "fatal",
  consequence: "the trainer fails as it loads the model",
  remedy: "choose a divisor",
  source:
    "https://github.com/volcengine/verl/blob/v0.8.0/verl/models/transformers/monkey_patch.py; https://github.com/NVIDIA/Megatron-LM/blob/core_v0.15.0/megatron/core/transformer/transformer_config.py; https://github.com/ByteDance-Seed/VeOmni/blob/main/veomni/distributed/parallel_plan.py",
  *check({ settings: { experiment, modelFacts }, plan: { topology } }) {
    const { training, verl } = experiment;
    // Of a size that does not divide the GPUs, C-12 says what to choose.
    const used = splits[verl.engine].filter(
      ({ key }) => training[key] > 1 && topology.trainerGpus % training[key] === 0,
    );
    const model = modelFacts?.architecture;
    if (!model) {
      const sizes = new Set(used.map(({ key }) => `${key} ${training[key]}`));
      if (sizes.size === 0) return;
      yield {
        severity: "unknown",
        path: ["model", "model_path"],
        found: `has shapes that are not known, so it is unknown whether ${[...sizes].join(" and ")} divide its heads, layers and experts`,
        remedy: "name its config.json with model.config_file, or add them to config/models.yaml",
      };
      return;
    }
    for (const { key, what, of, repeats } of used) {
      const [shares, whole] = [training[key], of(model)];
      if (whole === undefined || whole % shares === 0) continue;
      if (repeats && shares % whole === 0) continue;
      yield {
        path: ["training", key],
        found: `is ${shares}, which does not divide the model's ${whole} ${what}`,
        remedy: `choose a divisor of ${whole}`,
      };
    }
  },
});

export const ulysses = defineRule({
  id: "C-13",
  title: "no sequence parallelism for models with hybrid attention",
  severity: "fatal",
  consequence: "Ulysses corrupts the GatedDeltaNet layers",
  remedy: "set training.sp_size to 1",
  source: "docs/decisions.md#c-13; docs/decisions.md#d-08",
  *check({ settings: { experiment, modelFacts } }) {
    const { training, verl } = experiment;
    if (verl.engine === "megatron" || training.sp_size === 1 || modelFacts?.ulysses !== false) {
      return;
    }
    yield {
      path: ["training", "sp_size"],
      found: `is ${training.sp_size}, but this model mixes kinds of attention`,
      ...(verl.engine === "fsdp"
        ? {}
        : {
            severity: "warn" as const,
            consequence:
              "on FSDP Ulysses was seen to corrupt the GatedDeltaNet layers; on VeOmni that is inferred, and upstream ships recipes with it",
          }),
    };
  },
});

export const routerReplay = defineRule({
  id: "C-15",
  title: "a mixture-of-experts model trains with the experts that the rollout chose",
  severity: "fatal",
  consequence: "rollout and trainer choose different experts, and log-probabilities drift apart",
  remedy: "leave verl.router_replay out",
  source: "docs/decisions.md#c-15",
  *check({ settings, plan: { engine, topology } }) {
    const { experiment, modelFacts } = settings;
    const { router_replay: wanted } = experiment.verl;
    const path = ["verl", "router_replay"];
    if (!modelFacts) {
      yield {
        severity: "unknown",
        path: ["model", "model_path"],
        found: `is not in config/models.yaml, so it is unknown whether the model has experts; router replay is ${engine.routerReplay}`,
        remedy: "name its config.json with model.config_file, or add it to config/models.yaml",
      };
      return;
    }
    const obstacle = replayObstacle(settings);
    if (wanted !== undefined && wanted !== "disabled" && obstacle) {
      yield { path, found: `is ${wanted}, but ${obstacle.reason}` };
    } else if (wanted === "R2" && topology.mode === "async") {
      yield {
        path,
        found:
          "is R2, which replays what the trainer chose, but in asynchronous training the rollout chooses",
        remedy: "use R3",
      };
    } else if (engine.routerReplay === "disabled" && modelFacts.mixture_of_experts) {
      const inTheWay = wanted === undefined ? obstacle : undefined;
      yield {
        severity: "warn",
        path: inTheWay?.path ?? path,
        found: inTheWay
          ? `leaves a mixture-of-experts model without router replay: ${inTheWay.reason}`
          : "is disabled for a mixture-of-experts model",
        consequence:
          "rollout and trainer agree on about 24 % of the expert choices, and log-probabilities drift apart",
        ...(inTheWay ? { remedy: inTheWay.remedy } : {}),
      };
    }
  },
});

export const veomniExperts = defineRule({
  id: "C-16",
  title: "VeOmni trains mixture-of-experts models with the fork's new verl",
  severity: "warn",
  consequence: "the combination has never been validated",
  remedy: "use verl.distribution fork, or the engine fsdp",
  source: "docs/decisions.md#c-16; docs/decisions.md#d-17",
  *check({ settings: { experiment, modelFacts } }) {
    const { verl } = experiment;
    if (verl.engine !== "veomni") return;
    if (modelFacts === undefined) {
      yield {
        severity: "unknown",
        path: ["verl", "engine"],
        found:
          "is veomni, and config/models.yaml does not know whether the model has experts, for which VeOmni needs the fork's new verl",
        remedy: "add the model to config/models.yaml",
      };
    } else if (modelFacts.mixture_of_experts && verl.distribution === "stock") {
      yield {
        path: ["verl", "distribution"],
        found: "is stock, for VeOmni with a mixture-of-experts model",
      };
    }
  },
});

export const veomniModule = defineRule({
  id: "C-50",
  title: "the training image has the module of the engine VeOmni",
  severity: "fatal",
  consequence: "an ImportError at start",
  remedy: "check it in the image: python3 -c 'import veomni'; then waive this rule",
  source: "docs/decisions.md#c-50",
  *check({ settings: { experiment }, plan: { trainer } }) {
    if (experiment.verl.engine !== "veomni") return;
    yield {
      severity: "unknown",
      path: ["verl", "engine"],
      found: `is veomni, and it is unknown whether the training image ${trainer.image} has that module; without it the run ends with an ImportError at start`,
      remedy: "try it in the image: python3 -c 'import veomni'",
    };
  },
});

/** Window from which a 35B policy does not fit one trainer node, and the one that needs full sharding. */
const [longWindow, longestWindow] = [120_000, 131_072] as const;

export const oneNodeWindow = defineRule({
  id: "C-21",
  title: "a 35B policy with a long window has two trainer nodes",
  severity: "warn",
  consequence: "seen to peak at 149 GB of 139.8",
  remedy: "use tier three-node (about 122 GB), or a response of at most 58304",
  source: "docs/decisions.md#c-21",
  *check({ settings: { modelFacts }, plan: { topology, batches } }) {
    const { windowTokens } = batches;
    const isLarge = (modelFacts?.billion_parameters ?? 0) >= 35;
    if (!isLarge || topology.trainerNodes > 1 || windowTokens < longWindow) return;
    yield {
      path: ["training", "max_response_length"],
      found: `gives a window of ${windowTokens} tokens for a 35B policy on one trainer node`,
    };
  },
});

export const fullSharding = defineRule({
  id: "C-17",
  title: "the longest window shards over all trainer GPUs, with the optimizer in host memory",
  severity: "warn",
  consequence: "the update runs out of GPU memory",
  remedy: "set training.fsdp_size to the trainer's GPUs, and training.actor_offload to true",
  source: "docs/decisions.md#c-17; docs/decisions.md#d-09",
  *check({ settings: { experiment }, plan: { topology, batches } }) {
    const { training, verl } = experiment;
    const { windowTokens } = batches;
    if (verl.engine !== "fsdp" || topology.trainerNodes === 1 || windowTokens < longestWindow) {
      return;
    }
    if (training.fsdp_size !== -1 && training.fsdp_size !== topology.trainerGpus) {
      yield {
        path: ["training", "fsdp_size"],
        found: `is ${training.fsdp_size}, but the window of ${windowTokens} tokens fits only when parameters are sharded over all ${topology.trainerGpus} trainer GPUs`,
        remedy: `set ${topology.trainerGpus}`,
      };
    }
    if (!training.actor_offload) {
      yield {
        path: ["training", "actor_offload"],
        found: `is false, but the window of ${windowTokens} tokens fits only with the optimizer in host memory`,
        remedy: "set it to true",
      };
    }
  },
});
