/** Times preview, up, up without a change and destroy of the stack, a bare program and an empty program. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Frame, median, progress, repeat, stack, type Subject, subjects } from "./frame.ts";

/** Arguments of `pulumi` for each step; previews inside other steps are skipped. */
const steps = {
  preview: ["preview"],
  up: ["up", "--yes", "--skip-preview"],
  "up, no change": ["up", "--yes", "--skip-preview", "--expect-no-changes"],
  destroy: ["destroy", "--yes", "--skip-preview"],
} as const;
type Step = keyof typeof steps;
const stepNames = Object.keys(steps) as Step[];

interface StateResource {
  readonly urn: string;
  readonly type: string;
  readonly custom: boolean;
  readonly inputs: Record<string, unknown>;
  readonly dependencies?: readonly string[];
  readonly retainOnDelete?: boolean;
  /** In seconds. */
  readonly customTimeouts?: { readonly create?: number; readonly delete?: number };
}

type Figure = `${Subject}, ${Step}` | "kubectl apply";

/** The programs take turns, so that a machine that slows down slows all of them. */
export function benchLifecycle(frame: Frame, runs: number): string {
  const objects = deriveBareProgram(frame);
  const seconds = repeat<Figure>(runs, (run) => {
    const figures = {} as Record<Figure, number>;
    const take = (figure: Figure, time: number) => {
      figures[figure] = time;
      progress(`round ${run}: ${figure} ${time.toFixed(2)} s`);
    };
    for (const subject of subjects) {
      for (const step of stepNames) {
        take(`${subject}, ${step}`, frame.pulumi(subject, ...steps[step], "-s", stack));
      }
      frame.clean();
    }
    take("kubectl apply", applyWithKubectl(frame, objects));
    return figures;
  });
  return report(seconds, runs, objects.length);
}

/** Brings the stack up once and reads its objects from the engine's state. */
function deriveBareProgram(frame: Frame): StateResource[] {
  frame.pulumi("stack", ...steps.up, "-s", stack);
  const exported = frame.output("pulumi", ["stack", "export", "-s", stack]);
  const state = JSON.parse(exported) as { deployment: { resources: StateResource[] } };
  const resources = state.deployment.resources.filter(
    ({ custom, type }) => custom && !type.startsWith("pulumi:"),
  );
  const bare = resources.map(
    ({ urn, type, inputs, dependencies = [], retainOnDelete = false, customTimeouts = {} }) => ({
      urn,
      type,
      name: urn.split("::").at(-1),
      inputs: withoutSecrets(type, inputs),
      dependencies,
      retainOnDelete,
      deleteSeconds: customTimeouts.delete,
    }),
  );
  writeFileSync(join(frame.folder("bare"), "objects.json"), JSON.stringify(bare));
  frame.pulumi("stack", ...steps.destroy, "-s", stack);
  frame.clean();
  return resources.filter(({ type }) => type.startsWith("kubernetes:"));
}

function applyWithKubectl(frame: Frame, objects: readonly StateResource[]): number {
  const items = objects.map(({ type, inputs }) => withoutSecrets(type, inputs));
  const file = join(frame.folder("empty"), "objects.json");
  writeFileSync(file, JSON.stringify({ apiVersion: "v1", kind: "List", items }));
  const apply = ["apply", "--server-side", "--force-conflicts", "-f", file];
  const time = frame.time("kubectl", apply);
  frame.kubectl("delete", "-f", file, "--ignore-not-found", "--wait");
  frame.clean();
  return time;
}

/** Exported secrets are ciphertext; the API server gets a text of their length instead. */
function withoutSecrets(type: string, inputs: Record<string, unknown>): Record<string, unknown> {
  if (type !== "kubernetes:core/v1:Secret") return inputs;
  const { data: _data, stringData: _stringData, ...rest } = inputs;
  return { ...rest, stringData: { value: "x".repeat(43) } };
}

function report(seconds: Record<Figure, number[]>, runs: number, objects: number): string {
  const range = (values: readonly number[]) =>
    `${median(values).toFixed(2)} (${Math.min(...values).toFixed(2)}-${Math.max(...values).toFixed(2)})`;
  const rows = stepNames.map((step) => {
    const values = (subject: Subject) => seconds[`${subject}, ${step}`];
    const ratio = (to: Subject) => (median(values("stack")) / median(values(to))).toFixed(2);
    return [
      step,
      ...subjects.map((subject) => range(values(subject))),
      ratio("bare"),
      ratio("empty"),
    ];
  });
  const table = [["", ...subjects, "stack/bare", "stack/empty"], ...rows];
  const widths = table[0]?.map((_, i) => Math.max(...table.map((row) => (row[i] ?? "").length)));
  const lines = table.map((row) =>
    row
      .map((cell, i) => cell.padEnd(widths?.[i] ?? 0))
      .join("  ")
      .trimEnd(),
  );
  return [
    `\nSeconds, median (minimum-maximum) of ${runs} runs; ${objects} Kubernetes objects`,
    ...lines,
    `kubectl apply --server-side of the same objects: ${range(seconds["kubectl apply"])}\n`,
  ].join("\n");
}
