import type { Basis } from "../host.ts";
import { forkAgentVariables, modelAccessVariables, trialVariables } from "./environment/agent.ts";
import { asyncVariables } from "./environment/async.ts";
import { dockerVariables } from "./environment/docker.ts";
import { loopVariables } from "./environment/loop.ts";
import { runVariables } from "./environment/run.ts";
import { processVariables, sandboxVariables } from "./environment/sandbox.ts";
import type { EnvironmentInputs, EnvironmentVariable } from "./environment/types.ts";

/**
 * Everything that the agent loop and what it calls read, for every Ray pod: a shell export would not reach Ray's workers.
 * For the fork that is what the original scripts export.
 */
export function planEnvironment(settings: Basis, inputs: EnvironmentInputs): EnvironmentVariable[] {
  const isStock = settings.experiment.verl.distribution === "stock";
  return [
    ...runVariables(settings, inputs),
    ...(isStock ? [] : asyncVariables(settings, inputs)),
    ...trialVariables(settings, inputs),
    ...(isStock ? loopVariables(settings, inputs) : forkAgentVariables(settings, inputs)),
    ...(settings.host.docker ? dockerVariables(settings) : sandboxVariables(settings, inputs)),
    ...(isStock ? [] : modelAccessVariables(settings, inputs)),
    ...processVariables(settings),
  ];
}
