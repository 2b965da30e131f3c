/**
 * Finds the lab's processes by their command lines, which begin with a path inside the lab's directory. Pid files are
 * not reliable: the system reuses pids, and a kill between fork and write leaves no file.
 */
import { readdirSync, readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { run } from "./run.ts";
import { LabError } from "./problem.ts";

export interface Process {
  readonly pid: number;
  readonly since: Date;
  /** The command line, words joined by spaces. */
  readonly command: string;
}

/** Clock ticks per second in /proc (USER_HZ): 100 on every architecture. */
const ticksPerSecond = 100;

/** All processes of this machine. */
export async function allProcesses(): Promise<Process[]> {
  return process.platform === "linux" ? readProc() : await askPs();
}

/** All processes whose executable is inside the directory. */
export async function processesIn(directory: string): Promise<Process[]> {
  const all = await allProcesses();
  return all.filter(({ pid, command }) => runsIn(directory, command) && pid !== process.pid);
}

export function runsIn(directory: string, command: string): boolean {
  return command.startsWith(`${directory}/`);
}

/** Whether a process runs this executable. */
export function runs(executable: string, { command }: Process): boolean {
  return command === executable || command.startsWith(`${executable} `);
}

/** Name of the executable of a process of the directory, which may have spaces in its path. */
export function nameOf(directory: string, { command }: Process): string {
  const [path = ""] = command.slice(directory.length).split(" ", 1);
  return path.slice(path.lastIndexOf("/") + 1);
}

function readProc(): Process[] {
  const boot = /^btime (\d+)$/m.exec(readFileSync("/proc/stat", "utf8"))?.[1];
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      try {
        const words = readFileSync(`/proc/${name}/cmdline`, "utf8").split("\0");
        const stat = readFileSync(`/proc/${name}/stat`, "utf8");
        return [parseProc(Number(name), { words, stat, boot: Number(boot) })];
      } catch {
        // The process ended meanwhile.
        return [];
      }
    });
}

/** Parses /proc/PID/cmdline and /proc/PID/stat. A zombie has an empty command line. */
export function parseProc(
  pid: number,
  from: { readonly words: readonly string[]; readonly stat: string; readonly boot: number },
): Process {
  // The second field is a name in parentheses that may itself contain spaces; the 22nd is the start.
  const fields = from.stat.slice(from.stat.lastIndexOf(")") + 2).split(" ");
  const seconds = Number(fields[19]) / ticksPerSecond;
  return {
    pid,
    since: new Date((from.boot + seconds) * 1000),
    command: from.words.join(" ").trimEnd(),
  };
}

async function askPs(): Promise<Process[]> {
  const { code, stdout, stderr } = await run("ps", ["-axww", "-o", "pid=,lstart=,command="], {
    env: { ...process.env, LC_ALL: "C" },
  });
  if (code !== 0)
    throw new LabError(`The lab cannot list its processes, because ps failed: ${stderr.trim()}`);
  return parsePs(stdout);
}

/** Reads lines like `  42 Sat Nov 21 01:53:09 2026 /x/bin/etcd --name=node0`. */
export function parsePs(text: string): Process[] {
  return text.split("\n").flatMap((line) => {
    const match = /^\s*(\d+)\s+(\w{3}\s+\w{3}\s+\d+\s+[\d:]+\s+\d{4})\s+(.*)$/.exec(line);
    if (!match) return [];
    const [, pid = "", since = "", command = ""] = match;
    return [{ pid: Number(pid), since: new Date(since), command }];
  });
}

/** Sends SIGTERM, waits, then sends SIGKILL to the rest. Returns once all processes are gone. */
export async function endProcesses(
  directory: string,
  ending: readonly Process[],
  graceSeconds = 3,
): Promise<void> {
  for (const { pid } of ending) signal(pid, "SIGTERM");
  const deadline = Date.now() + graceSeconds * 1000;
  const left = async () => {
    const now = await processesIn(directory);
    return now.filter(({ pid, command }) =>
      ending.some((other) => other.pid === pid && other.command === command),
    );
  };
  // Not interruptible: it takes seconds, and half-ended parts are harder to repair.
  while ((await left()).length > 0 && Date.now() < deadline) await sleep(50);
  for (const { pid } of await left()) signal(pid, "SIGKILL");
  for (let i = 0; i < 100 && (await left()).length > 0; i++) await sleep(50);
  const survivors = await left();
  if (survivors.length > 0) {
    const names = survivors.map((survivor) => `${survivor.pid} (${nameOf(directory, survivor)})`);
    throw new LabError(
      `these processes do not end: ${names.join(", ")}. They may belong to another user; end them by hand, then run the same command again.`,
    );
  }
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // The process has ended or belongs to another user; survivors are reported below.
  }
}
