/** Prints the environment in which the user's own pulumi and kubectl work with the lab. */
import { openApi } from "../control-plane/bring-up.ts";
import type { Place } from "../place.ts";
import { LabError } from "../problem.ts";
import { exportLines, labPath, labVariables } from "../pulumi/environment.ts";
import { readRecord } from "../record.ts";

/** @throws {LabError} If the lab is not up: variables that lead nowhere help nobody. */
export async function env(place: Place, form: "shell" | "json"): Promise<string> {
  const ports = readRecord(place)?.ports;
  const api = ports && openApi(place, ports);
  const isUp = (await api?.isReady()) ?? false;
  api?.close();
  if (!isUp) {
    throw new LabError(
      `lab ${place.name} is not up, so there is nothing to work with. Bring it up: npm run lab -- up`,
    );
  }
  if (form === "shell") return `${exportLines(place).join("\n")}\n`;
  const all = { PATH: labPath(place, process.env["PATH"]), ...labVariables(place) };
  return `${JSON.stringify(all, undefined, 2)}\n`;
}
