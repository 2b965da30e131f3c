export const steps = ["preview", "up", "up, no change", "destroy"] as const;
export type Step = (typeof steps)[number];
export const subjects = ["stack", "bare", "empty"] as const;
export type Subject = (typeof subjects)[number];

export interface Measurements {
  readonly objects: number;
  readonly runs: number;
  /** Seconds of every counted run. */
  readonly seconds: Readonly<Record<Subject, Readonly<Record<Step, readonly number[]>>>>;
  /** Seconds of `kubectl apply --server-side` of the same objects: what the API server alone needs. */
  readonly kubectl: readonly number[];
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}

export function report({ objects, runs, seconds, kubectl }: Measurements): string {
  const range = (values: readonly number[]) =>
    `${median(values).toFixed(2)} (${Math.min(...values).toFixed(2)}-${Math.max(...values).toFixed(2)})`;
  const rows = steps.map((step) => {
    const [stack, bare, empty] = subjects.map((subject) => seconds[subject][step]);
    if (!stack || !bare || !empty) throw new Error(`no figures of ${step}`);
    return [
      step,
      range(stack),
      range(bare),
      range(empty),
      (median(stack) / median(bare)).toFixed(2),
      (median(stack) / median(empty)).toFixed(2),
    ];
  });
  const table = [["", "stack", "bare", "empty", "stack/bare", "stack/empty"], ...rows];
  const widths =
    table[0]?.map((_, i) => Math.max(...table.map((row) => (row[i] ?? "").length))) ?? [];
  const lines = table.map((row) =>
    row
      .map((cell, i) => cell.padEnd(widths[i] ?? 0))
      .join("  ")
      .trimEnd(),
  );
  return [
    `\nSeconds, median (minimum-maximum) of ${runs} runs; ${objects} Kubernetes objects`,
    ...lines,
    `kubectl apply --server-side of the same objects: ${range(kubectl)}\n`,
  ].join("\n");
}
