import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import * as k8s from "@pulumi/kubernetes";
import type * as pulumi from "@pulumi/pulumi";
import { type Identity, deletedInBackground } from "./metadata.ts";

/** A folder of `runtime/`: one program with its modules. */
export type Program =
  | "docker"
  | "egress_proof"
  | "litellm"
  | "ray_head"
  | "reaper"
  | "recorder"
  | "start_check"
  | "trainer";

const runtime = join(import.meta.dirname, "../runtime");

type Files = Readonly<Record<string, string>>;

/** The files of programs, with the modules of `runtime/common` that they import; all lie in one directory where they run. */
export function filesOf(...folders: readonly Program[]): Files {
  const own = Object.assign({}, ...folders.map(modulesIn)) as Files;
  return sorted(withImports(own, modulesIn("common")));
}

function modulesIn(folder: string): Files {
  const names = readdirSync(join(runtime, folder)).filter((file) => file.endsWith(".py"));
  return Object.fromEntries(
    names.map((file) => [file, readFileSync(join(runtime, folder, file), "utf8")]),
  );
}

function withImports(files: Files, shared: Files): Files {
  const text = Object.values(files).join("\n");
  const missing = [...text.matchAll(/^(?:from|import) (\w+)/gm)]
    .map(([, module]) => `${module ?? ""}.py`)
    .filter((file) => file in shared && !(file in files));
  if (missing.length === 0) return files;
  const found = Object.fromEntries(missing.map((file) => [file, shared[file] ?? ""]));
  return withImports({ ...files, ...found }, shared);
}

/** In an order that stays: another order would be another container. */
function sorted(files: Files): Files {
  return Object.fromEntries(Object.entries(files).sort(([a], [b]) => (a < b ? -1 : 1)));
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
    { metadata: deletedInBackground(args.identity), data, immutable: true },
    opts,
  ).metadata.name;
}
