import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import type { Selection } from "../config/load.ts";

/** What `stacks/Pulumi.<stack>.yaml` chooses, read without the engine. A stack without a file takes the defaults. */
export function readStackFile(root: string, stack: string): Selection {
  const file = join(root, "stacks", `Pulumi.${stack}.yaml`);
  if (!existsSync(file)) return { stack };
  const content = parse(readFileSync(file, "utf8")) as { config?: Record<string, unknown> } | null;
  const values = content?.config ?? {};
  const text = (key: string) => {
    const value = values[`swe-rl:${key}`];
    return typeof value === "string" ? value : undefined;
  };
  const secrets = Object.keys(values)
    .filter((key) => key.startsWith("swe-rl:"))
    .map((key) => key.slice("swe-rl:".length));
  return {
    stack,
    experiment: text("experiment"),
    site: text("site"),
    // A key that is not in the file may still be set in the shell that runs Pulumi.
    secrets: secrets.includes("wandbApiKey") ? new Set(secrets) : undefined,
  };
}
