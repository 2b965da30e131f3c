/** Runs other programs: their output goes to the user, is returned, or both. */
import { spawn } from "node:child_process";

export interface Ended {
  /** Exit code; 127 where the program cannot be started, 1 where a signal ended it. */
  readonly code: number;
  readonly output: string;
}

/**
 * Runs a program to its end.
 * @param shown Its output goes to standard error as it comes: a terminal then shows the builder's own progress.
 */
export function runProgram(
  [program, ...args]: readonly [string, ...string[]],
  { shown = false } = {},
): Promise<Ended> {
  return new Promise((resolve) => {
    const child = spawn(program, args, {
      stdio: ["ignore", shown ? process.stderr : "pipe", shown ? "inherit" : "pipe"],
    });
    collect(child, resolve);
  });
}

/** As `runProgram`, but what the program prints is shown and returned. */
export function followProgram([program, ...args]: readonly [string, ...string[]]): Promise<Ended> {
  return new Promise((resolve) => {
    const child = spawn(program, args, { stdio: ["ignore", "pipe", "inherit"] });
    child.stdout.pipe(process.stderr, { end: false });
    collect(child, resolve);
  });
}

function collect(child: ReturnType<typeof spawn>, done: (ended: Ended) => void): void {
  let output = "";
  // The terminal interrupts both: the program ends first, and what it leaves is removed here.
  const wait = () => undefined;
  process.on("SIGINT", wait);
  const keep = (chunk: Buffer) => (output += chunk.toString());
  child.stdout?.on("data", keep);
  child.stderr?.on("data", keep);
  child.on("error", ({ message }) => {
    done({ code: 127, output: message });
  });
  child.on("close", (code) => {
    process.off("SIGINT", wait);
    done({ code: code ?? 1, output });
  });
}
