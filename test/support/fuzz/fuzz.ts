/** Many damaged configurations, in a thread that a hang cannot take with it. */
import { Worker } from "node:worker_threads";
import type { Message, Order } from "./worker.ts";

export interface FuzzReport {
  readonly refused: number;
  readonly accepted: number;
  /** Seeds that showed a stack trace, a problem without a place, or no end. */
  readonly failures: readonly { readonly seed: number; readonly reason: string }[];
  readonly slowest: { readonly seed: number; readonly milliseconds: number };
}

/** Milliseconds after which a file counts as a hang. */
const patience = 30_000;

/** Tries `count` seeds from `first` on; after a hang, the next one. */
export async function fuzz({ first, count }: Order): Promise<FuzzReport> {
  const failures: { seed: number; reason: string }[] = [];
  let [refused, accepted, next] = [0, 0, first];
  let slowest = { seed: first, milliseconds: 0 };
  while (next < first + count) {
    const order = { first: next, count: first + count - next };
    const last = await runThread(order, (message) => {
      if (message.kind === "failed") failures.push(message);
      if (message.kind !== "done") return;
      refused += message.outcomes.refused;
      accepted += message.outcomes.accepted;
      if (message.slowest.milliseconds > slowest.milliseconds) slowest = message.slowest;
    });
    if (last.ended) break;
    failures.push({ seed: last.seed, reason: last.reason });
    next = last.seed + 1;
  }
  return { refused, accepted, failures, slowest };
}

interface Last {
  readonly seed: number;
  readonly ended: boolean;
  readonly reason: string;
}

function runThread(order: Order, take: (message: Message) => void): Promise<Last> {
  return new Promise((resolve) => {
    const worker = new Worker(new URL("worker.ts", import.meta.url), { workerData: order });
    let seed = order.first;
    const end = (ended: boolean, reason: string) => {
      clearTimeout(timer);
      void worker.terminate().then(() => {
        resolve({ seed, ended, reason });
      });
    };
    const timer = setTimeout(() => {
      end(false, `no end within ${patience / 1000} s`);
    }, patience);
    worker.on("message", (message: Message) => {
      if (message.kind === "begun") {
        ({ seed } = message);
        timer.refresh();
      } else take(message);
      if (message.kind === "done") end(true, "");
    });
    worker.on("error", (error) => {
      end(false, `the thread died: ${String(error)}`);
    });
  });
}
