/** Prints the environment in which the user's own pulumi and kubectl use the lab. */
import { openApi } from "../control-plane/bring-up.ts";
import type { LabPaths } from "../paths.ts";
import { LabError } from "../problem.ts";
import { exportLines, labPath, labVariables } from "../pulumi/environment.ts";
import { readRecord } from "../record.ts";

/** @throws {LabError} If the lab is not up. */
export async function env(paths: LabPaths, form: "shell" | "json"): Promise<string> {
  const ports = readRecord(paths)?.ports;
  const api = ports && openApi(paths, ports);
  const isUp = (await api?.isReady()) ?? false;
  api?.close();
  if (!isUp) {
    throw new LabError(
      `lab ${paths.name} is not up, so pulumi and kubectl would get no answer. Bring it up: npm run lab -- up`,
    );
  }
  if (form === "shell") return `${exportLines(paths).join("\n")}\n`;
  const all = { PATH: labPath(paths, process.env["PATH"]), ...labVariables(paths) };
  return `${JSON.stringify(all, undefined, 2)}\n`;
}
