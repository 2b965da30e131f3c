import * as pulumi from "@pulumi/pulumi";
import { digest } from "../plan/digest.ts";

/** What a `StartCheck` can wait for. */
export interface Workload {
  kind: "Deployment" | "Job" | "RayCluster";
  namespace: pulumi.Input<string>;
  name: string;
  /** Whether a Job is awaited until it is complete. @default until its pod runs */
  ends?: boolean;
  /** Tells what it is made of, by `markOf`: with another, it is awaited again. */
  mark: pulumi.Input<string>;
}

/**
 * Of an object that a `StartCheck` waits for. Pulumi itself only sees to it that it exists: it would wait all of
 * its time for a Deployment whose image cannot be pulled, and of a RayCluster that is changed it would see nothing.
 */
export const awaitedByCheck = { "pulumi.com/waitFor": "jsonpath={.metadata.uid}" };

/** @param args Those of the resource, as they are registered. */
export function markOf(args: object): pulumi.Output<string> {
  return pulumi.output(args).apply((all) => digest(JSON.stringify(all), 10));
}
