import * as pulumi from "@pulumi/pulumi";
import type { Recorded } from "../rules/rule.ts";

interface Resource {
  readonly type?: string;
  readonly outputs?: Readonly<Record<string, unknown>>;
}

/** Reads the state of the stack itself, as the engine's own StackReference does. */
const reading = "pulumi:pulumi:readStackResourceOutputs";

/** Where the stack is, by its state; undefined where it has made nothing, or an earlier release did not record it. */
export async function readRecorded(): Promise<Recorded | undefined> {
  const stackName = [pulumi.getOrganization(), pulumi.getProject(), pulumi.getStack()].join("/");
  const { outputs = {} } = (await pulumi.runtime.invoke(reading, { stackName })) as {
    outputs?: Readonly<Record<string, Resource>>;
  };
  return Object.entries(outputs)
    .map(recordedBy)
    .find((found) => found !== undefined);
}

/** Of a provider's or a component's outputs. */
function recordedBy([urn, { type, outputs = {} }]: [string, Resource]): Recorded | undefined {
  const [identity, name] =
    type === "pulumi:providers:kubernetes" && urn.endsWith("::cluster")
      ? [outputs["clusterIdentifier"], outputs["context"]]
      : type === "swe-rl:docker:Networks"
        ? [outputs["daemon"], outputs["host"]]
        : [];
  return typeof identity === "string" && typeof name === "string" ? { identity, name } : undefined;
}
