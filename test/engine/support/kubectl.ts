import { spawnSync } from "node:child_process";
import { inject } from "vitest";

/** Runs kubectl against the lab of the tests. @throws {Error} With what it says, if it fails. */
export function kubectl(args: readonly string[], input?: object): string {
  const { status, stdout, stderr } = spawnSync("kubectl", args, {
    encoding: "utf8",
    env: { ...process.env, ...inject("lab") },
    ...(input === undefined ? {} : { input: JSON.stringify(input) }),
  });
  if (status !== 0) throw new Error(`kubectl ${args.join(" ")}: ${stderr}`);
  return stdout;
}

/** Objects as one manifest. */
export function list(items: readonly object[]): object {
  return { apiVersion: "v1", kind: "List", items };
}
