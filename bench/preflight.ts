/** Times what preflight's requests to the cluster add to a preview: on the lab, and with a thousand nodes and their pods. */
import { spawn } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import type { TimedFacts } from "./read-facts.ts";
import { type Frame, median, progress, repeat, stack } from "./frame.ts";

/** Nodes and pods beside the lab's own. */
const load = { nodes: 1000, pods: 5000 } as const;

/** Objects of one kubectl; several run at once, since each limits its own request rate. */
const batch = 1000;

export async function benchPreflight(frame: Frame, runs: number): Promise<string> {
  const lines = measure(frame, runs, "the lab as it is");
  await fill(frame, "elsewhere");
  lines.push(...measure(frame, runs, `${load.nodes} nodes of others, ${load.pods} pods`));
  frame.kubectl("label", "node", "-l", "load", "swe-rl.dev/pool=cpu", "--overwrite");
  lines.push(...measure(frame, runs, `${load.nodes} nodes that the stack could use`));
  return [
    `\nSeconds of a preview of ${stack}: median and least of ${runs} runs`,
    ...lines,
    "",
  ].join("\n");
}

/** Times the same program with requests to the cluster and, in turn, with the facts read from a file. */
function measure(frame: Frame, runs: number, what: string): string[] {
  const file = join(frame.folder("stack"), "preflight/facts/facts.ts");
  const asking = readFileSync(file, "utf8");
  let facts: unknown;
  const within = repeat(runs, () => {
    const asked = readFacts(frame);
    ({ facts } = asked);
    const { loading, questions } = asked;
    return {
      loading: loading.wall,
      loadingCpu: loading.cpu,
      questions: questions.wall,
      questionsCpu: questions.cpu,
    };
  });
  const answers = JSON.stringify(JSON.stringify(facts));
  const reading = `export async function readFacts() { return JSON.parse(${answers}); }\n`;
  const preview = (program: string) => {
    writeFileSync(file, program);
    return frame.pulumi("stack", "preview", "-s", stack);
  };
  const previews = repeat(runs, () => {
    const seconds = { asking: preview(asking), reading: preview(reading) };
    progress(`${what}: ${seconds.asking.toFixed(2)} s, without ${seconds.reading.toFixed(2)} s`);
    return seconds;
  });
  writeFileSync(file, asking);
  const both = (values: readonly number[]) =>
    [median(values), Math.min(...values)].map((value) => value.toFixed(2).padStart(6)).join(" ");
  return [
    what,
    `  preview                        ${both(previews.asking)}`,
    `  preview, answers from a file   ${both(previews.reading)}`,
    `  loading the client             ${both(within.loading)}`,
    `    on a processor               ${both(within.loadingCpu)}`,
    `  questions                      ${both(within.questions)}`,
    `    on a processor               ${both(within.questionsCpu)}`,
  ];
}

/** Reads the facts in a process of its own, which loads all modules anew. */
function readFacts(frame: Frame): TimedFacts {
  const program = join(import.meta.dirname, "read-facts.ts");
  return JSON.parse(frame.output(process.execPath, [program, stack])) as TimedFacts;
}

/** Creates simulated nodes and bound pods; `lab down` removes them. */
async function fill(frame: Frame, pool: string): Promise<void> {
  const name = (i: number) => `load-${String(i).padStart(4, "0")}`;
  const capacity = { cpu: "64", memory: "512Gi", pods: "110", "ephemeral-storage": "4Ti" };
  const nodes = Array.from({ length: load.nodes }, (_, i) => ({
    apiVersion: "v1",
    kind: "Node",
    metadata: {
      name: name(i),
      labels: { type: "kwok", load: "", "swe-rl.dev/pool": pool },
      annotations: { "kwok.x-k8s.io/node": "fake" },
    },
    status: { capacity, allocatable: capacity },
  }));
  const pods = Array.from({ length: load.pods }, (_, i) => ({
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name: `${name(i % load.nodes)}-${i}`, namespace: "default", labels: { app: "x" } },
    spec: {
      nodeName: name(i % load.nodes),
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
  await create(frame, nodes);
  await create(frame, pods);
  // `kubectl wait` sends a request for each pod.
  const waiting = ["get", "pods", "--field-selector=status.phase!=Running", "-o", "name"];
  while (frame.kubectl(...waiting) !== "") await pause(1000);
}

async function create(frame: Frame, objects: readonly object[]): Promise<void> {
  const running: Promise<void>[] = [];
  for (let i = 0; i < objects.length; i += batch) {
    const items = objects.slice(i, i + batch);
    const file = join(frame.folder("stack"), `load-${i}.json`);
    writeFileSync(file, JSON.stringify({ apiVersion: "v1", kind: "List", items }));
    running.push(
      new Promise((resolve, reject) => {
        const child = spawn("kubectl", ["create", "-f", file], {
          env: frame.environment,
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
