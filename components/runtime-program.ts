import { readFileSync } from "node:fs";
import * as k8s from "@pulumi/kubernetes";
import type * as pulumi from "@pulumi/pulumi";
import { type Identity, leaf } from "./metadata.ts";

/** Programs of `runtime/`, by file name. */
export type Program =
  | "await_recorder.py"
  | "call_headers.py"
  | "discover_rollouts.py"
  | "egress_probe.py"
  | "entry_gate.py"
  | "exchange.py"
  | "follow_run.py"
  | "knocks.py"
  | "kubernetes_api.py"
  | "launch_run.py"
  | "list_rollouts.py"
  | "nf_tables.py"
  | "pod.py"
  | "proof_listener.py"
  | "proof_phases.py"
  | "proof_verdict.py"
  | "ray_jobs.py"
  | "reap_docker_sandboxes.py"
  | "reap_sandboxes.py"
  | "recorder.py"
  | "rollout_routes.py"
  | "sampled.py"
  | "sandbox_auth.py"
  | "sandbox_docker.py"
  | "sandbox_firewall.py"
  | "sandbox_life.py"
  | "trajectories.py"
  | "with_secrets.py";

/** The egress proof, with the gate that it passes first. */
export const proofPrograms = [
  "egress_probe.py",
  "entry_gate.py",
  "knocks.py",
  "pod.py",
  "proof_listener.py",
  "proof_phases.py",
  "proof_verdict.py",
] as const satisfies readonly Program[];

/** Where containers find the programs. */
export const programDirectory = "/opt/swe-rl";

/** A ConfigMap with programs, and other files beside them. Its name changes with its content, so that pods that use it are rolled. */
export function programs(
  name: string,
  args: {
    identity: Identity;
    files: readonly Program[];
    beside?: Readonly<Record<string, string>>;
  },
  opts: pulumi.CustomResourceOptions,
): pulumi.Output<string> {
  const folder = `${import.meta.dirname}/../runtime`;
  const data = {
    ...Object.fromEntries(
      args.files.map((file) => [file, readFileSync(`${folder}/${file}`, "utf8")]),
    ),
    ...args.beside,
  };
  return new k8s.core.v1.ConfigMap(
    name,
    { metadata: leaf(args.identity), data, immutable: true },
    opts,
  ).metadata.name;
}
