/** The environment in which Pulumi and kubectl work with the lab, and with nothing of the user's own. */
import { pathToFileURL } from "node:url";
import type { Place } from "../place.ts";

/** Would make Pulumi ask the wrong place, or take the wrong passphrase. */
export const interfering = [
  "PULUMI_ACCESS_TOKEN",
  "PULUMI_CONFIG_PASSPHRASE",
  "PULUMI_IGNORE_AMBIENT_PLUGINS",
] as const;

/** What is set, besides the PATH. */
export function labVariables(place: Place): Record<string, string> {
  return {
    KUBECONFIG: place.kubeconfig,
    PULUMI_HOME: place.pulumiHome,
    PULUMI_BACKEND_URL: pathToFileURL(place.pulumiState).href,
    PULUMI_CONFIG_PASSPHRASE_FILE: place.passphrase,
    PULUMI_SKIP_UPDATE_CHECK: "true",
  };
}

/** For a program that is started from here. */
export function labEnvironment(
  place: Place,
  base: NodeJS.ProcessEnv = process.env,
): NodeJS.ProcessEnv {
  const kept = Object.entries(base).filter(([name]) => !isInterfering(name));
  return {
    ...Object.fromEntries(kept),
    ...labVariables(place),
    PATH: labPath(place, base["PATH"]),
  };
}

export function labPath(place: Place, path: string | undefined): string {
  const others = (path ?? "").split(":").filter((folder) => folder !== "" && folder !== place.bin);
  return [place.bin, ...others].join(":");
}

/** Lines for a shell to evaluate. The PATH is the shell's own: ours has what npm added to it. */
export function exportLines(place: Place): string[] {
  return [
    `unset ${interfering.join(" ")}`,
    `export PATH=${quote(place.bin)}:"$PATH"`,
    ...Object.entries(labVariables(place)).map(([name, value]) => `export ${name}=${quote(value)}`),
  ];
}

/** Quotes a value for any POSIX shell. */
export function quote(value: string): string {
  return `'${value.replaceAll("'", String.raw`'\''`)}'`;
}

function isInterfering(name: string): boolean {
  return interfering.some((other) => other === name);
}
