/**
 * Gives the Python tests what our own code makes of settings.
 *
 *   node plans.ts            prints a table of plans, from shipped and made-up configuration files
 *   node plans.ts override   reads [[key, value], ...] from standard input, prints Hydra overrides
 */
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { stringify } from "yaml";
import { load } from "../../config/load/load.ts";
import { formatOverride, type OverrideValue } from "../../plan/verl/index.ts";
import { judge } from "../support/settings.ts";

interface Changes {
  /** Shipped file that is changed; single-node.yaml if none is named. */
  readonly extends?: string;
  readonly smoke?: boolean;
  readonly [section: string]: Readonly<Record<string, unknown>> | string | boolean | undefined;
}

const project = join(import.meta.dirname, "../..");

/** Variations on shipped files. Each changes several things that have nothing to do with each other. */
const variations: Record<string, Changes> = {
  official: {},
  "ppo with a critic": {
    algorithm: { adv_estimator: "ppo", policy_loss_mode: "vanilla", loss_agg_mode: "token-mean" },
    credentials: { wandb_mode: "disabled" },
  },
  "kl loss": {
    algorithm: {
      use_kl_loss: true,
      kl_loss_coef: 0.0025,
      kl_loss_type: "k3",
      loss_agg_mode: "seq-mean-token-sum",
    },
  },
  "activations of a dense model": { extends: "single-node-dense.yaml" },
  "activations of a critic": {
    training: { activation_offload: true },
    algorithm: { adv_estimator: "ppo" },
  },
  "static batches": {
    training: { use_dynamic_bsz: false },
    algorithm: { use_kl_loss: true, loss_agg_mode: "seq-mean-token-sum-norm" },
  },
  "static batches with a critic": {
    training: { use_dynamic_bsz: false },
    algorithm: { adv_estimator: "ppo" },
  },
  "sampled validation and other numbers": {
    algorithm: {
      val_temperature: 0.7,
      val_top_p: 0.95,
      val_top_k: 20,
      temperature: 0.8,
      top_p: 0.9,
      top_k: 40,
      learning_rate: 1e-7,
      clip_ratio_low: 0.2,
      clip_ratio_high: 1e-9,
      entropy_coeff: 1e-3,
    },
    harbor_agent: { temperature: 0.8 },
    infrastructure: { ngpus_per_node: 4 },
    vllm: {
      gen_tp: 2,
      max_model_length: 65536,
      gpu_memory_utilization: 0.5,
      max_num_seqs: 32,
      dtype: "float16",
      enforce_eager: true,
      enable_chunked_prefill: false,
    },
    training: {
      train_batch_size: 16,
      train_prompt_mini_batch_size: 8,
      n_resp_per_prompt: 4,
      max_prompt_length: 8192,
      max_response_length: 16384,
      sp_size: 2,
      actor_offload: false,
      ref_offload: false,
      total_epochs: 1000000,
      save_freq: -1,
      test_freq: -1,
      val_before_train: true,
      val_batch_size: 7,
    },
    harbor_runtime: { num_workers: 8 },
  },
  "odd paths": {
    model: { model_path: "/models/a=b,c:d/e'f\"g/[h](i){j}/~k+l*m/\\n/%20#o;p&q|r?s!/ä漢🙂" },
    data: { train_index: "/data/a,b.parquet", val_index: "/data/x=1/${HOME}/y\\'z\\.parquet" },
    verl: { tool_call_parser: "hermes" },
    trainer: { project_dir: "/work$pace/'quoted'", agent_loop_config: "/etc/loop,1.yaml" },
  },
  "names that look like something else": {
    model: { model_path: "/models/Nobody-1B", served_model_name: "1e5" },
    experiment: { project_name: "0x1F", exp_name: "1_000" },
    trainer: { agent_loop: "true" },
    verl: { tool_call_parser: "hermes" },
  },
  "own overrides": {
    verl: {
      overrides: {
        "trainer.balance_batch": false,
        "trainer.rollout_data_dir": "it's ${not} an interpolation, but {a: [text]}\\",
        "trainer.validation_data_dir": null,
        "algorithm.gamma": 0.99,
        "actor_rollout_ref.rollout.multi_turn.format": "",
        "actor_rollout_ref.actor.checkpoint.save_contents": ["model", "hf_model"],
        "actor_rollout_ref.model.override_config.attn_implementation": "eager",
        "actor_rollout_ref.rollout.engine_kwargs.vllm": {
          kv_cache_dtype: "fp8",
          "max-num-partial-prefills": 2,
          "limit-mm-per-prompt": { image: 0 },
        },
        actor_rollout_ref: { rollout: { multi_turn: { max_user_turns: 3 } } },
      },
    },
  },
};

const megatron = { tp_size: 2, pp_size: 2, sp_size: 1, ep_size: 2 };
const ppo = { adv_estimator: "ppo", policy_loss_mode: "vanilla" };

/** Every engine on every tier, and what only asynchronous training has. */
const combinations: Record<string, Changes> = {
  "veomni on one node": { verl: { engine: "veomni" }, training: { ep_size: 2 } },
  "megatron on one node": { verl: { engine: "megatron" }, training: megatron },
  "veomni with a critic": { verl: { engine: "veomni" }, algorithm: ppo },
  "megatron with a critic": { verl: { engine: "megatron" }, training: megatron, algorithm: ppo },
  "two nodes": { extends: "two-node.yaml" },
  "two nodes, veomni": {
    extends: "two-node.yaml",
    verl: { engine: "veomni" },
    training: { actor_offload: false, fsdp_size: 4 },
  },
  "two nodes, megatron": {
    extends: "two-node.yaml",
    verl: { engine: "megatron" },
    training: megatron,
  },
  "three nodes": { extends: "three-node.yaml" },
  "three nodes, veomni": { extends: "three-node-veomni.yaml" },
  "three nodes, megatron, with a critic": {
    extends: "three-node.yaml",
    verl: { engine: "megatron" },
    training: { ...megatron, fsdp_size: -1, cp_size: 2 },
    algorithm: ppo,
  },
  "two nodes that train and serve in turn": { infrastructure: { trainer_nodes: 2 } },
  "four nodes, two for each role": {
    extends: "two-node.yaml",
    infrastructure: { trainer_nodes: 2, rollout_nodes: 2 },
    sandbox: { parallel_trials: 1024 },
  },
  "two nodes, smoke batch, through LiteLLM": {
    extends: "two-node.yaml",
    smoke: true,
    proxy: { mode: "litellm" },
    harbor_agent: { scaffold: "opencode" },
    async_training: {
      staleness_threshold: 0,
      partial_rollout: false,
      trigger_parameter_sync_step: 3,
      total_rollout_steps: 1000,
    },
  },
};
Object.assign(variations, combinations);

const everything = Object.keys(variations);
/** The fork differs in where its configuration files are, so a few suffice. */
const few = ["ppo with a critic", "own overrides", ...Object.keys(combinations)];

const releases = [
  { version: "0.8.0", distribution: "stock", titles: everything },
  { version: "0.8.0", distribution: "fork", titles: few },
  { version: "0.9.1", distribution: "stock", titles: everything },
  { version: "0.9.1", distribution: "fork", titles: few },
] as const;

function printPlans(): void {
  const root = mkdtempSync(join(tmpdir(), "swe-rl-plans-"));
  try {
    cpSync(join(project, "config"), join(root, "config"), {
      recursive: true,
      filter: (file) => !file.endsWith(".ts"),
    });
    // The lab tracks nothing; a real site does. Whether a run fits its GPUs is no matter here.
    mkdirSync(join(root, "config/sites"), { recursive: true });
    writeFileSync(
      join(root, "config/sites/real.yaml"),
      "extends: lab.yaml\ntracking: allowed\ngpu_nodes: { gpu_memory: 1Ti, memory: 4Ti }\n",
    );
    const shipped = [
      "single-node",
      "single-node-dense",
      "single-node-stock",
      "two-node-stock",
      "three-node-stock",
      "smoke",
      "two-node",
      "three-node",
      "three-node-veomni",
    ].map((stack) => planned(root, stack, stack));
    const made = releases.flatMap(({ version, distribution, titles }) =>
      titles.map((title) => {
        const changes = variations[title]!;
        const name = `${title}, verl ${version} ${distribution}`;
        const verl = { ...(changes["verl"] as object | undefined), version, distribution };
        const own = distribution === "stock" ? forOwnLoop(changes) : {};
        const settings = { extends: "single-node.yaml", ...changes, ...own, verl };
        writeFileSync(join(root, "config/variation.yaml"), stringify(settings));
        return planned(root, name, "variation");
      }),
    );
    process.stdout.write(JSON.stringify([...shipped, ...made]));
  } finally {
    rmSync(root, { recursive: true });
  }
}

/** What the loop of this project needs (rule stock-loop): it serves no policy itself, and mounts runtimes of its own form. */
function forOwnLoop(changes: Readonly<Record<string, unknown>>): object {
  const agent = changes["harbor_agent"] as object | undefined;
  return {
    proxy: { mode: "litellm" },
    harbor_agent: { ...agent, runtime_image: "registry.example/agent:1" },
  };
}

function planned(root: string, name: string, stack: string): unknown {
  const secrets = new Set(["wandbApiKey"]);
  const { settings } = load(root, { stack, site: "real", secrets });
  const { plan: result, problems } = judge(settings);
  if (problems.length > 0) throw new Error(`${name}: ${JSON.stringify(problems)}`);
  return {
    name,
    stack,
    settings: settings.experiment,
    version: result.trainer.verl.version,
    distribution: result.trainer.verl.distribution,
    rayNamespace: result.trainer.rayNamespace,
    argv: result.trainer.argv,
    engine: result.engine,
    batches: result.batches,
    asyncTraining: result.asyncTraining ?? null,
    scaffold: result.scaffold,
    topology: result.topology,
    ...(result.proxy.mode === "litellm"
      ? {
          litellm: result.proxy.litellm,
          aliases: result.proxy.aliases,
          recorder: result.proxy.recorder,
        }
      : {}),
  };
}

async function printOverrides(): Promise<void> {
  const pairs = JSON.parse(await text(process.stdin)) as [string, OverrideValue][];
  const overrides = pairs.map(([key, value]) =>
    formatOverride({ key, value, prefix: "", source: "test" }),
  );
  process.stdout.write(JSON.stringify(overrides));
}

if (process.argv[2] === "override") await printOverrides();
else printPlans();
