/** `npm start`: a lab, and on it a real `pulumi up` of one stack. */
import { join } from "node:path";
import { runInForeground } from "../foreground.ts";
import type { LabPaths } from "../paths.ts";
import { Interrupted, LabError } from "../problem.ts";
import { labEnvironment } from "../pulumi/environment.ts";
import { demandOwnStack } from "../pulumi/stack-files.ts";
import { onTerminal, run } from "../run.ts";
import { formatSeconds, type Progress } from "../progress.ts";
import { realAndSimulated, standIns } from "./limits.ts";
import { up } from "./up.ts";

/** @returns The exit code of pulumi. */
export async function start(paths: LabPaths, stack: string, progress: Progress): Promise<number> {
  const { record, phases, done } = await up(paths, {
    gpuNodes: undefined,
    nodes: undefined,
    progress,
  });
  if (record.nodes === "real") {
    throw new LabError(
      `Lab ${paths.name} has a real node, which has none of the stack's images, so its pods would never run. Take simulated nodes: npm run lab -- up --node simulated`,
    );
  }
  if (done.length === 0) progress.line(`lab ${paths.name} is up`);
  for (const line of standIns(record.tools)) progress.line(line);

  demandOwnStack(paths, stack);
  await selectStack(paths, stack);
  progress.line(`\npulumi up -s ${stack}`);
  const begin = performance.now();
  const { code, stopped } = await runInForeground(
    join(paths.bin, "pulumi"),
    // Without a terminal, Pulumi's progress dots only fill the log.
    [
      "up",
      "--stack",
      stack,
      "--yes",
      "--skip-preview",
      ...(onTerminal() ? [] : ["--suppress-progress"]),
    ],
    { cwd: paths.root, env: labEnvironment(paths) },
  );
  const stackPhase = { name: "stack", seconds: (performance.now() - begin) / 1000 };
  if (stopped) throw new Interrupted(stopped);
  const times = [...phases, stackPhase]
    .map(({ name, seconds }) => `${name} ${formatSeconds(seconds)}`)
    .join("; ");
  if (code !== 0) {
    progress.line(
      `\npulumi up ended with exit code ${code} (${times}). The lab is still up. Try again: npm start${stack === defaultStack ? "" : ` -- ${stack}`}. End it: npm run lab -- down`,
    );
    return code;
  }
  for (const line of [
    "",
    ...realAndSimulated(record),
    ...standIns(record.tools),
    "",
    ...next(stack),
  ]) {
    progress.line(line);
  }
  progress.line(`\nstack ${stack} is provisioned: ${times}`);
  return 0;
}

export const defaultStack = "single-node";

async function selectStack(paths: LabPaths, stack: string): Promise<void> {
  const { code, stdout, stderr } = await run(
    join(paths.bin, "pulumi"),
    ["stack", "select", "--create", stack, "--non-interactive"],
    { cwd: paths.root, env: labEnvironment(paths) },
  );
  if (code !== 0) {
    throw new LabError(`Pulumi cannot select the stack ${stack}:\n${(stderr + stdout).trim()}`);
  }
}

function next(stack: string): string[] {
  const lines = [
    ['eval "$(npm run -s lab -- env)"', "makes your own pulumi and kubectl use the lab"],
    [`pulumi preview -s ${stack}`, "shows no change until you change a setting in config/"],
    [`kubectl get raycluster,pods -n ${stack}-train`, "shows the objects in Kubernetes"],
    ["npm run lab -- status", "shows what runs and where the tools come from"],
    ["npm run lab -- down", "ends the lab and removes its data"],
  ] as const;
  const width = Math.max(...lines.map(([command]) => command.length));
  return ["next", ...lines.map(([command, what]) => `  ${command.padEnd(width)}   ${what}`)];
}
