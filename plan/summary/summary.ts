import { type NamespacePlan, type Flow, describePeer } from "../network/index.ts";
import type { RayPod } from "../ray/index.ts";
import type { AsyncTraining, Engine } from "../run/index.ts";
import type { TrialLife } from "../sandbox/index.ts";
import { type Checkpoints, fullAfterStep, type Volume } from "../storage/index.ts";
import { dockerNetworkLines, dockerSandboxLines, dockerVolumeRows } from "./docker.ts";
import { shownValue } from "./environment.ts";
import { memoryLines } from "./memory.ts";
import { nodeRows, servingLines } from "./nodes.ts";
import type { Plan } from "../plan.ts";

const GiB = 2 ** 30;

/** The run summary: what a person checks before they spend GPU hours. */
export function summarize(plan: Plan): string {
  const sections: [title: string, lines: string[]][] = [
    ["Topology", topology(plan)],
    ["Step", step(plan)],
    ["Memory", memoryLines(plan)],
    ["Proxy", proxy(plan)],
    ["Sandboxes", sandboxes(plan)],
    ["Nodes", plan.dockerHost ? [] : table(nodeRows(plan))],
    ["Frozen models", servingLines(plan)],
    ["Volumes", volumes(plan)],
    ["Ports", ports(plan)],
    ["Network", network(plan)],
    ["Command", command(plan)],
    ["Environment", environment(plan)],
    ["Outputs", table(Object.entries({ ...plan.outputs }))],
  ];
  return sections
    .filter(([, lines]) => lines.length > 0)
    .map(([title, lines]) => [title, ...lines.map((line) => `  ${line}`)].join("\n"))
    .join("\n\n");
}

function topology(plan: Plan): string[] {
  const { names, topology, engine, ray, trainer, scaffold, rolloutMinutes } = plan;
  const { gpuNodes, gpusPerNode, rolloutServers, tensorParallel } = topology;
  const unit = unitOf(plan);
  const mode =
    topology.mode === "sync"
      ? "synchronous (trainer and rollout take turns on the same GPUs)"
      : `fully asynchronous (trainer on ${topology.trainerNodes}, rollout on ${topology.rolloutNodes})`;
  return [
    `tier ${topology.tier}: ${counted(gpuNodes, "node")} × ${gpusPerNode} GPUs, ${mode}`,
    ...table([
      ...places(plan),
      ["ray head", `1 ${unit}, no GPU: ${podSize(ray.head)}`],
      ...ray.groups.map((group): [string, string] => [
        `ray ${group.name}`,
        `${counted(group.replicas, unit)} × ${group.gpus} GPUs: ${podSize(group)}`,
      ]),
      ["trainer", describeEngine(engine, topology.trainerGpus)],
      ["rollout", `${rolloutServers} servers × tensor parallel ${tensorParallel}`],
      ["scaffold", `${scaffold.name}, tool calls parsed as ${scaffold.toolCallParser}`],
      ["image", trainer.image],
      [
        "verl",
        `${trainer.verl.version} (${trainer.verl.distribution}), ray ${ray.version}, run ${trainer.fingerprint} of ${names.stack}`,
      ],
      ["budget", `${rolloutMinutes} minutes until the policy is served`],
    ]),
  ];
}

function unitOf({ dockerHost }: Plan): string {
  return dockerHost ? "container" : "pod";
}

/** On a Docker host there are no namespaces; its networks have a section of their own. */
function places({ namespaces, dockerHost }: Plan): [string, string][] {
  if (dockerHost) return [];
  const names = Object.values(namespaces).flatMap((one: NamespacePlan | undefined) =>
    one ? [one.namespace] : [],
  );
  return [["namespaces", names.join(", ")]];
}

function describeEngine(engine: Engine, gpus: number): string {
  const sizes = [
    `sequence parallel ${engine.sequenceParallel}`,
    ...(engine.name === "megatron"
      ? [`tensor parallel ${engine.tensorParallel}`, `pipeline parallel ${engine.pipelineParallel}`]
      : [`sharded over ${engine.shardingSize === -1 ? gpus : engine.shardingSize} GPUs`]),
    ...(engine.expertParallel > 1 ? [`expert parallel ${engine.expertParallel}`] : []),
    `router replay ${engine.routerReplay}`,
  ];
  return `${engine.name}, ${sizes.join(", ")}`;
}

function podSize(pod: RayPod): string {
  return `${pod.cpus} CPUs, ${inGiB(pod.memoryBytes)} memory, of which /dev/shm ${inGiB(pod.sharedMemoryBytes)} (object store ${inGiB(pod.objectStoreBytes)})`;
}

function step({ batches, asyncTraining, trainer, checkpoints, trialRecords }: Plan): string[] {
  return [
    `${batches.prompts} prompts × ${batches.trialsPerPrompt} trials = ${batches.trialsPerStep} trials, updates of ${batches.miniBatchPrompts} prompts`,
    `window ${batches.promptTokens} + ${batches.responseTokens} = ${batches.windowTokens} of ${batches.modelLength} tokens; ${batches.tokensPerGpu} tokens per GPU`,
    `one call of an agent samples at most ${batches.callTokens} tokens, and it is told a window of ${batches.agentWindow}`,
    ...(asyncTraining ? overlap(asyncTraining) : []),
    `at most ${trainer.maxRestarts} restarts, each from the newest checkpoint`,
    checkpointsLine(checkpoints),
    ...(trialRecords
      ? [
          `records of a trial take at most ${inMiB(trialRecords.perTrial)}; the trials' volume holds those of ${counted(trialRecords.steps, "step")} or more`,
        ]
      : []),
  ];
}

function inMiB(bytes: number): string {
  return `${Math.round(bytes / 2 ** 20)}Mi`;
}

function checkpointsLine(checkpoints: Checkpoints): string {
  const { keep, interval, bytes, room } = checkpoints;
  if (interval === undefined) return "no checkpoint is saved";
  const kept = keep === "all" ? "all are kept" : `each start keeps the newest ${keep}`;
  const saved = `a checkpoint every ${counted(interval, "step")}, ${kept}`;
  if (bytes === undefined || room === undefined) return `${saved}; its size is not known`;
  const full = fullAfterStep(checkpoints);
  return `${saved}; about ${inGiB(bytes)} each, the volume has room for ${room}${full === undefined ? "" : ` and is full after step ${full}`}`;
}

function overlap(training: AsyncTraining): string[] {
  const partial = training.partialRollout ? "resumed" : "begun anew";
  return [
    `trainer takes ${training.requiredSamples} prompts at once; weights go out every ${counted(training.parameterSyncSteps, "step")}, trials lag at most ${training.stalenessThreshold} versions, cut generations are ${partial}`,
    `${training.maxConcurrentSamples} prompts in flight, ${training.maxQueuedSamples} may wait; ${training.totalRolloutSteps} prompts at most in all`,
  ];
}

function proxy(plan: Plan): string[] {
  const { proxy, proxyCost: cost, storage } = plan;
  const unit = unitOf(plan);
  if (proxy.mode === "in_process") {
    return [
      `in process: every trial is served by its agent-loop worker, on a port of ${proxy.ports.from}-${proxy.ports.to}`,
      `cost: ${cost}`,
    ];
  }
  return [
    `LiteLLM on port ${proxy.port}: ${counted(proxy.replicas, unit)} × ${proxy.cpus} CPUs, ${inGiB(proxy.memoryBytes)}; ${proxy.image}`,
    `starts when ${proxy.rolloutServers} rollout servers answer; models ${proxy.aliases.join(", ")}`,
    `recorder on port ${proxy.recorder.port}: 1 ${unit} × ${proxy.recorder.cpus} CPUs, ${inGiB(proxy.recorder.memoryBytes)}; every call with its token ids, below ${storage.directories.trials}`,
    `cost: ${cost}`,
  ];
}

function phases({ start, setup, agent, verifier }: TrialLife): string {
  return `start ${start} s, set-up ${setup} s, agent ${agent} s, verifier ${verifier} s`;
}

function sandboxes(plan: Plan): string[] {
  if (plan.dockerHost) return dockerSandboxLines(plan);
  const { sandboxes, reaper, prepull } = plan;
  const { perPod, quota, life } = sandboxes;
  return [
    `${sandboxes.parallelTrials} trials at once; quota ${sandboxes.pods} pods, ${quota.cpus} CPUs, memory ${inGiB(quota.memoryRequestBytes)} requested, ${inGiB(quota.memoryLimitBytes)} limit`,
    `each: ${perPod.cpus} CPU, memory ${inGiB(perPod.memoryRequestBytes)} to ${inGiB(perPod.memoryLimitBytes)}, ended after ${life.training.deadline} s, in validation ${life.validation.deadline} s`,
    `a trial at most: ${phases(life.training)}; in validation ${phases(life.validation)}`,
    `${reaper.dryRun ? "only logged" : "deleted"} when ${reaper.graceSeconds / 60} minutes past the deadline, without an owner, or finished for ${reaper.finishedSeconds / 60} minutes`,
    ...(prepull ? [`pulled ahead on every node: ${prepull.images.join(", ")}`] : []),
  ];
}

function volumes(plan: Plan): string[] {
  if (plan.dockerHost) return table(dockerVolumeRows(plan));
  return table(plan.storage.volumes.map((volume) => [volume.name, describeVolume(volume)]));
}

function describeVolume(volume: Volume): string {
  const fate = volume.readOnly
    ? "read-only"
    : volume.removal === "retain"
      ? "kept on destroy"
      : "claim removed on destroy";
  return `${describeBacking(volume)} at ${volume.mountPath}, ${fate}`;
}

function describeBacking({ backing, size }: Volume): string {
  switch (backing.kind) {
    case "claim":
      return `claim of ${size}, class ${backing.storage_class ?? "(the cluster's default)"}`;
    case "existing":
      return `volume ${backing.volume}`;
    case "nfs":
      return `nfs ${backing.server}:${backing.path}`;
    case "host_path":
      return `node directory ${backing.path}`;
  }
}

function counted(count: number, noun: string): string {
  return `${count} ${count === 1 ? noun : `${noun}s`}`;
}

function ports({ ray, proxy }: Plan): string[] {
  return table([
    ["ray control store", String(ray.ports.gcs)],
    ["ray dashboard", String(ray.ports.dashboard)],
    ["rollout servers", `${ray.ports.ephemeral.from}-${ray.ports.ephemeral.to}`],
    ...(proxy.mode === "litellm"
      ? ([
          ["proxy", String(proxy.port)],
          ["recorder", String(proxy.recorder.port)],
        ] satisfies [string, string][])
      : []),
  ]);
}

function network(plan: Plan): string[] {
  if (plan.dockerHost) return dockerNetworkLines(plan.dockerHost);
  return plan.flows.map((flow) => describeFlow(flow, plan));
}

function describeFlow(flow: Flow, { names }: Plan): string {
  const ports = flow.ports.map(({ protocol, from, to }) =>
    from === to ? `${protocol} ${from}` : `${protocol} ${from}-${to}`,
  );
  const from = describePeer(flow.from, names);
  const to = describePeer(flow.to, names);
  return `${from} → ${to} ${ports.join(", ") || "any port"}: ${flow.reason}`;
}

function command({ trainer }: Plan): string[] {
  return [
    `in ${trainer.workingDirectory}:`,
    ...trainer.argv.map((argument, i) => (i === 0 ? argument : `  ${argument}`)),
  ];
}

function environment(plan: Plan): string[] {
  return plan.trainer.environment.map(
    (variable) => `${variable.name}=${shownValue(variable, plan)}`,
  );
}

function table(rows: [string, string][]): string[] {
  const width = Math.max(...rows.map(([name]) => name.length));
  return rows.map(([name, value]) => `${name.padEnd(width)}  ${value}`);
}

function inGiB(bytes: number): string {
  return `${Math.round((bytes / GiB) * 10) / 10}Gi`;
}
