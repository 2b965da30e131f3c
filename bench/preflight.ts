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
  /** Seconds of processor time of both, on whatever else the machine does. */
  readonly askingCpu: readonly number[];
  readonly toldCpu: readonly number[];
  /** Seconds of the questions alone, within a program that has loaded everything. */
  readonly questions: readonly number[];
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
  const [answers, ...questions] = questionsOf(bench, runs);
  const tells = `export async function readFacts() { return JSON.parse(${JSON.stringify(answers)}); }\n`;
  const preview = (program: string) => {
    writeFileSync(file, program);
    const before = cpuOfChildren();
    const args = ["preview", "-s", stack, "--non-interactive"];
    const wall = bench.time("pulumi", args, "stack");
    return { wall, cpu: cpuOfChildren() - before };
  };
  const row = {
    what,
    asking: [] as number[],
    told: [] as number[],
    askingCpu: [] as number[],
    toldCpu: [] as number[],
    questions: questions.map(Number),
  };
  for (let run = 0; run <= runs; run++) {
    const [asking, told] = [preview(asks), preview(tells)];
    const shown = [asking.wall, asking.cpu, told.wall, told.cpu].map((value) => value.toFixed(2));
    process.stderr.write(`${what}: ${shown.join(" ")}\n`);
    if (run === 0) continue;
    row.asking.push(asking.wall);
    row.askingCpu.push(asking.cpu);
    row.told.push(told.wall);
    row.toldCpu.push(told.cpu);
  }
  writeFileSync(file, asks);
  return row;
}

/** Seconds of processor time of the processes that this one has waited for; not known outside Linux. */
function cpuOfChildren(): number {
  try {
    const fields = readFileSync("/proc/self/stat", "utf8").split(") ")[1]?.split(" ") ?? [];
    return (Number(fields[13]) + Number(fields[14])) / ticksPerSecond;
  } catch {
    return Number.NaN;
  }
}

/** Linux tells processes' times in hundredths. */
const ticksPerSecond = 100;

/** Asks a few times within one program. @returns The answers, and the seconds of each time but the first. */
function questionsOf(bench: Bench, runs: number): string[] {
  const script = `
    import { load } from "./config/load.ts";
    import { plan as decide } from "./config/plan/plan.ts";
    import { readFacts } from "./preflight/facts/facts.ts";
    const { settings } = load(process.cwd(), { stack: "${stack}", experiment: undefined, site: undefined, secrets: undefined });
    const { plan } = decide(settings);
    for (let run = 0; run <= ${runs}; run++) {
      const began = performance.now();
      const facts = await readFacts(settings.site.cluster, plan);
      if (run === 0) console.log(JSON.stringify(facts));
      else console.log((performance.now() - began) / 1000);
    }`;
  const file = join(bench.folder("stack"), "questions.ts");
  writeFileSync(file, script);
  return bench.output(process.execPath, [file], "stack").trim().split("\n");
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
  const seconds = (value: number) => value.toFixed(2).padStart(6);
  const both = (values: readonly number[]) =>
    `${seconds(median(values))} ${seconds(Math.min(...values))}`;
  const lines = rows.flatMap(({ what, asking, told, askingCpu, toldCpu, questions }) => [
    what,
    `  preview                     ${both(asking)}`,
    `  with answers from a file    ${both(told)}`,
    `  added                       ${seconds(median(asking) - median(told))} ${seconds(Math.min(...asking) - Math.min(...told))}`,
    `  added processor time        ${seconds(median(askingCpu) - median(toldCpu))} ${seconds(Math.min(...askingCpu) - Math.min(...toldCpu))}`,
    `  questions, modules loaded   ${both(questions)}`,
  ]);
  return [
    `\nSeconds of a preview of ${stack}: median and least of ${runs} runs`,
    ...lines,
    "",
  ].join("\n");
}
