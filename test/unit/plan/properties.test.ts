import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Settings } from "../../../config/load/load.ts";
import type { Peer } from "../../../plan/network/index.ts";
import { type Tier, tiers } from "../../../config/schema/experiment.ts";
import { bytesOf } from "../../../config/schema/scalars.ts";
import { clusterOf, judge, settingsWith } from "../../support/settings.ts";

const bases = Object.fromEntries(
  tiers.map((tier) => [tier, settingsWith("", { base: tier }).settings]),
) as Record<Tier, Settings>;
const powers = fc.constantFrom(1, 2, 4, 8);

/** Settings whose numbers vary; some contradict each other. */
const settings: fc.Arbitrary<Settings> = fc
  .record({
    tier: fc.constantFrom(...tiers),
    mode: fc.constantFrom("litellm", "in_process"),
    engine: fc.constantFrom("fsdp", "veomni", "megatron"),
    smoke: fc.boolean(),
    staleness: fc.constantFrom(0, 0.5, 1, 3),
    batches: fc.constantFrom(1, 1, 2),
    stack: fc.stringMatching(/^[a-z]([a-z0-9-]{0,53}[a-z0-9])?$/),
    tensorParallel: powers,
    sequenceParallel: fc.constantFrom(1, 1, 2, 4, 8, 16),
    prompts: fc.oneof(fc.constantFrom(8, 16, 24, 64, 128), fc.integer({ min: 1, max: 256 })),
    trials: fc.constantFrom(1, 2, 4, 8, 8, 8),
    mini: fc.constantFrom(1, 8, 8, 16, 64),
    workers: fc.constantFrom(1, 4, 8, 16, 16, 96),
    promptTokens: fc.integer({ min: 1, max: 70_000 }),
    responseTokens: fc.integer({ min: 1, max: 70_000 }),
    objectStore: fc.integer({ min: 1e9, max: 1.5e12 }),
    parallelTrials: fc.integer({ min: 8, max: 1000 }),
    rayPort: fc.oneof(fc.constant(6379), fc.integer({ min: 1024, max: 65535 })),
    recorderPort: fc.oneof(
      fc.constantFrom(8003, 8002, 6379),
      fc.integer({ min: 1024, max: 65535 }),
    ),
    epochs: fc.integer({ min: 1, max: 9 }),
  })
  .map((v) => ({ ...v, base: bases[v.tier] }))
  .map(({ base, ...v }) => ({
    ...base,
    stack: v.stack,
    modelFacts: { ...base.modelFacts!, kv_heads: 8, ulysses: true },
    experiment: {
      ...base.experiment,
      smoke: v.smoke,
      proxy: { ...base.experiment.proxy, mode: v.mode, recorder_port: v.recorderPort },
      verl: { ...base.experiment.verl, engine: v.engine },
      async_training: {
        ...base.experiment.async_training,
        staleness_threshold: v.staleness,
        require_batches: v.batches,
      },
      vllm: { ...base.experiment.vllm, gen_tp: v.tensorParallel },
      training: {
        ...base.experiment.training,
        fsdp_size: -1 as const,
        ...(v.engine === "megatron"
          ? { sp_size: 1, cp_size: 1, tp_size: v.sequenceParallel }
          : { sp_size: v.sequenceParallel }),
        train_batch_size: v.prompts,
        n_resp_per_prompt: v.trials,
        train_prompt_mini_batch_size: v.mini,
        max_prompt_length: v.promptTokens,
        max_response_length: v.responseTokens,
        total_epochs: v.epochs,
      },
      harbor_runtime: { ...base.experiment.harbor_runtime, num_workers: v.workers },
      infrastructure: { ...base.experiment.infrastructure, ray_port: v.rayPort },
      ray: { ...base.experiment.ray, object_store_bytes: v.objectStore },
      sandbox: { ...base.experiment.sandbox, parallel_trials: v.parallelTrials },
    },
  }));

/** Whatever the Plan accepts, this holds of it. */
function accepted(check: (result: ReturnType<typeof judge>["plan"], of: Settings) => void): void {
  let accepted = 0;
  fc.assert(
    fc.property(settings, (candidate) => {
      const result = judge(candidate);
      if (result.problems.length > 0) return;
      accepted += 1;
      check(result.plan, candidate);
    }),
    { numRuns: 2000 },
  );
  // A property that no settings reach shows nothing.
  expect(accepted).toBeGreaterThan(20);
}

describe("an accepted Plan", () => {
  it("uses every GPU, and those of the rollout for a whole number of servers", () => {
    accepted(({ topology, ray, proxy }) => {
      const gpus = ray.groups.reduce((sum, group) => sum + group.gpus * group.replicas, 0);
      const isShared = topology.mode === "sync";
      expect(gpus).toBe(topology.trainerGpus + (isShared ? 0 : topology.rolloutGpus));
      expect(gpus).toBe(topology.gpuNodes * topology.gpusPerNode);
      expect(topology.rolloutServers * topology.tensorParallel).toBe(topology.rolloutGpus);
      expect(Number.isInteger(topology.rolloutServers)).toBe(true);
      if (proxy.mode === "litellm") expect(proxy.rolloutServers).toBe(topology.rolloutServers);
    });
  });

  it("has groups that fit their nodes: a pod a node, with all its GPUs", () => {
    accepted(({ topology, ray }) => {
      expect(ray.groups.map(({ name }) => name)).toEqual(
        topology.mode === "sync" ? ["train"] : ["train", "rollout"],
      );
      for (const group of ray.groups) expect(group.gpus).toBe(topology.gpusPerNode);
      expect(ray.groups.reduce((nodes, { replicas }) => nodes + replicas, 0)).toBe(
        topology.gpuNodes,
      );
    });
  });

  it("lets no trial start that the quota would refuse", () => {
    accepted(({ asyncTraining, batches, sandboxes }) => {
      if (!asyncTraining) return;
      const { maxConcurrentSamples, maxQueuedSamples, parameterSyncSteps } = asyncTraining;
      expect(sandboxes.pods).toBeGreaterThanOrEqual(maxConcurrentSamples * batches.trialsPerPrompt);
      expect(maxConcurrentSamples).toBeLessThanOrEqual(maxQueuedSamples);
      expect(Number.isInteger(parameterSyncSteps)).toBe(true);
    });
  });

  it("divides the trainer's GPUs by the engine's sizes", () => {
    accepted(({ engine, topology }) => {
      const together = engine.tensorParallel * engine.pipelineParallel * engine.sequenceParallel;
      expect(engine.dataParallel * together).toBe(topology.trainerGpus);
      expect(Number.isInteger(engine.dataParallel)).toBe(true);
    });
  });

  it("shares a step evenly among GPUs and workers, and fits the window", () => {
    accepted(({ batches, topology, engine }, { experiment }) => {
      expect((batches.miniBatchPrompts * batches.trialsPerPrompt) % engine.dataParallel).toBe(0);
      if (topology.mode === "sync") {
        expect(batches.prompts % batches.miniBatchPrompts).toBe(0);
        expect(batches.trialsPerStep % experiment.harbor_runtime.num_workers).toBe(0);
      }
      expect(batches.windowTokens).toBeLessThanOrEqual(batches.modelLength);
      expect(batches.tokensPerGpu * engine.sequenceParallel).toBeGreaterThanOrEqual(
        batches.windowTokens,
      );
    });
  });

  it("holds object store in shared memory, and shared memory in the pod's limit", () => {
    accepted(({ ray }, of) => {
      for (const pod of [ray.head, ...ray.groups]) {
        expect(pod.objectStoreBytes).toBeLessThan(pod.sharedMemoryBytes);
        expect(pod.memoryBytes - pod.sharedMemoryBytes).toBeGreaterThanOrEqual(16 * 2 ** 30);
      }
      expect(ray.groups[0]?.memoryBytes).toBe(bytesOf(clusterOf(of).gpu_nodes.memory));
    });
  });

  it("has names that Kubernetes takes", () => {
    accepted(({ names, labels }) => {
      for (const name of Object.values(names.namespaces)) {
        expect(name).toMatch(/^[a-z0-9]([a-z0-9-]*[a-z0-9])?$/);
        expect(name.length).toBeLessThanOrEqual(63);
      }
      for (const value of Object.values(labels)) expect(value.length).toBeLessThanOrEqual(63);
    });
  });

  it("has no two programs on one port", () => {
    accepted(({ ray, proxy }) => {
      const { ephemeral, ...single } = ray.ports;
      const ports = [
        ...Object.values(single),
        ...(proxy.mode === "litellm" ? [proxy.port, proxy.recorder.port] : []),
      ];
      expect(new Set(ports).size).toBe(ports.length);
      for (const port of ports) {
        expect(port < ephemeral.from || port > ephemeral.to).toBe(true);
        expect(port < 10002 || port > 19999).toBe(true);
      }
    });
  });

  it("lets out of the sandboxes one way to the policy, and nothing in", () => {
    accepted(({ flows, proxy, ray }) => {
      const sandbox = (peer: Peer) => peer.kind === "pods" && peer.namespaceRole === "sandbox";
      const out = flows.filter(({ from }) => sandbox(from));
      const way =
        proxy.mode === "litellm"
          ? { namespaceRole: "proxy", role: "proxy", from: proxy.port, to: proxy.port }
          : { namespaceRole: "train", role: "ray-worker", ...ray.ports.ephemeral };
      expect(out.map(({ to, ports }) => ({ to, ports }))).toEqual([
        {
          to: { kind: "pods", namespaceRole: way.namespaceRole, role: way.role },
          ports: [{ protocol: "TCP", from: way.from, to: way.to }],
        },
      ]);
      expect(flows.filter(({ to }) => sandbox(to))).toEqual([]);
    });
  });

  it("lets LiteLLM reach the recorder on one port, and DNS", () => {
    accepted(({ flows, proxy }) => {
      const out = flows.filter(
        ({ from }) => from.kind === "pods" && from.namespaceRole === "proxy",
      );
      if (proxy.mode === "in_process") {
        expect(out).toEqual([]);
        return;
      }
      expect(out.map(({ name }) => name)).toEqual(["proxy-to-recorder", "proxy-to-dns"]);
      expect(out[0]).toMatchObject({
        to: { kind: "pods", namespaceRole: "train", role: "recorder" },
        ports: [{ protocol: "TCP", from: proxy.recorder.port, to: proxy.recorder.port }],
      });
    });
  });

  it("justifies every flow, names each once, and has a namespace for each of its ends", () => {
    accepted(({ flows, namespaces }) => {
      for (const { from, to } of flows) {
        for (const peer of [from, to]) {
          if (peer.kind === "pods") expect(namespaces[peer.namespaceRole]).toBeDefined();
        }
      }
      for (const { reason } of flows) expect(reason.length).toBeGreaterThan(10);
      expect(new Set(flows.map(({ name }) => name)).size).toBe(flows.length);
    });
  });

  it("is the same for the same settings, and a changed run has another fingerprint", () => {
    accepted((result, candidate) => {
      expect(judge(candidate).plan).toEqual(result);
      const { training } = candidate.experiment;
      const longer = { ...training, total_epochs: training.total_epochs + 1 };
      const changed = judge({
        ...candidate,
        experiment: { ...candidate.experiment, training: longer },
      });
      expect(changed.plan.trainer.fingerprint).not.toBe(result.trainer.fingerprint);
      expect(changed.plan.ray).toEqual(result.ray);
    });
  });
});
