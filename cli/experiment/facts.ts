import type { Plan } from "../../config/plan/plan.ts";

/** GPUs of the training run. */
export function gpusOf({ ray }: Plan): number {
  return ray.groups.reduce((sum, { replicas, gpus }) => sum + replicas * gpus, 0);
}

/** The agent: its name in Harbor, else the class that drives it. */
export function scaffoldOf({ trainer }: Plan): string {
  const valueOf = (name: string) => {
    const variable = trainer.environment.find((candidate) => candidate.name === name);
    return variable && "value" in variable ? variable.value : undefined;
  };
  const name = valueOf("HARBOR_AGENT_NAME");
  if (name !== undefined && name !== "null") return name;
  return valueOf("HARBOR_AGENT_IMPORT_PATH")?.split(":").at(-1) ?? "-";
}
