import { describe, expect, it } from "vitest";
import { planAsJson } from "../../../plan/summary/index.ts";
import { judge, ConfigFolder, planWith, problemsOf, settingsWith } from "../../support/settings.ts";

function shipped(stack: string) {
  using folder = new ConfigFolder();
  return judge(folder.load({ stack }).settings);
}

/** An entry of LiteLLM's for a rollout server behind the recorder. */
const entry = (name: string, server: number, id: string) => ({
  model_name: name,
  litellm_params: {
    model: "hosted_vllm/vllm_model",
    api_base: `http://recorder.single-node-train:8003/servers/${server}/v1`,
    api_key: "none",
  },
  model_info: { id },
});

describe("the official single-node run", () => {
  const { plan: official, problems, warnings } = shipped("single-node");
  const override = (key: string) =>
    official.trainer.overrides.find((candidate) => candidate.key === key)?.value;

  it("is warned of the router replay that its sp_size leaves no way for, and of nothing else", () => {
    expect([problems, warnings.map(({ rule }) => rule)]).toEqual([[], ["C-15"]]);
  });

  it.each([
    [
      "namespaces",
      official.names.namespaces,
      { train: "single-node-train", proxy: "single-node-proxy", sandbox: "single-node-sandbox" },
    ],
    ["GPU nodes", official.topology.gpuNodes, 1],
    ["worker groups", official.topology.groups, [{ name: "train", nodes: 1, gpusPerNode: 8 }]],
    ["rollout servers (8 GPUs / TP 4)", official.topology.rolloutServers, 2],
    ["trials of a step", official.batches.trialsPerStep, 512],
    ["window", official.batches.windowTokens, 108_000],
    ["tokens per GPU (window / SP 4)", official.batches.tokensPerGpu, 27_000],
    ["head's GPUs", official.ray.head.gpus, 0],
    ["worker's GPUs", official.ray.groups[0]?.gpus, 8],
    ["object store", official.ray.groups[0]?.objectStoreBytes, 40_000_000_000],
    [
      "shared memory (object store + 64Gi, whole Gi)",
      official.ray.groups[0]?.sharedMemoryBytes,
      102 * 2 ** 30,
    ],
    [
      "ports",
      official.ray.ports,
      {
        gcs: 6379,
        dashboard: 8265,
        client: 10001,
        metrics: 8080,
        ephemeral: { from: 40000, to: 49999 },
      },
    ],
    [
      "proxy",
      official.proxy,
      expect.objectContaining({
        mode: "litellm",
        port: 8002,
        rolloutServers: 2,
        aliases: ["claude-*", "hosted_vllm/vllm_model", "vllm_model"],
        litellm: expect.objectContaining({
          model_list: [
            entry("vllm_model", 0, "vllm-server-0"),
            entry("vllm_model", 1, "vllm-server-1"),
            entry("claude-*", 0, "claude-vllm-server-0"),
            entry("claude-*", 1, "claude-vllm-server-1"),
          ],
        }) as object,
      }),
    ],
    ["quota pods (96 + 25 %)", official.sandboxes.pods, 120],
    ["quota CPUs", official.sandboxes.quota.cpus, 120],
    ["quota memory requests", official.sandboxes.quota.memoryRequestBytes, 120 * 8192 * 2 ** 20],
    [
      "sandbox memory limit (request × 4)",
      official.sandboxes.perPod.memoryLimitBytes,
      32 * 2 ** 30,
    ],
    ["sandbox deadline", official.sandboxes.life.training.deadline, 6000],
    [
      "kept volumes",
      official.storage.volumes
        .filter(({ removal }) => removal === "retain")
        .map(({ name }) => name),
      ["checkpoints", "logs", "trials"],
    ],
    [
      "checkpoint path",
      official.outputs.checkpoint_path,
      "/workspace/repos/harbor-verl-train/checkpoints/swe-lego-live-rl/single-node",
    ],
    [
      "training log",
      official.outputs.training_log,
      "/workspace/repos/harbor-verl-train/logs/single-node.log",
    ],
    [
      "vLLM log",
      official.outputs.vllm_log,
      "/workspace/repos/harbor-verl-train/logs/single-node_vllm.log",
    ],
    [
      "trajectories",
      official.outputs.trajectory_log,
      "/workspace/repos/harbor-verl-train/harbor_trials/swe-lego-live-rl/single-node",
    ],
  ])("fixes %s", (_what, found, expected) => {
    expect(found).toEqual(expected);
  });

  it.each([
    ["data.train_batch_size", 64],
    ["data.max_prompt_length", 40000],
    ["data.max_response_length", 68000],
    ["actor_rollout_ref.actor.ppo_mini_batch_size", 64],
    ["actor_rollout_ref.actor.ulysses_sequence_parallel_size", 4],
    ["actor_rollout_ref.actor.policy_loss.loss_mode", "gspo"],
    ["actor_rollout_ref.actor.optim.lr", 1e-6],
    ["actor_rollout_ref.actor.optim.lr_scheduler_type", "constant"],
    ["actor_rollout_ref.actor.clip_ratio_low", 3e-4],
    ["actor_rollout_ref.actor.clip_ratio_high", 4e-4],
    ["actor_rollout_ref.actor.use_kl_loss", false],
    ["actor_rollout_ref.hybrid_engine", true],
    ["actor_rollout_ref.rollout.n", 8],
    ["actor_rollout_ref.rollout.tensor_model_parallel_size", 4],
    ["actor_rollout_ref.rollout.gpu_memory_utilization", 0.85],
    ["actor_rollout_ref.rollout.max_model_len", 128000],
    ["actor_rollout_ref.rollout.max_num_seqs", 96],
    ["actor_rollout_ref.rollout.val_kwargs.do_sample", false],
    ["actor_rollout_ref.rollout.engine_kwargs.vllm.served-model-name", "vllm_model"],
    ["actor_rollout_ref.rollout.engine_kwargs.vllm.tool-call-parser", "qwen3_coder"],
    ["algorithm.adv_estimator", "grpo"],
    ["algorithm.rollout_correction.rollout_is", null],
    ["trainer.nnodes", 1],
    ["trainer.n_gpus_per_node", 8],
    ["trainer.save_freq", 5],
    ["trainer.test_freq", 5],
    ["trainer.total_epochs", 3],
    ["trainer.val_before_train", false],
    ["trainer.resume_mode", "auto"],
  ])("tells verl %s=%s", (key, value) => {
    expect(override(key)).toEqual(value);
  });

  it("starts verl from the fork's configuration, with one argument per override", () => {
    const project = "/workspace/repos/harbor-verl-train";
    expect(official.trainer.argv.slice(0, 5)).toEqual([
      "python3",
      "-m",
      "verl.trainer.main_ppo",
      `--config-path=${project}/src/verl_patch/config`,
      "--config-name=harbor_verl_sync",
    ]);
    expect(official.trainer.argv).toHaveLength(5 + official.trainer.overrides.length);
    expect(new Set(official.trainer.overrides.map(({ key }) => key)).size).toBe(
      official.trainer.overrides.length,
    );
  });

  it.each([
    ["MODEL_PATH", "/models/Qwen3-30B-A3B-Instruct-2507"],
    ["SERVED_MODEL_NAME", "vllm_model"],
    ["NNODES", "1"],
    ["NGPUS_PER_NODE", "8"],
    ["LITELLM_PORT", "8002"],
    ["K8S_KUBECONFIG", ""],
    ["K8S_NAMESPACE", "single-node-sandbox"],
    ["K8S_POD_ACTIVE_DEADLINE_SECONDS", "6000"],
    ["HARBOR_AGENT_NAME", "claude-code"],
    ["HARBOR_AGENT_RUNTIME_IMAGE_SUBPATH", "opt/custom-agent-runtime/claude-code"],
    ["HARBOR_AGENT_DISABLE_TOOL_CALLS", "False"],
    ["HARBOR_VERIFIER_ENABLED", "True"],
    ["HARBOR_K8S_EGRESS_ISOLATION", "0"],
    ["HARBOR_ENVIRONMENT_OVERRIDE_MEMORY_MB", "8192"],
    ["test_freq", "5"],
    ["NUM_WORKERS", "16"],
    ["WANDB_MODE", "disabled"],
    ["NCCL_SOCKET_IFNAME", "eth0"],
    ["ANTHROPIC_API_KEY", "***"],
  ])("exports %s=%s", (name, value) => {
    const { trainer } = planAsJson(official) as { trainer: { env: Record<string, string> } };
    expect(trainer.env[name]).toBe(value);
  });
});

describe("the smoke run", () => {
  it("is the official run with 8 × 4 trials", () => {
    const { plan: smoke, problems } = shipped("smoke");
    expect(problems).toEqual([]);
    expect(smoke.batches).toMatchObject({
      prompts: 8,
      trialsPerPrompt: 4,
      trialsPerStep: 32,
      miniBatchPrompts: 8,
    });
  });
});

describe("a setting that contradicts another", () => {
  it.each([
    [
      "C-01: TP does not divide the KV heads",
      "vllm: { gen_tp: 8 }",
      [
        "vllm.gen_tp: is 8, which does not divide the model's 4 KV heads: a CUDA illegal memory access at the first forward pass. Choose a divisor of 4.",
      ],
    ],
    [
      "C-02: TP does not divide the GPUs",
      "infrastructure: { ngpus_per_node: 6 }\ntraining: { sp_size: 2, train_batch_size: 48, train_prompt_mini_batch_size: 48 }",
      [
        "vllm.gen_tp: is 4, which does not divide the 6 rollout GPUs: 2 of them would serve nothing. Choose a divisor of 6.",
      ],
    ],
    [
      "C-12: SP does not divide the GPUs",
      "training: { sp_size: 3 }",
      [
        "training.sp_size: is 3, which does not divide the 8 trainer GPUs: the device mesh cannot be built. Choose a divisor of 8.",
      ],
    ],
    [
      "C-24: window longer than the model's",
      "vllm: { max_model_length: 100000 }",
      [
        "vllm.max_model_length: is 100000, less than prompt 40000 + response 68000 = 108000: requests are refused at the context limit. Raise vllm.max_model_length, or shorten the window.",
      ],
    ],
    [
      "mini batch larger than the batch",
      "training: { train_batch_size: 32 }",
      [
        "training.train_prompt_mini_batch_size: is 64, which does not divide train_batch_size 32: the first update fails, after the trials of a whole step. Choose a divisor of 32.",
      ],
    ],
    [
      "batch that the GPUs do not divide",
      "training: { train_batch_size: 62, train_prompt_mini_batch_size: 62, n_resp_per_prompt: 6, use_dynamic_bsz: false }\nharbor_runtime: { num_workers: 12 }",
      [
        "training.train_batch_size: gives 62 × 6 = 372 trials a step, which the 8 trainer GPUs do not divide, and use_dynamic_bsz is false: verl refuses it at start. Choose a multiple, or set training.use_dynamic_bsz.",
      ],
    ],
    [
      "workers that do not divide the step",
      "harbor_runtime: { num_workers: 24 }",
      [
        "harbor_runtime.num_workers: is 24, which does not divide the 512 trials of a step: verl hands every agent-loop worker an equal share and refuses a remainder. Choose a divisor.",
      ],
    ],
    [
      "GRPO with one trial",
      "training: { n_resp_per_prompt: 1 }",
      [
        "training.n_resp_per_prompt: is 1, but GRPO compares the trials of one prompt with each other: with one trial every advantage is zero. Choose at least 2.",
      ],
    ],
    [
      "node count against the tier",
      "infrastructure: { nnodes: 2 }",
      [
        "infrastructure.nnodes: is 2, but the stack, of tier single-node, has 1: placement waits for ever, without an error. Leave infrastructure.nnodes out, or choose another tier.",
      ],
    ],
    [
      "C-06: two programs on one port",
      "infrastructure: { ray_dashboard_port: 6379 }",
      [
        "infrastructure.ray_dashboard_port: port 6379 of Ray's dashboard is also that of Ray's control store: the second program does not start, or takes another port silently. Choose another port.",
      ],
    ],
    [
      "C-06: a port in the rollout range",
      "infrastructure: { ray_port: 45000 }",
      [
        "infrastructure.ray_port: port 45000 of Ray's control store lies in the range 40000-49999 of the rollout servers (site network.rollout_ports): either could take it first. Choose another port.",
      ],
    ],
    [
      "C-06: the recorder on LiteLLM's port",
      "proxy: { recorder_port: 8002 }",
      [
        "proxy.recorder_port: port 8002 of the recorder is also that of LiteLLM: the second program does not start, or takes another port silently. Choose another port.",
      ],
    ],
    [
      "C-06: the recorder in the rollout range",
      "proxy: { recorder_port: 40000 }",
      [
        "proxy.recorder_port: port 40000 of the recorder lies in the range 40000-49999 of the rollout servers (site network.rollout_ports): either could take it first. Choose another port.",
      ],
    ],
    [
      "a port of Ray's workers",
      "infrastructure: { ray_port: 16379 }",
      [
        "infrastructure.ray_port: port 16379 of Ray's control store lies in the range 10002-19999 of Ray's workers: Ray refuses to start. Choose another port.",
      ],
    ],
    [
      "C-07: model outside its volume",
      "model: { model_path: /elsewhere/Qwen3-30B-A3B-Instruct-2507 }",
      [
        "model.model_path: is /elsewhere/Qwen3-30B-A3B-Instruct-2507, which is not on the models volume (mounted at /models): the pods would not see it, or lose it with the pod. Name a path below the volume's mount path.",
      ],
    ],
    [
      "C-22: no parser for the model",
      "model: { model_path: /models/Unheard-Of-7B }",
      [
        "verl.tool_call_parser: is not set, and config/models.yaml has none for this model with claude-code: vLLM recognizes no tool call, and the first update fails without a valid token. Set it to the format of the model's chat template, for example qwen3_coder or hermes.",
      ],
    ],
    [
      "deadline before the agent's timeout",
      "k8s: { pod_active_deadline_seconds: 2400 }",
      [
        "k8s.pod_active_deadline_seconds: is 2400 s, but a trial may take 3360 s (set-up 360, agent 2400, verifier 600): Kubernetes ends sandboxes before their verifier has run. Leave it out, or choose at least 4560.",
      ],
    ],
    [
      "quota below the workers",
      "sandbox: { parallel_trials: 8 }",
      [
        "sandbox.parallel_trials: is 8, less than harbor_runtime.num_workers 16: the API server refuses the other pods, and their trials fail. Choose at least 16.",
      ],
    ],
    [
      "an old Ray",
      "ray: { version: 2.51.0 }",
      [
        "ray.version: is 2.51.0, but token authentication needs at least 2.52.0: anyone who reaches the dashboard runs code. Use a newer Ray in the training image, and say so in ray.version.",
      ],
    ],
    [
      "no memory beside /dev/shm",
      "ray: { head_memory: 40Gi }",
      [
        "ray.head_memory: is 40Gi, of which /dev/shm takes 32Gi (object store 18Gi) and 8Gi remain for processes: the kernel kills the run's processes. Give at least 48Gi.",
      ],
    ],
    [
      "an override that the Plan sets",
      "verl: { overrides: { trainer.save_freq: 9 } }",
      [
        "verl.overrides.trainer.save_freq: is a key that the Plan sets itself, from training.save_freq: the Plan would show one value and the run would take another. Change the setting instead.",
      ],
    ],
    [
      "a loss that verl does not have yet",
      "algorithm: { policy_loss_mode: dro }",
      [
        "algorithm.policy_loss_mode: is dro, which verl 0.8.0 does not have: the run fails at its first update. Use verl.version 0.9.1, or another algorithm.policy_loss_mode.",
      ],
    ],
    [
      "hostPath in sandboxes",
      "harbor_agent: { host_path_mounts: [{ host_path: /a, mount_path: /b }] }",
      [
        "harbor_agent.host_path_mounts: names 1 hostPath mount: pod security baseline refuses the pod, so every trial fails. Put the files into the task images.",
      ],
    ],
    [
      "trials outside their volume",
      "experiment: { trials_dir: /tmp/trials }",
      [
        "experiment.trials_dir: is /tmp/trials, which is not on the trials volume (mounted at /workspace/repos/harbor-verl-train/harbor_trials): the pods would not see it, or lose it with the pod. Name a path below the volume's mount path.",
      ],
    ],
  ])("%s", (_case, yaml, expected) => {
    expect(problemsOf(planWith(yaml))).toEqual(expected);
  });

  it("is reported together with all others", () => {
    expect(problemsOf(planWith("vllm: { gen_tp: 3 }\ntraining: { sp_size: 5 }"))).toHaveLength(3);
  });
});

describe("a stack's name", () => {
  it.each([
    ["a", 0],
    ["a".repeat(55), 0],
    ["a".repeat(56), 1],
    ["Exp-42", 1],
    ["exp_42", 1],
    ["42-exp", 1],
    ["exp-", 1],
  ])("%s is refused %i times", (stack, times) => {
    expect(problemsOf(planWith("", { stack, experiment: "run" }))).toHaveLength(times);
  });

  it("that is too long is told by how much", () => {
    const [problem] = problemsOf(planWith("", { stack: "a".repeat(60), experiment: "run" }));
    expect(problem).toContain(
      "has 60 characters, and with the endings of its namespaces at most 55 fit",
    );
  });
});

describe("tracking", () => {
  const online = (yaml: string, secrets?: ReadonlySet<string>) => {
    const { settings } = settingsWith(yaml, secrets ? { secrets } : {});
    return judge({ ...settings, site: { ...settings.site, tracking: "allowed" } });
  };

  it("online needs the stack's secret", () => {
    expect(problemsOf(online("", new Set()))).toEqual([
      expect.stringContaining("the stack has no secret wandbApiKey") as string,
    ]);
    expect(problemsOf(online("", new Set(["wandbApiKey"])))).toEqual([]);
  });

  it("is unknown where nobody knows the stack's secrets", () => {
    const result = online("");
    expect(result.problems).toEqual([]);
    expect(result.unknowns.map(({ path }) => path.join("."))).toEqual(["credentials.wandb_mode"]);
  });

  it("passes the key only by reference", () => {
    const { trainer } = online("", new Set(["wandbApiKey"])).plan;
    expect(trainer.environment.find(({ name }) => name === "WANDB_API_KEY")).toEqual({
      name: "WANDB_API_KEY",
      secret: "wandbApiKey",
      source: "docs/decisions.md#c-10",
    });
  });

  it("offline and disabled need none", () => {
    expect(problemsOf(online("credentials: { wandb_mode: offline }", new Set()))).toEqual([]);
  });
});

describe("the example site", () => {
  it("is a site as it stands", () => {
    using folder = new ConfigFolder();
    const { settings } = folder.load({
      stack: "single-node",
      site: "example",
      secrets: new Set(["wandbApiKey"]),
    });
    const { problems, warnings } = judge(settings);
    expect([problems, warnings.map(({ rule }) => rule)]).toEqual([[], ["C-15"]]);
  });
});
