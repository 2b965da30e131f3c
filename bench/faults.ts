/** Faults of a running stack on a real node, one after another: what is seen, what recovers when, and what is lost. */
import { experiment, openSite, Stack } from "../test/node/support/chain.ts";
import { faults, type Outcome, Run } from "../test/node/support/faults.ts";
import { progress } from "./frame.ts";

/** Longer than all faults take, and started again after as many as it likes. */
const long = "trainer:\n  max_restarts: 50\n";

export async function benchFaults(): Promise<string> {
  const site = await openSite();
  try {
    const stack = new Stack(site, "faults");
    const text = experiment("single-node", long).replace("total_epochs: 2", "total_epochs: 1000");
    stack.configure(text);
    await stack.create();
    await stack.up();
    const run = new Run(stack);
    await run.reach(1);
    const rows: string[] = [];
    for (const fault of faults) {
      const row = `${fault.name} | ${describe(await run.outlive(fault))}`;
      progress(row);
      rows.push(row);
    }
    return [header, ...rows, ""].join("\n");
  } finally {
    site.close();
  }
}

const header =
  "\nfault | pods ready after, s | next step after, s | next whole step after, s | restarts | trials dropped | saved steps done again | seen";

function describe({ ready, next, step, restarts, dropped, lost, seen, note }: Outcome): string {
  const all = [...seen, ...(note === "" ? [] : [note])].join("; ");
  return [ready, next, step, restarts, dropped, lost.join(" ") || "none", all].join(" | ");
}
