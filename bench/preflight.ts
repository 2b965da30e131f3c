/** What preflight's questions to the cluster add to a preview: on the lab, and with a thousand nodes and their pods. */
import { spawn } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import type { Bench } from "./bench.ts";
import { median } from "./report.ts";

const stack = "single-node";

/** Beside the lab's own. */
const crowd = { nodes: 1000, pods: 5000 } as const;

/** Objects that one kubectl makes; several at once, since each limits itself. */
const batch = 1000;

interface Row {
  readonly what: string;
  /** Seconds of previews that ask the cluster, and of those that got the answers from a file. */
  readonly asking: readonly number[];
  readonly told: readonly number[];
  /** What asking takes within a program: loading the client, then the questions. */
  readonly loading: readonly Taken[];
  readonly questions: readonly Taken[];
}

/** Seconds on the clock, and of this process on a processor, whatever else the machine does. */
interface Taken {
  readonly wall: number;
  readonly cpu: number;
}

export interface PreflightFigures {
  readonly runs: number;
  readonly rows: readonly Row[];
}

export async function measurePreflight(bench: Bench, runs: number): Promise<PreflightFigures> {
  const rows = [measure(bench, runs, "the lab as it is")];
  await fill(bench, "elsewhere");
  rows.push(measure(bench, runs, `${crowd.nodes} nodes of others, ${crowd.pods} pods`));
  bench.kubectl("label", "node", "-l", "crowd", "swe-rl.dev/pool=cpu", "--overwrite");
  rows.push(measure(bench, runs, `${crowd.nodes} nodes that the stack could use`));
  return { runs, rows };
}

/** The same program twice, in turn: one asks, the other reads what was answered. */
function measure(bench: Bench, runs: number, what: string): Row {
  const file = join(bench.folder("stack"), "preflight/facts/facts.ts");
  const asks = readFileSync(file, "utf8");
  const asked = Array.from({ length: runs + 1 }, () => ask(bench)).slice(1);
  const answers = JSON.stringify(asked[0]?.facts);
  const tells = `export async function readFacts() { return JSON.parse(${JSON.stringify(answers)}); }\n`;
  const preview = (program: string) => {
    writeFileSync(file, program);
    return bench.time("pulumi", ["preview", "-s", stack, "--non-interactive"], "stack");
  };
  const loading = asked.map((one) => one.loading);
  const questions = asked.map((one) => one.questions);
  const row = { what, asking: [] as number[], told: [] as number[], loading, questions };
  for (let run = 0; run <= runs; run++) {
    const [asking, told] = [preview(asks), preview(tells)];
    process.stderr.write(`${what}: ${asking.toFixed(2)} s, without ${told.toFixed(2)} s\n`);
    if (run === 0) continue;
    row.asking.push(asking);
    row.told.push(told);
  }
  writeFileSync(file, asks);
  return row;
}

/** Asks once, in a program of its own that has decided before, as Pulumi's does. */
function ask(bench: Bench): { facts: unknown; loading: Taken; questions: Taken } {
  const script = `
    import { enableCompileCache } from "node:module";
    enableCompileCache();
    const { load } = await import("./config/load/load.ts");
    const { plan: decide } = await import("./plan/plan.ts");
    const selection = { stack: "${stack}", experiment: undefined, site: undefined, secrets: undefined };
    const { settings } = load(process.cwd(), selection);
    const { plan } = decide(settings);
    async function take(work) {
      const [began, before] = [performance.now(), process.cpuUsage()];
      const result = await work();
      const { user, system } = process.cpuUsage(before);
      return [result, { wall: (performance.now() - began) / 1e3, cpu: (user + system) / 1e6 }];
    }
    const [{ readFacts }, loading] = await take(() => import("./preflight/facts/facts.ts"));
    const [facts, questions] = await take(() => readFacts(settings.site.cluster, plan));
    console.log(JSON.stringify({ facts, loading, questions }));`;
  const file = join(bench.folder("stack"), "ask.js");
  writeFileSync(file, script);
  return JSON.parse(bench.output(process.execPath, [file], "stack")) as ReturnType<typeof ask>;
}

/** Makes simulated nodes and bound pods; all go with the lab. */
async function fill(bench: Bench, pool: string): Promise<void> {
  const name = (i: number) => `crowd-${String(i).padStart(4, "0")}`;
  const capacity = { cpu: "64", memory: "512Gi", pods: "110", "ephemeral-storage": "4Ti" };
  const nodes = Array.from({ length: crowd.nodes }, (_, i) => ({
    apiVersion: "v1",
    kind: "Node",
    metadata: {
      name: name(i),
      labels: { type: "kwok", crowd: "", "swe-rl.dev/pool": pool },
      annotations: { "kwok.x-k8s.io/node": "fake" },
    },
    status: { capacity, allocatable: capacity },
  }));
  const pods = Array.from({ length: crowd.pods }, (_, i) => ({
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name: `${name(i % crowd.nodes)}-${i}`, namespace: "default", labels: { app: "x" } },
    spec: {
      nodeName: name(i % crowd.nodes),
      containers: [
        {
          name: "main",
          image: "swe-rl.invalid/none:1",
          env: Array.from({ length: 10 }, (_, j) => ({ name: `VARIABLE_${j}`, value: "value" })),
          resources: { requests: { cpu: "1", memory: "2Gi" }, limits: { memory: "2Gi" } },
        },
      ],
    },
  }));
  await create(bench, nodes);
  await create(bench, pods);
  // kubectl wait would ask for each pod by itself.
  const waiting = ["get", "pods", "--field-selector=status.phase!=Running", "-o", "name"];
  while (bench.output("kubectl", waiting, "stack") !== "") await pause(1000);
}

async function create(bench: Bench, objects: readonly object[]): Promise<void> {
  const running: Promise<void>[] = [];
  for (let i = 0; i < objects.length; i += batch) {
    const items = objects.slice(i, i + batch);
    const file = join(bench.folder("stack"), `crowd-${i}.json`);
    writeFileSync(file, JSON.stringify({ apiVersion: "v1", kind: "List", items }));
    running.push(
      new Promise((resolve, reject) => {
        const child = spawn("kubectl", ["create", "-f", file], {
          env: bench.environment,
          stdio: ["ignore", "ignore", "inherit"],
        });
        child.once("error", reject);
        child.once("close", (code) => {
          if (code === 0) resolve();
          else reject(new Error(`kubectl create ended with ${String(code)}`));
        });
      }),
    );
  }
  await Promise.all(running);
}

export function reportPreflight({ runs, rows }: PreflightFigures): string {
  const both = (values: readonly number[]) =>
    [median(values), Math.min(...values)].map((value) => value.toFixed(2).padStart(6)).join(" ");
  const lines = rows.flatMap(({ what, asking, told, loading, questions }) => [
    what,
    `  preview                        ${both(asking)}`,
    `  preview, answers from a file   ${both(told)}`,
    `  loading the client             ${both(loading.map(({ wall }) => wall))}`,
    `    on a processor               ${both(loading.map(({ cpu }) => cpu))}`,
    `  questions                      ${both(questions.map(({ wall }) => wall))}`,
    `    on a processor               ${both(questions.map(({ cpu }) => cpu))}`,
  ]);
  return [
    `\nSeconds of a preview of ${stack}: median and least of ${runs} runs`,
    ...lines,
    "",
  ].join("\n");
}
