import { spawn, spawnSync } from "node:child_process";
import { labPaths } from "../../../lab/paths.ts";
import { projectRoot } from "../../support/settings.ts";

/** A lab of these tests' own, beside those of the user and of the engine's tests. */
const name = "node-test";
export const paths = labPaths(projectRoot, name);

export interface Outcome {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs `npm run lab -- …`. */
export function lab(...args: string[]): Outcome {
  return run(process.execPath, ["lab/main.ts", ...args], {});
}

/** @throws {Error} With what it says, if it fails. */
export function demandLab(...args: string[]): string {
  const { status, stdout, stderr } = lab(...args);
  if (status !== 0) throw new Error(`lab ${args.join(" ")}: ${stdout}${stderr}`);
  return stdout;
}

/** Runs it as a user without rights. */
export function labAsNobody(...args: string[]): Outcome {
  return run(process.execPath, ["lab/main.ts", ...args], { uid: 65534, gid: 65534 });
}

/** Starts it and kills it as soon as its output has a text. */
export async function killLabAt(text: string, ...args: string[]): Promise<void> {
  const child = spawn(process.execPath, ["lab/main.ts", ...args], {
    cwd: projectRoot,
    env: { ...process.env, SWE_RL_LAB: name },
    stdio: ["ignore", "pipe", "inherit"],
  });
  let output = "";
  child.stdout.setEncoding("utf8").on("data", (part: string) => {
    output += part;
    if (output.includes(text)) child.kill("SIGKILL");
  });
  await new Promise((resolve) => child.once("close", resolve));
  if (!output.includes(text))
    throw new Error(`lab ${args.join(" ")} never said ${text}: ${output}`);
}

/** @throws {Error} With what it says, if it fails. */
export function kubectl(args: readonly string[], input?: object): string {
  const { status, stdout, stderr } = tryKubectl(args, input);
  if (status !== 0) throw new Error(`kubectl ${args.join(" ")}: ${stderr}`);
  return stdout;
}

export function tryKubectl(args: readonly string[], input?: object): Outcome {
  const command = ["--kubeconfig", paths.kubeconfig, ...args];
  return run(`${paths.bin}/kubectl`, command, { input: input && JSON.stringify(input) });
}

function run(
  command: string,
  args: readonly string[],
  options: { readonly input?: string | undefined; readonly uid?: number; readonly gid?: number },
): Outcome {
  return spawnSync(command, args, {
    ...options,
    cwd: projectRoot,
    encoding: "utf8",
    env: { ...process.env, SWE_RL_LAB: name },
  });
}
