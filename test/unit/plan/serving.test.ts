import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { summarize } from "../../../plan/summary/index.ts";
import {
  clusterOf,
  judge,
  ConfigFolder,
  planWith,
  problemsOf,
  settingsWith,
} from "../../support/settings.ts";

const model = "/models/Qwen3-30B-A3B-Instruct-2507";
const entry = (more = "") => `{ name: judge, model_path: ${model}${more} }`;
const serving = (...entries: string[]) => `serving: [${entries.join(", ")}]`;
const first = (yaml: string) => planWith(yaml).plan.serving[0]!;
const GiB = 2 ** 30;

describe("a frozen model", () => {
  it("is absent unless it is asked for, and leaves no trace", () => {
    const { plan: decided } = planWith();
    expect(decided.serving).toEqual([]);
    expect(decided.gpuDemand).toMatchObject({ gpus: 8, nodes: 1 });
    expect(JSON.stringify(decided.flows)).not.toContain("frozen");
    expect(summarize(decided)).not.toContain("Frozen models");
  });

  it("is served by vLLM with the values of the evaluation runner", () => {
    expect(first(serving(entry(", gpus: 4"))).argv).toEqual([
      "vllm",
      "serve",
      model,
      ...["--served-model-name", "judge"],
      ...["--host", "0.0.0.0"],
      ...["--port", "8000"],
      ...["--tensor-parallel-size", "4"],
      "--enable-expert-parallel",
      ...["--dtype", "bfloat16"],
      ...["--max-num-seqs", "96"],
      ...["--gpu-memory-utilization", "0.85"],
    ]);
  });

  it.each([
    ["max_model_length: 32768", ["--max-model-len", "32768"]],
    ["tool_call_parser: hermes", ["--enable-auto-tool-choice", "--tool-call-parser", "hermes"]],
    ["served_model_name: Qwen/judge", ["--served-model-name", "Qwen/judge"]],
    ["port: 8011", ["--port", "8011"]],
    ["dtype: float16", ["--dtype", "float16"]],
    ["max_num_seqs: 8", ["--max-num-seqs", "8"]],
    ["gpu_memory_utilization: 0.5", ["--gpu-memory-utilization", "0.5"]],
  ])("passes on %s", (setting, expected) => {
    expect(first(serving(entry(`, ${setting}`))).argv.join(" ")).toContain(expected.join(" "));
  });

  it.each([
    ["a known mixture of experts on several GPUs", "gpus: 2", true],
    ["one GPU, which has nothing to spread over", "gpus: 1", false],
    ["the experiment says no", "gpus: 2, expert_parallel: false", false],
  ])("spreads experts: %s", (_case, more, expected) => {
    const { argv } = first(serving(entry(`, ${more}`)));
    expect(argv.includes("--enable-expert-parallel")).toBe(expected);
  });

  it("gets its GPUs' share of a node, shared memory counted in", () => {
    expect(first(serving(entry(", gpus: 2")))).toMatchObject({
      cpus: 24,
      memoryBytes: 350 * GiB,
      sharedMemoryBytes: 20 * GiB,
    });
    expect(first(serving(entry(", gpus: 2, cpus: 5, memory: 64Gi")))).toMatchObject({
      cpus: 5,
      memoryBytes: 64 * GiB,
    });
  });

  it("has half an hour to start even where the rollout budget is shorter", () => {
    expect(first(serving(entry()))).toMatchObject({ startupMinutes: 30, rolloutMinutes: 45 });
    const { settings } = settingsWith(serving(entry()));
    const site = { ...settings.site, timeouts: { deletion_seconds: 600, rollout_minutes: 60 } };
    expect(judge({ ...settings, site }).plan.serving[0]).toMatchObject({ startupMinutes: 60 });
  });

  it("runs in its own image, else the site's for vLLM, else the training image", () => {
    const { settings } = settingsWith(serving(entry()));
    const site = clusterOf(settings);
    const imageOf = (images: object, change: object = {}) =>
      judge({
        ...settings,
        site: { ...site, images: { ...site.images, ...images } },
        experiment: {
          ...settings.experiment,
          serving: [{ ...settings.experiment.serving[0]!, ...change }],
        },
      }).plan.serving[0]?.image;
    expect(imageOf({})).toBe(settings.site.images.training);
    expect(imageOf({ vllm: "vllm/vllm-openai:v0.19.0" })).toBe("vllm/vllm-openai:v0.19.0");
    expect(imageOf({ vllm: "a/b:c" }, { image: "x/y:z" })).toBe("x/y:z");
  });

  it.each([
    [
      "GPUs that do not divide the KV heads",
      serving(entry(", gpus: 8")),
      "serving.0.gpus: is 8, which does not divide the model's 4 KV heads",
    ],
    [
      "more GPUs than a node has",
      serving("{ name: j, model_path: /models/x, gpus: 16 }"),
      "serving.0.gpus: is 16, but a node has 8",
    ],
    [
      "a model outside the volume",
      serving("{ name: j, model_path: /elsewhere/x }"),
      "serving.0.model_path: is /elsewhere/x, which is not on the models volume (mounted at /models)",
    ],
    [
      "one name twice",
      serving(entry(), entry()),
      "serving.1.name: is judge, like another of the list",
    ],
    [
      "too little memory",
      serving(entry(", memory: 32Gi")),
      "serving.0.memory: is 32Gi, of which /dev/shm takes 20Gi",
    ],
  ])("is refused: %s", (_case, yaml, message) => {
    expect(problemsOf(planWith(yaml))).toEqual([expect.stringContaining(message) as string]);
  });

  it("without experts cannot spread them", () => {
    const { settings } = settingsWith(serving(entry(", expert_parallel: true")));
    const [name, facts] = Object.entries(settings.models).find(
      ([, { kv_heads }]) => kv_heads === 4,
    )!;
    const models = { [name]: { ...facts, mixture_of_experts: false } };
    expect(problemsOf(judge({ ...settings, models }))).toEqual([
      expect.stringContaining(
        "serving.0.expert_parallel: is true, but the model has no experts",
      ) as string,
    ]);
  });

  it("that nobody knows is unknown where it matters", () => {
    const unknowns = (more: string) =>
      planWith(serving(`{ name: j, model_path: /models/new${more} }`)).unknowns.map(({ path }) =>
        path.join("."),
      );
    expect(unknowns(", gpus: 2")).toEqual(["serving.0.model_path"]);
    expect(unknowns("")).toEqual([]);
  });

  it("is described with its address and its command", () => {
    const summary = summarize(planWith(serving(entry(", gpus: 2, replicas: 2"))).plan);
    expect(summary).toContain("judge at http://frozen-judge.run-train:8000/v1");
    expect(summary).toContain("12 on 2 nodes: 1 × 8 GPUs for Ray group train, 2 × 2 GPUs for");
    expect(summary).toContain("outside the weight sync");
    expect(summary).toContain(`vllm serve ${model}`);
  });
});

describe("the schema of serving", () => {
  it("names the place of a mistake in the list, and what was meant", () => {
    using folder = new ConfigFolder();
    folder.write(
      "run.yaml",
      "extends: single-node.yaml\nserving:\n  - name: judge\n    model_path: /models/x\n    replica: 2\n    gpus: two\n",
    );
    expect(() => folder.load()).toThrow(
      "config/run.yaml:5:5 serving[0].replica: unknown setting; it would be ignored silently. Did you mean serving[0].replicas?",
    );
    expect(() => folder.load()).toThrow("config/run.yaml:6:11 serving[0].gpus: must be a number");
  });

  it.each(["name: Judge", `name: ${"x".repeat(57)}`, "name: -x"])("refuses %s", (name) => {
    expect(() => settingsWith(`serving: [{ ${name}, model_path: /models/x }]`)).toThrow(
      /serving\[0\]\.name/,
    );
  });
});

describe("the GPUs of a stack", () => {
  const servers = fc.array(
    fc.record({ gpus: fc.constantFrom(1, 2, 4), replicas: fc.integer({ min: 1, max: 5 }) }),
    { maxLength: 4 },
  );

  it("add up, and fit the nodes that they are said to need, with none to spare", () => {
    fc.assert(
      fc.property(servers, (list) => {
        const yaml = serving(
          ...list.map(
            ({ gpus, replicas }, i) =>
              `{ name: m${i}, model_path: ${model}, gpus: ${gpus}, replicas: ${replicas} }`,
          ),
        );
        const { gpuDemand } = planWith(yaml).plan;
        const frozen = list.reduce((sum, { gpus, replicas }) => sum + gpus * replicas, 0);
        expect(gpuDemand.gpus).toBe(8 + frozen);
        // Sizes that divide each other pack without a gap.
        expect(gpuDemand.nodes).toBe(1 + Math.ceil(frozen / 8));
      }),
      { numRuns: 40 },
    );
  });

  it("count in a claim of nodes", () => {
    const { settings } = settingsWith(serving(entry(", gpus: 4")));
    const claiming = (claim: string[]) =>
      problemsOf(
        judge({
          ...settings,
          site: { ...clusterOf(settings), gpu_nodes: { ...clusterOf(settings).gpu_nodes, claim } },
        }),
      );
    expect(claiming(["gpu-0", "gpu-1"])).toEqual([]);
    expect(claiming(["gpu-0"])).toEqual([
      expect.stringContaining(
        "names 1 nodes, but the stack takes 2 (1 × 8 GPUs for Ray group train, 1 × 4 GPUs for frozen model judge)",
      ) as string,
    ]);
  });
});
