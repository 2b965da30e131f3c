/** The environment in which Pulumi and kubectl use the lab, and neither the user's backend nor clusters. */
import { pathToFileURL } from "node:url";
import type { LabPaths } from "../paths.ts";

/** Variables that would select another backend, passphrase or plugin. */
const interfering: readonly string[] = [
  "PULUMI_ACCESS_TOKEN",
  "PULUMI_CONFIG_PASSPHRASE",
  "PULUMI_IGNORE_AMBIENT_PLUGINS",
];

/** The variables of the lab, except the PATH. */
export function labVariables(paths: LabPaths): Record<string, string> {
  return {
    KUBECONFIG: paths.kubeconfig,
    PULUMI_HOME: paths.pulumiHome,
    PULUMI_BACKEND_URL: pathToFileURL(paths.pulumiState).href,
    PULUMI_CONFIG_PASSPHRASE_FILE: paths.passphrase,
    PULUMI_SKIP_UPDATE_CHECK: "true",
  };
}

/** The environment of a child process. */
export function labEnvironment(
  paths: LabPaths,
  base: NodeJS.ProcessEnv = process.env,
): NodeJS.ProcessEnv {
  const kept = Object.entries(base).filter(([name]) => !interfering.includes(name));
  return {
    ...Object.fromEntries(kept),
    ...labVariables(paths),
    PATH: labPath(paths, base["PATH"]),
  };
}

export function labPath(paths: LabPaths, path: string | undefined): string {
  const others = (path ?? "").split(":").filter((folder) => folder !== "" && folder !== paths.bin);
  return [paths.bin, ...others].join(":");
}

/** Lines for a shell to evaluate. They extend the shell's own PATH, since npm adds folders to the PATH of this process. */
export function exportLines(paths: LabPaths): string[] {
  return [
    `unset ${interfering.join(" ")}`,
    `export PATH=${quote(paths.bin)}:"$PATH"`,
    ...Object.entries(labVariables(paths)).map(([name, value]) => `export ${name}=${quote(value)}`),
  ];
}

/** Quotes a value for any POSIX shell. */
export function quote(value: string): string {
  return `'${value.replaceAll("'", String.raw`'\''`)}'`;
}
