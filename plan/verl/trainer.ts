import { checkAlone, commandLine, planOverrides } from "./command.ts";
import { planEnvironment } from "./environment.ts";
import {
  type EnvironmentInputs,
  type EnvironmentVariable,
  trackingMode,
} from "./environment/types.ts";
import type { Override } from "./override.ts";
import { rayNamespaceOverride } from "./sections.ts";
import { digest } from "../digest.ts";
import type { Basis } from "../host.ts";
import { type Requests, requestsOf } from "../requests.ts";

/** The training run: what starts, with which environment, and how often it is started again. */
export interface Trainer {
  readonly image: string;
  readonly verl: { readonly version: string; readonly distribution: string };
  /** The whole command. */
  readonly argv: readonly string[];
  /** What checks image and inputs before Ray starts; undefined for an image that is not ours. */
  readonly check: { readonly argv: readonly string[]; readonly requests: Requests } | undefined;
  readonly overrides: readonly Override[];
  readonly environment: readonly EnvironmentVariable[];
  readonly workingDirectory: string;
  /** Path of the agent-loop configuration in the image. */
  readonly agentLoopConfig: string;
  /** Ray namespace of the run's actors; a changed run has a new one, so that discovery cannot find the old run's. */
  readonly rayNamespace: string;
  /** Changes exactly when command, environment or image change. */
  readonly fingerprint: string;
  /** That Ray must have before verl starts. */
  readonly gpus: number;
  readonly maxRestarts: number;
  readonly tracked: boolean;
  /** Of the program beside Ray that submits the run and follows it. */
  readonly submitterRequests: Requests;
}

/** Where our training image has the configuration of our own agent loop (images/training/Containerfile). */
const stockAgentLoopConfig = "/opt/swe-rl-training/agent_loop.yaml";

export function planTrainer(settings: Basis, inputs: EnvironmentInputs): Trainer {
  const { experiment, host } = settings;
  const { scaffold, names } = inputs;
  const tracked = trackingMode(settings) === "online";
  const environment = planEnvironment(settings, inputs);
  const image = experiment.trainer.image ?? host.images.training;
  const isStock = experiment.verl.distribution === "stock";
  const agentLoopConfig =
    experiment.trainer.agent_loop_config ??
    (isStock
      ? stockAgentLoopConfig
      : `${experiment.trainer.project_dir}/src/verl_patch/config/${scaffold.loopConfig}`);
  const run = planOverrides({ experiment, ...inputs, agentLoopConfig, tracked });
  // Harbor makes sandboxes by the one, and the sandboxes' firewall writes its table with the other.
  const programs = host.docker ? ["docker", "nft"] : [];
  const fingerprint = digest(
    JSON.stringify([commandLine(experiment, run, programs), environment.map(withoutSource), image]),
    10,
  );
  const rayNamespace = `${names.stack}-${fingerprint}`;
  const overrides = [...run, rayNamespaceOverride(rayNamespace)];
  const argv = commandLine(experiment, overrides, programs);
  return {
    image,
    verl: { version: experiment.verl.version, distribution: experiment.verl.distribution },
    argv,
    // It imports all of verl: 0.93 GiB seen with 0.9.1.
    check: isStock
      ? { argv: checkAlone(argv), requests: requestsOf(500, { memory: 2048, limit: 8192 }) }
      : undefined,
    overrides,
    environment,
    agentLoopConfig,
    workingDirectory: inputs.storage.directories.project,
    rayNamespace,
    fingerprint,
    gpus: inputs.topology.gpuNodes * inputs.topology.gpusPerNode,
    maxRestarts: experiment.trainer.max_restarts,
    tracked,
    submitterRequests: requestsOf(100, { memory: 128, limit: 512 }),
  };
}

/** Where a value comes from changes no run. */
function withoutSource({ source: _, ...variable }: EnvironmentVariable): object {
  return variable;
}
