import type { Basis } from "../host.ts";
import type { AsyncTraining } from "../run/async-training.ts";
import type { Batches } from "../run/batches.ts";
import type { Engine } from "../run/engine.ts";
import { agentVariables, modelAccessVariables } from "./environment/agent.ts";
import { asyncVariables } from "./environment/async.ts";
import { dockerVariables } from "./environment/docker.ts";
import { runVariables } from "./environment/run.ts";
import { processVariables, sandboxVariables } from "./environment/sandbox.ts";
import type { Names } from "../names.ts";
import type { Scaffold } from "../run/scaffold.ts";
import type { Storage } from "../storage/storage.ts";
import type { Topology } from "../run/topology.ts";

/** Secrets that training pods get as variables. */
export type TrainingSecret = "sandboxKey" | "wandbApiKey";

/** One environment variable of the training pods. */
export type EnvironmentVariable = {
  readonly name: string;
  /** Setting, rule or ruling that it comes from. */
  readonly source: string;
} & (
  | { readonly value: string }
  /** Taken from a Secret; the value appears nowhere else. */
  | { readonly secret: TrainingSecret }
  /** Address of the proxy, known only when its Service has one, and a path behind it. */
  | { readonly deferred: "proxyUrl"; readonly suffix?: string }
);

/** How the experiment is tracked, after what the site allows. */
export function trackingMode({ experiment, host }: Basis): "online" | "offline" | "disabled" {
  const wanted = experiment.credentials.wandb_mode;
  if (host.tracking === "allowed" || wanted === "disabled") return wanted;
  return host.tracking;
}

/** What the variables are made from. */
export interface EnvironmentInputs {
  readonly names: Names;
  readonly topology: Topology;
  readonly engine: Engine;
  readonly batches: Batches;
  readonly asyncTraining: AsyncTraining | undefined;
  readonly storage: Storage;
  readonly scaffold: Scaffold;
}

/** Everything that the original scripts export, for every Ray pod: a shell export would not reach Ray's workers. */
export function planEnvironment(settings: Basis, inputs: EnvironmentInputs): EnvironmentVariable[] {
  return [
    ...runVariables(settings, inputs),
    ...asyncVariables(settings, inputs),
    ...agentVariables(settings, inputs),
    ...(settings.host.docker
      ? dockerVariables(settings)
      : sandboxVariables(settings, inputs.names)),
    ...modelAccessVariables(settings, inputs),
    ...processVariables(settings),
  ];
}
