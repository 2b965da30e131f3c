/**
 * `npm test [-- SUITE…]`: runs the suites and ends with `N passed, N failed`. The last two wait more than they work, so
 * they run at the same time; what the one prints follows when the other has ended.
 * unit: no engine, no cluster. engine: the real Pulumi engine on a lab of the tests' own. runtime: the programs of
 * runtime/ with the real Ray, LiteLLM and verl packages.
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
const suites = {
  unit: (print: Print) => vitest("unit", print),
  engine: (print: Print) => vitest("engine", print),
  runtime: pytest,
};
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
  const tallies: Tally[] = [];
  if (chosen.has("unit")) tallies.push(await runSuite("unit", show));
  const held = new HeldOutput();
  const runtime = chosen.has("runtime") ? runSuite("runtime", held.print) : undefined;
  if (chosen.has("engine")) tallies.push(await runSuite("engine", show));
  held.release();
  if (runtime) tallies.push(await runtime);
  const total = tallies.reduce((sum, tally) => ({
    passed: sum.passed + tally.passed,
    failed: sum.failed + tally.failed,
    skipped: sum.skipped + tally.skipped,
  }));
  show(`\n${describe(total)}\n`);
  return total.failed > 0 ? 1 : 0;
}

/** Output that waits until another suite has ended. */
class HeldOutput {
  #held: string[] | undefined = [];

  readonly print: Print = (text) => {
    if (this.#held) this.#held.push(text);
    else show(text);
  };

  release(): void {
    show(this.#held?.join("") ?? "");
    this.#held = undefined;
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

async function pytest(print: Print): Promise<Tally> {
  const { pythonEnvironment, PythonProblem } = await import("./runtime/environment.ts");
  const environment = await pythonEnvironment().catch((error: unknown) => {
    if (error instanceof PythonProblem) return error;
    throw error;
  });
  if (environment instanceof PythonProblem) {
    print(`${environment.message}\n`);
    return { passed: 0, failed: 1, skipped: 0 };
  }
  const { installTools, obtainCompose } = await import("./runtime/tools.ts");
  const missing = installTools();
  if (missing !== undefined) print(`${missing}\n`);
  const { python } = environment;
  const variables = { ...environment.variables, SWE_RL_COMPOSE: await obtainCompose() };
  return withFolder(async (folder) => {
    const file = join(folder, "report.xml");
    const status = await run(
      [python, "-m", "pytest", "test/runtime", `--junitxml=${file}`, "-rs"],
      { ...process.env, ...variables },
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
