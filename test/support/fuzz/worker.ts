/** Thread of {@link fuzz}: tries seed after seed and says which, so that a hang has a name. */
import { parentPort, workerData } from "node:worker_threads";
import { caseOf, type Outcome, tryCase } from "./subject.ts";

/** What a thread is told, and what it tells. */
export interface Order {
  readonly first: number;
  readonly count: number;
}

export type Message =
  | { readonly kind: "begun"; readonly seed: number }
  | { readonly kind: "failed"; readonly seed: number; readonly reason: string }
  | {
      readonly kind: "done";
      readonly outcomes: Readonly<Record<Outcome, number>>;
      readonly slowest: { readonly seed: number; readonly milliseconds: number };
    };

async function work({ first, count }: Order): Promise<void> {
  const tell = (message: Message) => {
    parentPort?.postMessage(message);
  };
  const outcomes = { refused: 0, accepted: 0 };
  let slowest = { seed: first, milliseconds: 0 };
  for (let seed = first; seed < first + count; seed++) {
    tell({ kind: "begun", seed });
    const began = performance.now();
    try {
      outcomes[await tryCase(caseOf(seed))] += 1;
    } catch (error) {
      const reason = error instanceof Error ? (error.stack ?? error.message) : String(error);
      tell({ kind: "failed", seed, reason });
    }
    const milliseconds = performance.now() - began;
    if (milliseconds > slowest.milliseconds) slowest = { seed, milliseconds };
  }
  tell({ kind: "done", outcomes, slowest });
}

if (parentPort) await work(workerData as Order);
