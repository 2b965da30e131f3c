import type { Basis } from "../host.ts";
import { agentVariables, modelAccessVariables } from "./environment/agent.ts";
import { asyncVariables } from "./environment/async.ts";
import { dockerVariables } from "./environment/docker.ts";
import { runVariables } from "./environment/run.ts";
import { processVariables, sandboxVariables } from "./environment/sandbox.ts";
import type { EnvironmentInputs, EnvironmentVariable } from "./environment/types.ts";

/** Everything that the original scripts export, for every Ray pod: a shell export would not reach Ray's workers. */
export function planEnvironment(settings: Basis, inputs: EnvironmentInputs): EnvironmentVariable[] {
  return [
    ...runVariables(settings, inputs),
    ...asyncVariables(settings, inputs),
    ...agentVariables(settings, inputs),
    ...(settings.host.docker ? dockerVariables(settings) : sandboxVariables(settings, inputs)),
    ...modelAccessVariables(settings, inputs),
    ...processVariables(settings),
  ];
}
