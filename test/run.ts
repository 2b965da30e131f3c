/**
 * `npm test [-- SUITE…]` runs suites, `npm test -- FILE [-t NAME]` one file with the runner that it needs; both end with
 * `N passed, N failed`. All suites but unit spend their time waiting, so they run at the same time, and the output of each is
 * printed after that of the one before it.
 */
import { existsSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative, resolve } from "node:path";
import { parseArgs } from "node:util";
import { type Choice, type Print, pytest, root, type Tally, vitest } from "./runners.ts";

/** Tests start hundreds of Node.js programs, which share what one of them has compiled. */
process.env["NODE_COMPILE_CACHE"] ??= join(tmpdir(), "node-compile-cache");

const network = "test/runtime/network";

/** In the order of folders, so that the first that holds a file is its suite. */
const suites = {
  unit: { folder: "test/unit", file: /\.test\.ts$/, run: vitest("unit") },
  engine: { folder: "test/engine", file: /\.test\.ts$/, run: vitest("engine") },
  network: {
    folder: network,
    file: /(^|\/)test_\w+\.py$/,
    run: pytest(network, { packets: true }),
  },
  node: { folder: "test/node", file: /\.test\.ts$/, run: vitest("node") },
  runtime: {
    folder: "test/runtime",
    file: /(^|\/)test_\w+\.py$/,
    run: pytest("test/runtime", { ignore: [network] }),
  },
  training: {
    folder: "test/training",
    file: /(^|\/)test_\w+\.py$/,
    run: pytest("test/training", { packets: true, training: true }),
  },
};

type Suite = keyof typeof suites;

/** Suites of one lane follow each other; lanes run side by side. */
const lanes: readonly (readonly Suite[])[] = [
  ["unit", "runtime"],
  ["engine"],
  ["network", "node"],
  ["training"],
];

const usage = `Usage: npm test [-- SUITE…]
       npm test -- FILE… [-t NAME]

Suites (default: all of them):
  unit     test/unit: settings, Plan, rules, components; no engine, no cluster
  runtime  test/runtime: the programs of runtime/ with the real Ray, LiteLLM and verl packages
  engine   test/engine: the real Pulumi engine on a lab that the tests start
  node     test/node: pods and packets on a real node of a lab that the tests start (root, Linux)
  network  test/runtime/network: packets in network namespaces, and a real Docker daemon
  training test/training: the training package with the real verl, Harbor and agents in containers

FILE is a file or folder of a suite. It runs with the runner and the set-up of that suite and no more:
  npm test -- test/unit/plan/tiers.test.ts
  npm test -- test/runtime/test_recorder.py -t stream
-t NAME takes the tests whose name has NAME (vitest: a pattern; pytest: an expression as for -k).

Ends with "N passed, N failed" and, if any were skipped, ", N skipped". Exit code 0 only if nothing failed.
`;

async function main(): Promise<number> {
  const { positionals, values } = parseArgs({
    allowPositionals: true,
    options: { help: { type: "boolean", short: "h" }, name: { type: "string", short: "t" } },
  });
  if (values.help) {
    process.stdout.write(usage);
    return 0;
  }
  const chosen = choose(positionals.length > 0 ? positionals : Object.keys(suites), values.name);
  if (typeof chosen === "string") {
    process.stderr.write(`${chosen}\n\n${usage}`);
    return 2;
  }
  const running = lanes
    .map((lane) => lane.flatMap((suite) => chosen.get(suite) ?? []))
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

interface Chosen extends Choice {
  readonly suite: Suite;
}

/** What each suite runs. A text says which argument is neither a suite nor a test file. */
function choose(
  args: readonly string[],
  name: string | undefined,
): ReadonlyMap<Suite, Chosen> | string {
  const chosen = new Map<Suite, Chosen>();
  for (const arg of args) {
    const found = isSuite(arg) ? { suite: arg, path: suites[arg].folder } : findFile(arg);
    if (!found) return `${arg} is neither a suite nor a test file.`;
    const { suite, path } = found;
    const paths = [...(chosen.get(suite)?.paths ?? []), path];
    chosen.set(suite, { suite, paths, name });
  }
  return chosen;
}

function isSuite(name: string): name is Suite {
  return Object.hasOwn(suites, name);
}

/** A test file or a folder of tests, relative to the project or to where npm was started. */
function findFile(arg: string): { suite: Suite; path: string } | undefined {
  const bases = [root, process.env["INIT_CWD"] ?? root];
  const full = bases.map((base) => resolve(base, arg)).find((path) => existsSync(path));
  if (full === undefined) return undefined;
  const path = relative(root, full);
  const entry = Object.entries(suites).find(([, { folder }]) =>
    `${path}/`.startsWith(`${folder}/`),
  );
  if (!entry) return undefined;
  const [suite, { file }] = entry;
  if (statSync(full).isFile() && !file.test(path)) return undefined;
  return { suite: suite as Suite, path };
}

/** Suites that run one after the other. Their output is held until the lanes before have ended. */
class Lane {
  #held: string[] | undefined = [];
  readonly #ended: Promise<Tally[]>;

  constructor(chosen: readonly Chosen[]) {
    this.#ended = this.#run(chosen);
  }

  /** Prints the output so far and the rest as it comes, until all suites have ended. */
  show(): Promise<Tally[]> {
    show(this.#held?.join("") ?? "");
    this.#held = undefined;
    return this.#ended;
  }

  async #run(chosen: readonly Chosen[]): Promise<Tally[]> {
    const print: Print = (text) => {
      if (this.#held) this.#held.push(text);
      else show(text);
    };
    const tallies: Tally[] = [];
    for (const choice of chosen) tallies.push(await runSuite(choice, print));
    return tallies;
  }
}

function show(text: string): void {
  process.stdout.write(text);
}

async function runSuite(choice: Chosen, print: Print): Promise<Tally> {
  const { suite } = choice;
  print(`\n== ${suite}\n`);
  const began = Date.now();
  const tally = await suites[suite].run(choice, print);
  print(`${suite}: ${describe(tally)} in ${Math.round((Date.now() - began) / 1000)} s\n`);
  return tally;
}

function describe({ passed, failed, skipped }: Tally): string {
  return `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`;
}

process.exitCode = await main();
