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
 * Annotations of an object that a `StartCheck` waits for, by which Pulumi only sees to it that it exists. It would wait
 * all of its time for a Job whose image cannot be pulled, and of a RayCluster that is changed it would see nothing. For
 * a Job it then does not wait at its deletion either (plugin 4.18.1, pulumi-kubernetes#1232).
 */
export const awaitedByCheck = {
  RayCluster: { "pulumi.com/waitFor": "jsonpath={.metadata.uid}" },
  Job: { "pulumi.com/skipAwait": "true" },
} as const;

/** @param args Those of the resource, as they are registered. */
export function markOf(args: object): pulumi.Output<string> {
  return pulumi.output(args).apply((all) => digest(JSON.stringify(all), 10));
}
