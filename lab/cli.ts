/** Reads the command line and runs the command. */
import { parseArgs } from "node:util";
import { down } from "./commands/down.ts";
import { env } from "./commands/env.ts";
import { type CommandName, commandNames, helpFor, isCommand } from "./commands/help.ts";
import { defaultStack, start } from "./commands/start.ts";
import { status } from "./commands/status.ts";
import { realAndSimulated, standIns } from "./commands/limits.ts";
import { up } from "./commands/up.ts";
import { type LabPaths, labPaths } from "./paths.ts";
import { UsageError } from "./problem.ts";
import { platformOf } from "./tools/tool.ts";
import { Progress } from "./progress.ts";
import type { NodeKind } from "./record.ts";

export interface Invocation {
  /** undefined: help about all commands. */
  readonly command: CommandName | undefined;
  readonly help: boolean;
  readonly stack: string;
  readonly gpuNodes: number | undefined;
  readonly nodes: NodeKind | undefined;
  readonly json: boolean;
}

/** @throws {UsageError} */
export function readCommandLine(args: readonly string[]): Invocation {
  const [first, ...rest] = args;
  const isHelp = first === undefined || ["--help", "-h", "help"].includes(first);
  if (isHelp && rest.length === 0) {
    return {
      command: undefined,
      help: true,
      stack: defaultStack,
      gpuNodes: undefined,
      nodes: undefined,
      json: false,
    };
  }
  const name = isHelp ? rest[0] : first;
  if (name === undefined || !isCommand(name)) {
    throw new UsageError(
      `"${name}" is not a command. Commands: ${commandNames.join(", ")}. See npm run lab -- --help`,
    );
  }
  const { values, positionals } = readOptions(name, isHelp ? ["--help"] : rest);
  return {
    command: name,
    help: values.help === true,
    stack: readStack(positionals[0] ?? defaultStack),
    gpuNodes: readCount(values["gpu-nodes"]),
    nodes: readKind(values.node),
    json: values.json === true,
  };
}

function readOptions(command: CommandName, args: readonly string[]) {
  const options = {
    help: { type: "boolean", short: "h" },
    "gpu-nodes": { type: "string" },
    node: { type: "string" },
    json: { type: "boolean" },
  } as const;
  const allowed: Partial<Record<CommandName, string[]>> = {
    up: ["gpu-nodes", "node"],
    env: ["json"],
  };
  try {
    const parsed = parseArgs({ args: [...args], options, allowPositionals: command === "start" });
    const unknown = Object.keys(parsed.values).find(
      (option) => option !== "help" && !allowed[command]?.includes(option),
    );
    if (unknown !== undefined) throw new TypeError(`Unknown option '--${unknown}'`);
    if (parsed.positionals.length > 1) throw new TypeError("More than one stack was given");
    return parsed;
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    throw new UsageError(`${error.message}. See npm run lab -- ${command} --help`);
  }
}

function readStack(name: string): string {
  if (/^[\w.-]+$/.test(name)) return name;
  throw new UsageError(
    `"${name}" is not the name of a stack. A name has letters, digits, dots, dashes and underscores. See npm run lab -- start --help`,
  );
}

const mostGpuNodes = 500;

function readCount(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const count = Number(text);
  if (/^\d+$/.test(text) && count >= 1 && count <= mostGpuNodes) return count;
  throw new UsageError(
    `--gpu-nodes ${text}: the value must be a whole number from 1 to ${mostGpuNodes}. See npm run lab -- up --help`,
  );
}

function readKind(text: string | undefined): NodeKind | undefined {
  if (text === undefined || text === "real" || text === "simulated") return text;
  throw new UsageError(
    `--node ${text}: the value must be real or simulated. See npm run lab -- up --help`,
  );
}

/** @returns The exit code. */
export async function main(root: string, args: readonly string[]): Promise<number> {
  const invocation = readCommandLine(args);
  const { command, help } = invocation;
  if (help || command === undefined) {
    process.stdout.write(helpFor(command));
    return 0;
  }
  platformOf();
  // `SWE_RL_LAB= npm start` uses the default lab.
  const name = process.env["SWE_RL_LAB"] === "" ? undefined : process.env["SWE_RL_LAB"];
  return await runCommand(command, labPaths(root, name ?? "default"), invocation);
}

async function runCommand(
  command: CommandName,
  paths: LabPaths,
  { stack, gpuNodes, nodes, json }: Invocation,
): Promise<number> {
  const progress = new Progress(process.stdout);
  switch (command) {
    case "start":
      return await start(paths, stack, progress);
    case "up": {
      const begin = performance.now();
      const { record, done } = await up(paths, { gpuNodes, nodes, progress });
      const seconds = ((performance.now() - begin) / 1000).toFixed(1);
      for (const line of [...realAndSimulated(record), ...standIns(record.tools)])
        progress.line(line);
      const how = done.length === 0 ? "is up" : `is up after ${seconds} s`;
      progress.line(`lab ${paths.name} ${how}. Work with it: eval "$(npm run -s lab -- env)"`);
      return 0;
    }
    case "down":
      await down(paths, (line) => {
        progress.line(line);
      });
      return 0;
    case "status": {
      const { text, exitCode } = await status(paths);
      process.stdout.write(text);
      return exitCode;
    }
    case "env":
      process.stdout.write(await env(paths, json ? "json" : "shell"));
      return 0;
  }
}
