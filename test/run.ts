/**
 * `npm test [-- SUITE…]`: runs the suites and ends with `N passed, N failed`. All but the first wait more than they work,
 * so they run at the same time; what the others print follows when those before them have ended.
 * unit: no engine, no cluster. engine: the real Pulumi engine on a lab of the tests' own. runtime: the programs of
 * runtime/ with the real Ray, LiteLLM and verl packages. network: those of them that are about packets, in networks of the
 * tests' own and on a real Docker daemon.
 */
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";

interface Tally {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

const root = join(import.meta.dirname, "..");

/** Tests start hundreds of Node.js programs; none has to compile anew what another has compiled. */
process.env["NODE_COMPILE_CACHE"] ??= join(tmpdir(), "node-compile-cache");

const network = "test/runtime/network";
const suites = {
  unit: (print: Print) => vitest("unit", print),
  runtime: (print: Print) => pytest(["test/runtime", `--ignore=${network}`], print),
  engine: (print: Print) => vitest("engine", print),
  network: (print: Print) => pytest([network], print),
};

/** Suites of one lane follow each other; lanes run side by side. */
const lanes: readonly (readonly Suite[])[] = [["unit", "runtime"], ["engine"], ["network"]];

type Suite = keyof typeof suites;

/** Takes the output of a suite. */
type Print = (text: string) => void;

const usage = `Usage: npm test [-- SUITE…]

Suites: ${Object.keys(suites).join(", ")} (default: all of them, in this order).
Ends with "N passed, N failed" and, if any were skipped, ", N skipped". Exit code 0 only if nothing failed.
`;

async function main(): Promise<number> {
  const { positionals, values } = parseArgs({
    allowPositionals: true,
    options: { help: { type: "boolean", short: "h" } },
  });
  if (values.help) {
    process.stdout.write(usage);
    return 0;
  }
  const unknown = positionals.find((name) => !(name in suites));
  if (unknown !== undefined) {
    process.stderr.write(`There is no suite ${unknown}.\n\n${usage}`);
    return 2;
  }
  const chosen = new Set(positionals.length > 0 ? positionals : Object.keys(suites));
  const running = lanes
    .map((lane) => lane.filter((name) => chosen.has(name)))
    .filter((lane) => lane.length > 0)
    .map((lane) => new Lane(lane));
  const tallies: Tally[] = [];
  for (const lane of running) tallies.push(...(await lane.show()));
  const total = tallies.reduce((sum, tally) => ({
    passed: sum.passed + tally.passed,
    failed: sum.failed + tally.failed,
    skipped: sum.skipped + tally.skipped,
  }));
  show(`\n${describe(total)}\n`);
  return total.failed > 0 ? 1 : 0;
}

/** Suites that run one after the other. What they print waits until it is their turn. */
class Lane {
  #held: string[] | undefined = [];
  readonly #ended: Promise<Tally[]>;

  constructor(names: readonly Suite[]) {
    this.#ended = this.#run(names);
  }

  /** Prints what waits and what comes, until all of them have ended. */
  show(): Promise<Tally[]> {
    show(this.#held?.join("") ?? "");
    this.#held = undefined;
    return this.#ended;
  }

  async #run(names: readonly Suite[]): Promise<Tally[]> {
    const print: Print = (text) => {
      if (this.#held) this.#held.push(text);
      else show(text);
    };
    const tallies: Tally[] = [];
    for (const name of names) tallies.push(await runSuite(name, print));
    return tallies;
  }
}

function show(text: string): void {
  process.stdout.write(text);
}

async function runSuite(name: Suite, print: Print): Promise<Tally> {
  print(`\n== ${name}\n`);
  const began = Date.now();
  const tally = await suites[name](print);
  print(`${name}: ${describe(tally)} in ${Math.round((Date.now() - began) / 1000)} s\n`);
  return tally;
}

function describe({ passed, failed, skipped }: Tally): string {
  return `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`;
}

async function vitest(project: string, print: Print): Promise<Tally> {
  return withFolder(async (folder) => {
    const file = join(folder, "report.json");
    const vitest = [
      join(root, "node_modules/vitest/vitest.mjs"),
      "run",
      `--project=${project}`,
      "--reporter=default",
      "--reporter=json",
      `--outputFile=${file}`,
    ];
    const status = await run([process.execPath, ...vitest], process.env, print);
    const report = readJson(file) as
      { numPassedTests: number; numFailedTests: number; numPendingTests: number } | undefined;
    return atLeastOneFailure(status, {
      passed: report?.numPassedTests ?? 0,
      failed: report?.numFailedTests ?? 0,
      skipped: report?.numPendingTests ?? 0,
    });
  });
}

async function pytest(targets: readonly string[], print: Print): Promise<Tally> {
  const python = await preparePython();
  if (typeof python === "string") {
    print(`${python}\n`);
    return { passed: 0, failed: 1, skipped: 0 };
  }
  if (python.missing !== undefined) print(`${python.missing}\n`);
  return withFolder(async (folder) => {
    const file = join(folder, "report.xml");
    const status = await run(
      [python.interpreter, "-m", "pytest", ...targets, `--junitxml=${file}`, "-rs"],
      { ...process.env, ...python.variables },
      print,
    );
    const [suite = ""] = /<testsuite\b[^>]*>/.exec(readText(file) ?? "") ?? [];
    const number = (name: string) =>
      Number(new RegExp(`\\b${name}="(\\d+)"`).exec(suite)?.[1] ?? 0);
    const failed = number("failures") + number("errors");
    const skipped = number("skipped");
    return atLeastOneFailure(status, {
      passed: number("tests") - failed - skipped,
      failed,
      skipped,
    });
  });
}

interface PythonReady {
  readonly interpreter: string;
  readonly variables: Readonly<Record<string, string>>;
  /** Why a program is missing that some tests need. */
  readonly missing: string | undefined;
}

let prepared: Promise<PythonReady | string> | undefined;

/** Makes all that pytest needs, once for all suites. A text says why that cannot be. */
function preparePython(): Promise<PythonReady | string> {
  prepared ??= (async () => {
    const { pythonEnvironment, PythonProblem } = await import("./runtime/environment.ts");
    const { installTools, obtainCompose } = await import("./runtime/tools.ts");
    try {
      const { python, variables } = await pythonEnvironment();
      const missing = installTools();
      const compose = await obtainCompose();
      return { interpreter: python, variables: { ...variables, SWE_RL_COMPOSE: compose }, missing };
    } catch (error) {
      if (error instanceof PythonProblem) return error.message;
      throw error;
    }
  })();
  return prepared;
}

/** A runner that ended badly without naming a failed test has failed all the same. */
function atLeastOneFailure(status: number, tally: Tally): Tally {
  return status !== 0 && tally.failed === 0 ? { ...tally, failed: 1 } : tally;
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

process.exitCode = await main();
