import { existsSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import type { Selection } from "../config/load/load.ts";
import { isRecord } from "../config/load/document.ts";
import { readRegularFile } from "../config/load/regular-file.ts";
import { inClear, userSecrets } from "../config/schema/secret-form.ts";
import { ConfigError } from "../config/load/problem.ts";

/** What `stacks/Pulumi.<stack>.yaml` chooses, read without the engine. A stack without a file takes the defaults. */
export function readStackFile(root: string, stack: string): Selection {
  const file = join(root, "stacks", `Pulumi.${stack}.yaml`);
  if (!existsSync(file)) return { stack };
  const values = readValues(file, `stacks/Pulumi.${stack}.yaml`);
  const text = (key: string) => {
    const value = values[`swe-rl:${key}`];
    return typeof value === "string" ? value : undefined;
  };
  const plain = userSecrets.filter((name) => typeof values[`swe-rl:${name}`] === "string");
  const secrets = Object.keys(values)
    .filter((key) => key.startsWith("swe-rl:"))
    .map((key) => key.slice("swe-rl:".length));
  return {
    stack,
    experiment: text("experiment"),
    site: text("site"),
    // A key that is not in the file may still be set in the shell that runs Pulumi.
    secrets: secrets.includes("wandbApiKey") ? new Set(secrets) : undefined,
    secretFlaws: plain.map((name) => ({ name, flaw: inClear })),
  };
}

/** The section `config`. @throws {ConfigError} If the file is not valid YAML. */
function readValues(file: string, shown: string): Record<string, unknown> {
  try {
    const content: unknown = parse(readRegularFile(file));
    const values = isRecord(content) ? content["config"] : undefined;
    return isRecord(values) ? values : {};
  } catch (error) {
    const reason = error instanceof Error ? error.message.split("\n", 1).join("") : String(error);
    throw new ConfigError([{ path: [], message: `${shown} cannot be read: ${reason}` }]);
  }
}
