/** The bare program of the benchmark: the same objects as a stack, without settings, Plan, preflight or components. */
import { readFileSync } from "node:fs";
import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import * as random from "@pulumi/random";

interface BareObject {
  readonly urn: string;
  readonly type: string;
  readonly name: string;
  readonly inputs: Record<string, unknown>;
  readonly dependencies: readonly string[];
  readonly retainOnDelete: boolean;
  readonly deleteSeconds?: number;
}

class AnyResource extends pulumi.CustomResource {}

const provider = new k8s.Provider("cluster", { context: "kwok-swe-rl" });
const made = new Map<string, pulumi.Resource>();
for (const object of JSON.parse(
  readFileSync(`${import.meta.dirname}/../objects.json`, "utf8"),
) as BareObject[]) {
  const dependsOn = object.dependencies.flatMap((urn) => made.get(urn) ?? []);
  if (object.type === "random:index/randomPassword:RandomPassword") {
    made.set(object.urn, new random.RandomPassword(object.name, { length: 40, special: false }));
  } else {
    const { retainOnDelete, deleteSeconds } = object;
    made.set(
      object.urn,
      new AnyResource(object.type, object.name, object.inputs, {
        provider,
        dependsOn,
        retainOnDelete,
        customTimeouts: deleteSeconds === undefined ? {} : { delete: `${deleteSeconds}s` },
        version: "4.34.2",
      }),
    );
  }
}
