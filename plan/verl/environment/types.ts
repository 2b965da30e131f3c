import type { Basis } from "../../host.ts";
import type { Names } from "../../names.ts";
import type { AsyncTraining, Batches, Engine, Scaffold, Topology } from "../../run/index.ts";
import type { Sandboxes } from "../../sandbox/index.ts";
import type { InProcessProxy, Proxy } from "../../serving/index.ts";
import type { Checkpoints, Storage } from "../../storage/index.ts";

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
  readonly checkpoints: Checkpoints;
  readonly sandboxes: Sandboxes;
  readonly scaffold: Scaffold;
  readonly proxy: Proxy | InProcessProxy;
}
