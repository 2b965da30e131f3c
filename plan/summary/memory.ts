/** The lines of the run summary about memory. */
import type { Plan } from "../plan.ts";
import { partNames } from "../memory/index.ts";

const GiB = 2 ** 30;

/** One column a part, one row a role; empty where nothing is known. */
export function memoryLines({ memory, batches }: Plan): string[] {
  if (!memory)
    return ["not known: config/models.yaml has no shapes of this model (docs/memory.md)"];
  const { capacity, roles, rollout, margin } = memory;
  const columns = partNames.filter((name) => roles.some(({ peak }) => (peak.parts[name] ?? 0) > 0));
  const rows = roles.map(({ role, peak }) => [
    `${role}, ${peak.phase}`,
    ...columns.map((name) => inGiB(peak.parts[name] ?? 0)),
    inGiB(peak.bytes),
  ]);
  return [
    `at most, in GiB of a GPU with ${capacity === undefined ? "unknown memory" : inGiB(capacity)}; ± ${margin * 100} %`,
    ...aligned([["", ...columns, "sum"], ...rows]),
    ...(rollout
      ? [
          `KV cache of a server: ${rollout.kvTokens} tokens, ${rollout.fullSequences} sequences of ${batches.modelLength}`,
        ]
      : ["KV cache of a server: not known without gpu_nodes.gpu_memory of the site"]),
    ...(memory.loss
      ? [`assumed loss: ${memory.loss.words}; ${memory.loss.copies} × the logits`]
      : []),
    `host memory of a node for offloading and loading: ${inGiB(memory.hostBytes)} GiB`,
  ];
}

function aligned(rows: readonly (readonly string[])[]): string[] {
  const widths = (rows[0] ?? []).map((_, i) => Math.max(...rows.map((row) => row[i]?.length ?? 0)));
  return rows.map((row) =>
    row
      .map((cell, i) => (i === 0 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0)))
      .join("  "),
  );
}

function inGiB(bytes: number): string {
  return String(Math.round((bytes / GiB) * 10) / 10);
}
