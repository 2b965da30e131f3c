import type { EnvironmentVariable } from "../verl/index.ts";
import type { Plan } from "../plan.ts";

/** A variable's value as it may be shown: secrets masked, what only the cluster knows named. */
export function shownValue(variable: EnvironmentVariable, plan: Plan): string {
  if ("value" in variable) return variable.value;
  if ("secret" in variable) return "***";
  const port = plan.proxy.mode === "litellm" ? plan.proxy.port : 0;
  return `http://<address of Service ${plan.names.proxy}>:${port}${variable.suffix ?? ""}`;
}

/** The Plan as JSON: every decision, with `trainer.env` as a plain mapping beside the rows and their sources. */
export function planAsJson(plan: Plan): unknown {
  const env = Object.fromEntries(
    plan.trainer.environment.map((variable) => [variable.name, shownValue(variable, plan)]),
  );
  return { ...plan, trainer: { ...plan.trainer, env } };
}
