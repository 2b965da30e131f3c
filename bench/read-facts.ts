/** Reads the facts of the cluster once, as the Pulumi program does after the Plan, and prints them with their times. */
import { enableCompileCache } from "node:module";
import { load } from "../config/load/load.ts";
import { plan } from "../plan/plan.ts";

/** Seconds of wall time, and of CPU time of this process, which other load on the machine does not change. */
interface Taken {
  readonly wall: number;
  readonly cpu: number;
}

/** What this program prints, as JSON. */
export interface TimedFacts {
  readonly facts: unknown;
  readonly loading: Taken;
  readonly questions: Taken;
}

async function take<T>(work: () => Promise<T>): Promise<[T, Taken]> {
  const [began, before] = [performance.now(), process.cpuUsage()];
  const result = await work();
  const { user, system } = process.cpuUsage(before);
  return [result, { wall: (performance.now() - began) / 1e3, cpu: (user + system) / 1e6 }];
}

enableCompileCache();
const [stack = ""] = process.argv.slice(2);
const { settings } = load(process.cwd(), { stack });
const { site } = settings;
if (site.kind !== "kubernetes") throw new Error(`the site of ${stack} is not a cluster`);
const planned = plan(settings);
const [{ readFacts }, loading] = await take(() => import("../preflight/facts/read.ts"));
const [facts, questions] = await take(() => readFacts(site.cluster, planned));
process.stdout.write(JSON.stringify({ facts, loading, questions } satisfies TimedFacts));
