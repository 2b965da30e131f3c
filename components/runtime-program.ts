import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import * as k8s from "@pulumi/kubernetes";
import type * as pulumi from "@pulumi/pulumi";
import { type Identity, leaf } from "./metadata.ts";

/** A folder of `runtime/`: one program with its modules. */
export type Program =
  "docker" | "egress_proof" | "litellm" | "ray_head" | "reaper" | "recorder" | "trainer";

const runtime = join(import.meta.dirname, "../runtime");

/** The files of programs and what all of them share, by name: they lie in one directory where they run. */
export function filesOf(...folders: readonly Program[]): Readonly<Record<string, string>> {
  const paths = [...folders, "common"].flatMap((folder) =>
    readdirSync(join(runtime, folder))
      .filter((file) => file.endsWith(".py"))
      .map((file) => [file, join(runtime, folder, file)] as const),
  );
  return Object.fromEntries(
    paths
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([file, path]) => [file, readFileSync(path, "utf8")]),
  );
}

/** Where containers find the programs. */
export const programDirectory = "/opt/swe-rl";

/** A ConfigMap with a program, and other files beside it. Its name changes with its content, so that pods that use it are rolled. */
export function programs(
  name: string,
  args: {
    identity: Identity;
    program: Program;
    beside?: Readonly<Record<string, string>>;
  },
  opts: pulumi.CustomResourceOptions,
): pulumi.Output<string> {
  const data = { ...filesOf(args.program), ...args.beside };
  return new k8s.core.v1.ConfigMap(
    name,
    { metadata: leaf(args.identity), data, immutable: true },
    opts,
  ).metadata.name;
}
