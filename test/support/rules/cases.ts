/** For every rule of the configuration: settings that break it and nothing else, and settings that just meet it. */
import type * as dockerSite from "../../../rules/docker/site.ts";
import type * as files from "../../../rules/files.ts";
import type { SettingsRuleId } from "../../../rules/index.ts";
import type * as memory from "../../../rules/memory.ts";

type Ids<Group extends Record<string, { readonly id: string }>> = Group[keyof Group]["id"];

/** Rules of the settings; the excluded ones need a site or a model of their own, and have tests of their own. */
export type CaseId =
  | Exclude<
      SettingsRuleId,
      | Ids<typeof dockerSite>
      | Ids<typeof memory>
      | "C-29"
      | "inputs"
      | "secret-form"
      | "accepted-target"
      | "sandbox-nodes"
      | "sandbox-profile"
    >
  | Ids<typeof files>;

/** What a stack's files say beyond those that they extend. */
export interface Written {
  readonly experiment?: string;
  /** Another site below than the case's. */
  readonly siteBase?: keyof typeof sites;
  readonly site?: string;
  readonly stack?: string;
  readonly secrets?: readonly string[];
}

export interface RuleCase {
  /** Shipped experiment below. Default: single-node. */
  readonly base?: string;
  /** Site below: the lab's, or one of {@link sites}. */
  readonly siteBase?: keyof typeof sites;
  /** What the experiments of both kinds have in common. */
  readonly common?: string;
  readonly breaks: readonly (string | Written)[];
  readonly meets: string | Written;
}

const sandboxNodes = "sandbox_nodes: { selector: { pool: sandbox } }\n";
const site = (rest: string, images = "training: swe-rl.invalid/training:lab") =>
  `cluster: { context: kwok-swe-rl }
cpu_nodes: { selector: { pool: cpu } }
images: { ${images} }
volumes:
  models: { kind: host_path, path: /srv/models, mount_path: /models }
  data: { kind: host_path, path: /srv/data, mount_path: /data }
tracking: disabled
${rest}`;
const nodeClass =
  "node_class: { group: karpenter.k8s.aws, kind: EC2NodeClass, name: x }, requirements: [{ key: node.kubernetes.io/instance-type, values: [x.large] }]";
const byDigest = `swe-rl.invalid/training@sha256:${"ab".repeat(32)}`;
const taskImages = "task_image_registry: swe-rl.invalid/tasks";
const mirror = "nydus_mirror: swe-rl.invalid:5000";

/** Sites that the lab's cannot become by a few lines on top of it. */
export const sites = {
  "gpu-pool": site(
    `${sandboxNodes}harbor: { ${taskImages}, ${mirror} }\ngpu_nodes: { gpu_memory: 4Ti, pool: { kind: karpenter, ${nodeClass} } }`,
  ),
  "no-images": site(
    `${sandboxNodes}harbor: { ${mirror} }\ngpu_nodes: { gpu_memory: 4Ti, selector: { pool: gpu } }`,
  ),
  "no-mirror": site(
    `${sandboxNodes}harbor: { ${taskImages} }\ngpu_nodes: { gpu_memory: 4Ti, selector: { pool: gpu } }`,
  ),
  building: site(
    `${sandboxNodes}harbor: { ${taskImages}, ${mirror} }\ngpu_nodes: { gpu_memory: 4Ti, selector: { pool: gpu } }`,
    "build: { repository: swe-rl.invalid/team }",
  ),
  bare: site(
    `harbor: { ${taskImages}, ${mirror} }\ngpu_nodes: { gpu_memory: 4Ti, selector: { pool: gpu } }`,
  ),
} as const;

const parsers = "{ claude-code: qwen3_coder }";

/** Models beside the shipped ones. */
export const models = `
Many-Heads: { kv_heads: 24, max_position_embeddings: 262144, mixture_of_experts: false, billion_parameters: 7, tool_call_parser: ${parsers} }
Sixteen-Heads: { kv_heads: 16, max_position_embeddings: 262144, mixture_of_experts: false, billion_parameters: 7, tool_call_parser: ${parsers} }
Odd-Shapes: { max_position_embeddings: 262144, mixture_of_experts: true, tool_call_parser: ${parsers}, architecture: { layers: 30, hidden_size: 64, heads: 28, kv_heads: 4, head_dim: 16, vocab_size: 1000, experts: { count: 60, per_token: 4, intermediate_size: 64 } } }
`;

const frozen = (name: string, rest = "", model = "Sixteen-Heads") =>
  `{ name: ${name}, model_path: /models/${model}${rest} }`;
const waive = "preflight: { waive: [{ rule: C-18, reason: tried }] }";
const veomni = "verl: { engine: veomni }";
const openCode = "harbor_patch.agents.image_mounted_opencode:OpenCode";
const claudeCode = "harbor_patch.agents.image_mounted_claude_code:ClaudeCode";
const custom =
  "harbor_agent: { scaffold: custom, agent_import_path: 'a.b:C', runtime_image: 'x/y:1', runtime_mount_path: /opt/agent }";
const pool = `{ kind: karpenter, ${nodeClass} }`;
const keyed = "actor_rollout_ref.rollout.engine_kwargs.vllm: { api_key: abc }";

export const cases: Readonly<Record<CaseId, RuleCase>> = {
  "C-01": {
    breaks: ["vllm: { gen_tp: 8 }", `serving: [${frozen("a", ", gpus: 3")}]`],
    meets: "vllm: { gen_tp: 2 }",
  },
  "C-02": {
    common: "model: { model_path: /models/Many-Heads }",
    breaks: ["vllm: { gen_tp: 3 }"],
    meets: "vllm: { gen_tp: 8 }",
  },
  "node-split": {
    breaks: ["infrastructure: { rollout_nodes: 1 }", "infrastructure: { rollout_nodes: 2 }"],
    meets: "infrastructure: { trainer_nodes: 1 }",
  },
  "nodes-untried": {
    breaks: [
      "infrastructure: { trainer_nodes: 2 }",
      "infrastructure: { trainer_nodes: 4 }",
      "extends: two-node.yaml\ninfrastructure: { trainer_nodes: 2, rollout_nodes: 2 }\nsandbox: { parallel_trials: 1024 }",
      "extends: two-node.yaml\ninfrastructure: { rollout_nodes: 3 }\nsandbox: { parallel_trials: 1536 }",
    ],
    meets: "infrastructure: { trainer_nodes: 1 }",
  },
  "C-06": {
    breaks: [
      "infrastructure: { litellm_port: 6379 }",
      "proxy: { recorder_port: 40000 }",
      "verl: { distribution: stock }\nproxy: { mode: in_process }\ninfrastructure: { ray_port: 8115 }",
    ],
    meets: "infrastructure: { litellm_port: 6380 }",
  },
  "C-07": {
    breaks: ["data: { train_index: /database/train.parquet }", "experiment: { trials_dir: /tmp }"],
    meets: "data: { train_index: /data/train.parquet }",
  },
  "C-10": {
    breaks: [{ site: "tracking: allowed", secrets: [] }],
    meets: { site: "tracking: allowed", secrets: ["wandbApiKey"] },
  },
  "C-11": {
    breaks: ["infrastructure: { nnodes: 2 }"],
    meets: "infrastructure: { nnodes: 1 }",
  },
  "C-12": {
    breaks: ["training: { sp_size: 3 }", "training: { fsdp_size: 3 }"],
    meets: "training: { sp_size: 8, fsdp_size: 4 }",
  },
  "C-13": {
    common: "model: { model_path: /models/Qwen3.6-27B }\ntraining: { sp_size: 1 }",
    breaks: ["training: { sp_size: 2 }"],
    meets: "training: { sp_size: 1 }",
  },
  "C-14": {
    common: veomni,
    breaks: [
      "verl: { overrides: { actor_rollout_ref.model.use_fused_kernels: true } }",
      "verl: { overrides: { actor_rollout_ref.model.enable_activation_offload: true } }",
      "training: { activation_offload: true }",
    ],
    meets: "verl: { overrides: { actor_rollout_ref.model.trust_remote_code: true } }",
  },
  "C-15": {
    common: "training: { sp_size: 1 }",
    breaks: [
      "verl: { router_replay: R3 }\ntraining: { sp_size: 4 }",
      "training: { sp_size: 4 }",
      "verl: { router_replay: disabled }",
      "verl: { distribution: stock }\nproxy: { mode: litellm }",
    ],
    meets: "verl: { router_replay: R3 }",
  },
  "C-16": {
    common: veomni,
    breaks: ["verl: { distribution: stock }\nproxy: { mode: litellm }"],
    meets: "verl: { distribution: fork }",
  },
  "C-17": {
    base: "three-node",
    breaks: ["training: { fsdp_size: 8 }", "training: { actor_offload: false }"],
    meets: "training: { fsdp_size: 16, actor_offload: true }",
  },
  "C-18": {
    breaks: ["algorithm: { lr_scheduler: cosine }"],
    meets: "algorithm: { lr_scheduler: constant }",
  },
  "C-19": {
    breaks: ["harbor_agent: { val_max_timeout_sec: 2399 }"],
    meets: "harbor_agent: { val_max_timeout_sec: 2400 }",
  },
  "C-20": {
    breaks: ["algorithm: { rollout_is: sequence }"],
    meets: "algorithm: { rollout_is: token }",
  },
  "C-21": {
    base: "two-node",
    breaks: ["training: { max_response_length: 90000 }"],
    meets: "training: { max_response_length: 89999 }",
  },
  "C-22": {
    breaks: ["verl: { tool_call_parser: hermes }", "harbor_agent: { scaffold: opencode }"],
    meets: "verl: { tool_call_parser: qwen3_coder }",
  },
  "C-23": {
    common: "harbor_agent: { scaffold: openhands }",
    breaks: [
      "harbor_agent: { agent_name: openhands }",
      "harbor_agent: { scaffold: openhands-sdk, agent_name: openhands-sdk }",
      "harbor_agent: { scaffold: claude-code, agent_name: aider }",
      "harbor_agent: { scaffold: opencode, agent_name: opencode }\nverl: { tool_call_parser: hermes }",
    ],
    meets: "harbor_agent: { agent_name: null }",
  },
  "C-24": {
    breaks: ["vllm: { max_model_length: 107999 }"],
    meets: "vllm: { max_model_length: 108000 }",
  },
  "C-27": {
    breaks: [{ siteBase: "no-images" }],
    meets: { site: `harbor: { ${taskImages} }` },
  },
  "inline-build": {
    breaks: [{ site: "harbor: { inline_build: true }" }],
    meets: { site: "harbor: { inline_build: false }" },
  },
  "C-28": {
    breaks: [{ siteBase: "no-mirror" }],
    meets: { site: `harbor: { ${mirror} }` },
  },
  "C-36": {
    breaks: [
      "vllm: { gen_tpp: 4 }",
      "vllm: { gen_tp: four }",
      "vllm: {",
      "extends: nothing.yaml",
      "preflight: { waive: [{ rule: C-99, reason: x }] }",
      "preflight: { waive: [{ rule: C-18 }] }",
      "preflight: { waive: [{ rule: C-02, reason: no }] }",
      { site: "cluster: { kontext: x }" },
    ],
    meets: "vllm: { gen_tp: 4 }",
  },
  "C-40": {
    breaks: [{ site: "network: { interface: lo }" }],
    meets: { site: "network: { interface: net1 }" },
  },
  "C-41": {
    breaks: ["harbor_agent: { temperature: 0.7 }"],
    meets: "harbor_agent: { temperature: 0.7 }\nalgorithm: { temperature: 0.7 }",
  },
  "C-42": {
    breaks: ["harbor_agent: { host_path_mounts: [{ host_path: data, mount_path: /data }] }"],
    meets: "harbor_agent: { host_path_mounts: [] }",
  },
  "C-43": {
    breaks: ["sandbox: { memory_limit_factor: 0.9 }"],
    meets: "sandbox: { memory_limit_factor: 1 }",
  },
  "C-44": {
    breaks: ['harbor_agent: { pod_name_prefix: "-" }'],
    meets: "harbor_agent: { pod_name_prefix: a }",
  },
  "C-47": {
    breaks: ["credentials: { wandb_api_key: abc }", `verl: { overrides: { ${keyed} } }`],
    meets: 'credentials: { wandb_api_key: "" }',
  },
  "C-48": {
    breaks: ["model: { model_path: models/x }", "data: { val_index: ./val.parquet }"],
    meets: "data: { val_index: /data/val.parquet }",
  },
  "build-fork": {
    breaks: [{ siteBase: "building" }],
    meets: { siteBase: "building", experiment: `trainer: { image: ${byDigest} }` },
  },
  "build-variant": {
    base: "single-node-stock",
    siteBase: "building",
    breaks: [{ site: "images: { build: { variant: cpu } }" }],
    meets: {
      site: "images: { build: { variant: cpu } }",
      experiment: `trainer: { image: ${byDigest} }`,
    },
  },
  "build-registry": {
    base: "single-node-stock",
    siteBase: "building",
    breaks: [
      { site: "images: { build: { repository: localhost:5000/team } }" },
      { site: "images: { build: { repository: 127.0.0.1:5000/team } }" },
    ],
    meets: { site: "images: { build: { repository: localhost.example:5000/team } }" },
  },
  "C-08": {
    breaks: [
      "trainer: { image: swe-rl.invalid/training:latest }",
      "trainer: { image: swe-rl.invalid/training }",
      "trainer: { image: swe-rl.invalid:5000/training:nightly }",
      { site: "images: { training: swe-rl.invalid:5000/training }" },
    ],
    meets: `trainer: { image: ${byDigest} }`,
  },
  "C-50": {
    breaks: [veomni],
    meets: "verl: { engine: fsdp }",
  },
  "no-effect": {
    breaks: ["k8s: { kubeconfig: /root/.kube/config }"],
    meets: "k8s: { namespace: default }",
  },
  "waiver-unused": {
    breaks: [waive],
    meets: `${waive}\nalgorithm: { lr_scheduler: cosine }`,
  },
  "stack-name": {
    breaks: [{ stack: "Run" }, { stack: "x".repeat(56) }],
    meets: { stack: "x".repeat(55) },
  },
  "run-name": {
    breaks: [
      `experiment: { exp_name: ${"x".repeat(129)} }`,
      `experiment: { project_name: ${"x".repeat(129)} }`,
    ],
    meets: `experiment: { exp_name: ${"x".repeat(128)} }`,
  },
  "model-window": {
    breaks: ["vllm: { max_model_length: 262145 }"],
    meets: "vllm: { max_model_length: 262144 }",
  },
  "mini-batch": {
    breaks: [
      "training: { train_prompt_mini_batch_size: 48 }",
      "training: { train_prompt_mini_batch_size: 65 }",
      "training: { train_prompt_mini_batch_size: 128 }",
      "training: { train_batch_size: 96 }",
    ],
    meets: "training: { train_prompt_mini_batch_size: 32 }",
  },
  "batch-gpus": {
    common:
      "harbor_runtime: { num_workers: 1 }\ntraining: { sp_size: 8, n_resp_per_prompt: 3, train_batch_size: 63, train_prompt_mini_batch_size: 63 }",
    breaks: ["training: { use_dynamic_bsz: false }"],
    meets: "training: { use_dynamic_bsz: true }",
  },
  "batch-workers": {
    breaks: ["harbor_runtime: { num_workers: 15 }"],
    meets: "harbor_runtime: { num_workers: 32 }",
  },
  "mini-batch-ranks": {
    common: "training: { sp_size: 1, n_resp_per_prompt: 4 }",
    breaks: ["training: { train_prompt_mini_batch_size: 1 }"],
    meets: "training: { train_prompt_mini_batch_size: 2 }",
  },
  "grpo-group": {
    breaks: ["training: { n_resp_per_prompt: 1 }"],
    meets: "training: { n_resp_per_prompt: 2 }",
  },
  "sync-step": {
    base: "two-node",
    breaks: ["async_training: { require_batches: 2 }"],
    meets:
      "async_training: { require_batches: 2, trigger_parameter_sync_step: 1 }\nsandbox: { parallel_trials: 1024 }",
  },
  "no-weight-sync": {
    base: "two-node",
    breaks: [
      "async_training: { total_rollout_steps: 32 }",
      "async_training: { total_rollout_steps: 63 }",
      "async_training: { total_rollout_steps: 64, trigger_parameter_sync_step: 2 }",
      "async_training: { total_rollout_steps: 100, require_batches: 2, trigger_parameter_sync_step: 1 }\nsandbox: { parallel_trials: 1024 }",
    ],
    meets: "async_training: { total_rollout_steps: 64 }",
  },
  "model-shares": {
    common: "model: { model_path: /models/Odd-Shapes }\ntraining: { sp_size: 4 }",
    breaks: [
      "training: { sp_size: 8 }",
      "verl: { engine: megatron }\ntraining: { sp_size: 1, tp_size: 8 }",
      "verl: { engine: megatron }\ntraining: { sp_size: 1, pp_size: 8 }",
      "verl: { engine: megatron }\ntraining: { sp_size: 1, ep_size: 8 }",
    ],
    meets: "training: { sp_size: 4 }",
  },
  "concurrent-samples": {
    base: "two-node",
    breaks: ["async_training: { max_concurrent_samples: 48 }"],
    meets: "async_training: { max_concurrent_samples: 64 }",
  },
  "engine-settings": {
    breaks: ["training: { ep_size: 2 }"],
    meets: "training: { ep_size: 1 }",
  },
  "override-owned": {
    breaks: [
      "verl: { overrides: { trainer.nnodes: 1 } }",
      "verl: { overrides: { trainer: { nnodes: 1 } } }",
      "verl: { overrides: { trainer.max_actor_ckpt_to_keep: 3 } }",
    ],
    meets: "verl: { overrides: { trainer.balance_batch: false } }",
  },
  "override-key": {
    breaks: [
      "verl: { distribution: stock, overrides: { actor_rollout_ref.rollout.max_num_batched_token: 8192 } }",
      "verl: { distribution: stock, overrides: { actor_rollout_ref.rolout.x: 1 } }",
      "verl: { distribution: stock, overrides: { actor_rollout_ref.rollout: { max_num_seq: 8 } } }",
      "verl: { distribution: stock, overrides: { actor_rollout_ref.actor.megatron.use_mbridge: true } }",
      "verl: { distribution: stock, overrides: { async_training.partial_rolout: true } }",
      "verl: { overrides: { algorithm.of_the_fork: 1 } }",
      "verl: { overrides: { trainer.balance_batches: false } }",
    ],
    meets:
      "verl: { overrides: { actor_rollout_ref.actor.checkpoint.save_contents: [model, hf_model], actor_rollout_ref.model.override_config.attn_implementation: eager, actor_rollout_ref.rollout.engine_kwargs.vllm: { kv_cache_dtype: fp8, max-num-partial-prefills: 2 }, data.apply_chat_template_kwargs: { enable_thinking: false } } }",
  },
  "override-basis": {
    breaks: [
      "verl: { overrides: { actor_rollout_ref.rollout.data_parallel_size: 2 } }",
      "verl: { overrides: { actor_rollout_ref.rollout: { data_parallel_size: 2 } } }",
      "verl: { overrides: { actor_rollout_ref: { rollout: { nnodes: 2 } } } }",
      "verl: { overrides: { reward.reward_model.enable: true } }",
      "verl: { overrides: { ray_kwargs.ray_init.num_cpus: 4 } }",
    ],
    meets: "verl: { overrides: { reward.num_workers: 4 } }",
  },
  "lora-memory": {
    breaks: [
      "verl: { overrides: { actor_rollout_ref.model.lora_rank: 32 } }",
      "verl: { overrides: { actor_rollout_ref.model: { lora_rank: 8, lora_alpha: 16 } } }",
    ],
    meets: "verl: { overrides: { actor_rollout_ref.model.lora_rank: 0 } }",
  },
  "verl-configuration": {
    common: "verl: { config_name: mine }",
    breaks: ["verl: { distribution: stock }\nproxy: { mode: litellm }"],
    meets: "verl: { distribution: fork }",
  },
  "policy-loss": {
    breaks: ["algorithm: { policy_loss_mode: dro }"],
    meets: "algorithm: { policy_loss_mode: dro }\nverl: { version: 0.9.1 }",
  },
  "clip-range": {
    breaks: ["algorithm: { clip_ratio_high: 0.2 }", "algorithm: { policy_loss_mode: vanilla }"],
    meets: "algorithm: { policy_loss_mode: vanilla, clip_ratio_low: 0.2, clip_ratio_high: 0.2 }",
  },
  "no-checkpoints": {
    breaks: ["training: { save_freq: -1 }"],
    meets: "training: { save_freq: -1 }\ntrainer: { max_restarts: 0 }",
  },
  "learning-rate": {
    breaks: ["algorithm: { learning_rate: 0.001 }", "algorithm: { learning_rate: 1 }"],
    meets: "algorithm: { learning_rate: 1.0e-4 }",
  },
  "clip-order": {
    breaks: ["algorithm: { clip_ratio_low: 5.0e-4 }", "algorithm: { clip_ratio_high: 1.0e-4 }"],
    meets: "algorithm: { clip_ratio_low: 4.0e-4 }",
  },
  "no-reward": {
    breaks: ["harbor_agent: { verifier_enabled: false }"],
    meets: "harbor_agent: { verifier_enabled: true }",
  },
  "no-tools": {
    breaks: ["harbor_agent: { disable_tool_calls: true }"],
    meets: "harbor_agent: { disable_tool_calls: false }",
  },
  "trajectory-filter": {
    base: "two-node",
    breaks: [
      "algorithm: { trajectory_filter: { drop_reasons: [agent_completed] } }",
      "algorithm: { trajectory_filter: { drop_reasons: [timeout, env_setup_failed, overlong, max_turns_reached, agent_completed] } }",
    ],
    meets: "algorithm: { trajectory_filter: { drop_reasons: [timeout, overlong] } }",
  },
  staleness: {
    base: "two-node",
    breaks: [
      "async_training: { staleness_threshold: 100 }",
      "async_training: { staleness_threshold: 9 }",
    ],
    meets: "async_training: { staleness_threshold: 8 }",
  },
  "tail-kill": {
    breaks: [
      "harbor_runtime: { tail_kill_target: 0.05 }",
      "harbor_runtime: { tail_kill_target: 0.49 }",
    ],
    meets: "harbor_runtime: { tail_kill_target: 0.95 }",
  },
  "rollout-dtype": {
    breaks: ["vllm: { dtype: float16 }"],
    meets: "vllm: { dtype: bfloat16 }",
  },
  "validation-set": {
    breaks: ["data: { val_index: /data/harbor_indexes/train.parquet }"],
    meets: "data: { val_index: /data/harbor_indexes/other.parquet }",
  },
  "tool-parser-known": {
    common: "verl: { tool_call_parser: qwen3_coder }",
    breaks: [
      `serving: [${frozen("a", ", tool_call_parser: hermse")}]`,
      `serving: [${frozen("a", ", tool_call_parser: qwen3coder")}]`,
    ],
    meets: `serving: [${frozen("a", ", tool_call_parser: granite-20b-fc")}]`,
  },
  "agent-loop": {
    common: "harbor_agent: { scaffold: openhands-sdk }",
    breaks: ["trainer: { agent_loop_config: /x/agent_loop_config_cc.yaml }"],
    meets: "trainer: { agent_loop_config: /x/agent_loop_config_oh.yaml }",
  },
  "stock-loop": {
    common: "verl: { distribution: stock, version: 0.9.1 }",
    breaks: [
      "harbor_agent: { scaffold: openhands }",
      "harbor_agent: { scaffold: openhands-sdk }",
      "extends: two-node.yaml\nverl: { distribution: stock }\nproxy: { mode: litellm }\nharbor_runtime: { tail_kill_target: 0.95 }",
      `harbor_agent: { agent_import_path: "${claudeCode}" }`,
    ],
    meets: "harbor_agent: { scaffold: openhands-sdk, runtime_image: r.example/oh-sdk:1 }",
  },
  rehearsal: {
    breaks: ["rehearsal: true", "extends: single-node-stock.yaml\nrehearsal: true"],
    meets: "rehearsal: false",
  },
  "scaffold-class": {
    common: "harbor_agent: { scaffold: claude-code }",
    breaks: [`harbor_agent: { agent_import_path: "${openCode}" }`],
    meets: `harbor_agent: { agent_import_path: "${claudeCode}" }`,
  },
  "scaffold-custom": {
    common: "verl: { tool_call_parser: qwen3_coder }",
    breaks: [custom],
    meets: `${custom}\ntrainer: { agent_loop_config: /workspace/loop.yaml }`,
  },
  "sandbox-deadline": {
    breaks: [
      "k8s: { pod_active_deadline_seconds: 2400 }",
      "k8s: { pod_active_deadline_seconds: 3359 }",
      "k8s: { pod_active_deadline_seconds: 4559 }",
      "k8s: { val_pod_active_deadline_seconds: 8159 }",
      "k8s: { pod_active_deadline_seconds: 6000 }\nharbor_agent: { agent_timeout_multiplier: 4 }",
      "k8s: { pod_active_deadline_seconds: 6000 }\nharbor_agent: { verifier_timeout_multiplier: 4 }",
      "k8s: { pod_active_deadline_seconds: 6000 }\nharbor_agent: { agent_setup_timeout_multiplier: 6 }",
    ],
    meets: "k8s: { pod_active_deadline_seconds: 4560, val_pod_active_deadline_seconds: 8160 }",
  },
  "sandbox-host-path": {
    breaks: ["harbor_agent: { host_path_mounts: [{ host_path: /x, mount_path: /x }] }"],
    meets: "harbor_agent: { host_path_mounts: [] }",
  },
  "sandbox-quota": {
    breaks: ["sandbox: { parallel_trials: 15 }"],
    meets: "sandbox: { parallel_trials: 16 }",
  },
  "shared-volume": {
    base: "two-node",
    breaks: [{ site: "storage: { logs: { access_mode: ReadWriteOnce } }" }],
    meets: { site: "storage: { logs: { access_mode: ReadWriteMany } }" },
  },
  "nested-mounts": {
    breaks: ["trainer: { project_dir: /models }"],
    meets: "trainer: { project_dir: /models-of-mine }",
  },
  "ray-token": {
    breaks: ["ray: { version: 2.51.2 }"],
    meets: "ray: { version: 2.52.0 }",
  },
  "shared-memory": {
    breaks: ["ray: { head_memory: 47Gi }"],
    meets: "ray: { head_memory: 48Gi }",
  },
  "port-range": {
    breaks: [{ site: "network: { rollout_ports: { from: 40000, to: 40998 } }" }],
    meets: { site: "network: { rollout_ports: { from: 40000, to: 40999 } }" },
  },
  "gpu-claim-size": {
    breaks: [{ site: "gpu_nodes: { claim: [a, b] }" }],
    meets: { site: "gpu_nodes: { claim: [a] }" },
  },
  "gpu-resource": {
    breaks: [
      { site: "gpu_nodes: { resource: nvidia.com/gpu.shared }" },
      { site: "gpu_nodes: { resource: nvidia.com/mig-3g.71gb }" },
    ],
    meets: { site: "gpu_nodes: { resource: nvidia.com/gpu }" },
  },
  "spot-gpus": {
    siteBase: "gpu-pool",
    breaks: [{ site: "gpu_nodes: { pool: { capacity_types: [spot] } }" }],
    meets: { site: "gpu_nodes: { pool: { capacity_types: [on-demand] } }" },
  },
  "sandbox-pool": {
    siteBase: "bare",
    breaks: [{ site: `cluster: { mutating_admission: none }\nsandbox_nodes: { pool: ${pool} }` }],
    meets: { site: `sandbox_nodes: { pool: ${pool} }` },
  },
  "pool-limit": {
    siteBase: "gpu-pool",
    breaks: [{ site: "gpu_nodes: { pool: { limits: { nvidia.com/gpu: 7 } } }" }],
    meets: { site: "gpu_nodes: { pool: { limits: { nvidia.com/gpu: 8 } } }" },
  },
  "serving-name": {
    breaks: [`serving: [${frozen("a")}, ${frozen("a")}]`],
    meets: `serving: [${frozen("a")}, ${frozen("b")}]`,
  },
  "serving-memory": {
    breaks: [`serving: [${frozen("a", ", memory: 35Gi")}]`],
    meets: `serving: [${frozen("a", ", memory: 36Gi")}]`,
  },
  "serving-experts": {
    breaks: [`serving: [${frozen("a", ", expert_parallel: true")}]`],
    meets: `serving: [${frozen("a", ", expert_parallel: false")}]`,
  },
  "serving-gpus": {
    breaks: [`serving: [${frozen("a", ", gpus: 16")}]`],
    meets: `serving: [${frozen("a", ", gpus: 8")}]`,
  },
};
