/** The runners of the tests, vitest and pytest, each with the set-up that it needs. */
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface Tally {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

/** What of a suite runs. */
export interface Choice {
  /** Files and folders, relative to the project; empty for the whole suite. */
  readonly paths: readonly string[];
  /** Part of a test's name. */
  readonly name: string | undefined;
}

/** Takes the output of a runner. */
export type Print = (text: string) => void;

export type Runner = (choice: Choice, print: Print) => Promise<Tally>;

export const root = join(import.meta.dirname, "..");

export function vitest(project: string): Runner {
  return ({ paths, name }, print) =>
    withFolder(async (folder) => {
      const file = join(folder, "report.json");
      const command = [
        join(root, "node_modules/vitest/vitest.mjs"),
        "run",
        ...paths,
        `--project=${project}`,
        ...(name === undefined ? [] : [`--testNamePattern=${name}`]),
        "--reporter=default",
        "--reporter=json",
        `--outputFile=${file}`,
      ];
      const status = await run([process.execPath, ...command], process.env, print);
      const report = readJson(file) as
        { numPassedTests: number; numFailedTests: number; numPendingTests: number } | undefined;
      const tally = {
        passed: report?.numPassedTests ?? 0,
        failed: report?.numFailedTests ?? 0,
        // vitest counts the tests of other names as skipped.
        skipped: name === undefined ? (report?.numPendingTests ?? 0) : 0,
      };
      return failedWithoutTest(status, tally, { name, print });
    });
}

/**
 * @param packets Whether the tests need programs for networks and containers too.
 * @param training Whether they run in the environment of the training package.
 */
export function pytest(
  folder: string,
  { ignore = [], packets = false, training = false }: PytestOptions,
): Runner {
  return async ({ paths, name }, print) => {
    const python = await preparePython({ packets, training });
    if (typeof python === "string") {
      print(`${python}\n`);
      return { passed: 0, failed: 1, skipped: 0 };
    }
    if (python.missing !== undefined) print(`${python.missing}\n`);
    const targets = [
      ...(paths.length > 0 ? paths : [folder]),
      ...ignore.map((path) => `--ignore=${path}`),
      ...(name === undefined ? [] : ["-k", name]),
    ];
    return withFolder(async (reports) => {
      const file = join(reports, "report.xml");
      const status = await run(
        [python.interpreter, "-m", "pytest", ...targets, `--junitxml=${file}`, "-rs"],
        { ...process.env, ...python.variables },
        print,
      );
      const [suite = ""] = /<testsuite\b[^>]*>/.exec(readText(file) ?? "") ?? [];
      const number = (attribute: string) =>
        Number(new RegExp(`\\b${attribute}="(\\d+)"`).exec(suite)?.[1] ?? 0);
      const failed = number("failures") + number("errors");
      const skipped = number("skipped");
      const tally = { passed: number("tests") - failed - skipped, failed, skipped };
      return failedWithoutTest(status, tally, { name, print });
    });
  };
}

interface PytestOptions {
  readonly ignore?: readonly string[];
  readonly packets?: boolean;
  readonly training?: boolean;
}

interface PythonReady {
  readonly interpreter: string;
  readonly variables: Readonly<Record<string, string>>;
  /** Why a program is missing that some tests need. */
  readonly missing: string | undefined;
}

const pythons = new Map<boolean, Promise<PythonReady | string>>();
let programs: Promise<Pick<PythonReady, "variables" | "missing">> | undefined;

/** Makes what pytest needs, once for all suites. A text says why that cannot be. */
async function preparePython({
  packets,
  training,
}: {
  packets: boolean;
  training: boolean;
}): Promise<PythonReady | string> {
  const making = pythons.get(training) ?? makePython(training);
  pythons.set(training, making);
  const ready = await making;
  if (typeof ready === "string" || !packets) return ready;
  const { variables, missing } = await (programs ??= makePrograms());
  return { ...ready, variables: { ...ready.variables, ...variables }, missing };
}

async function makePython(training: boolean): Promise<PythonReady | string> {
  const { pythonEnvironment, PythonProblem } = await import("./runtime/environment.ts");
  const { trainingEnvironment } = await import("./training/environment.ts");
  try {
    const { python: interpreter, variables } = await (training
      ? trainingEnvironment()
      : pythonEnvironment());
    return { interpreter, variables, missing: undefined };
  } catch (error) {
    if (error instanceof PythonProblem) return error.message;
    throw error;
  }
}

async function makePrograms(): Promise<Pick<PythonReady, "variables" | "missing">> {
  const { installTools, obtainCompose } = await import("./runtime/tools.ts");
  const missing = installTools();
  return { missing, variables: { SWE_RL_COMPOSE: await obtainCompose() } };
}

/** Counts a failure where a runner ends badly without naming a test, and where no test has the wanted name. */
function failedWithoutTest(
  status: number,
  tally: Tally,
  { name, print }: { name: string | undefined; print: Print },
): Tally {
  const { passed, failed, skipped } = tally;
  if (failed > 0) return tally;
  if (name !== undefined && passed + skipped === 0) {
    print(`No test ran: is there one whose name has "${name}"?\n`);
    return { ...tally, failed: 1 };
  }
  return status === 0 ? tally : { ...tally, failed: 1 };
}

function run(
  [command = "", ...args]: readonly string[],
  env: NodeJS.ProcessEnv,
  print: Print,
): Promise<number> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd: root, env, stdio: ["ignore", "pipe", "pipe"] });
    child.stdout.setEncoding("utf8").on("data", print);
    child.stderr.setEncoding("utf8").on("data", print);
    const forward = (signal: NodeJS.Signals) => child.kill(signal);
    process.once("SIGINT", forward).once("SIGTERM", forward);
    child.once("error", reject);
    child.once("close", (code) => {
      process.off("SIGINT", forward).off("SIGTERM", forward);
      resolve(code ?? 1);
    });
  });
}

async function withFolder<T>(use: (folder: string) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), "swe-rl-test-"));
  try {
    return await use(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function readText(file: string): string | undefined {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return undefined;
  }
}

function readJson(file: string): unknown {
  const text = readText(file);
  return text === undefined ? undefined : JSON.parse(text);
}
