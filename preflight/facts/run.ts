import type { V1Pod } from "@kubernetes/client-node";
import type { Names } from "../../plan/names.ts";
import type { Fact } from "./fact.ts";
import { ApiError, type Client, read } from "./client.ts";
import { hasEnded, type JobFact } from "./jobs.ts";

/** What the run has come to. */
export interface RunFact {
  /** `starting`: the trainer's Job is there, and no step is done. */
  readonly state: "starting" | "training" | "ended" | "failed";
  /** The last step that is done; undefined: none, or not known. */
  readonly step: number | undefined;
  /** The last line of what the submitter said, of a run that has failed. */
  readonly why: string | undefined;
}

/** Lines of the submitter's log that are looked through for the last step. */
const tailLines = 500;

/** undefined where there is no run. */
export async function readRun(
  client: Client,
  names: Names,
  trainerJob: Promise<JobFact>,
): Promise<Fact<RunFact | undefined>> {
  const found = await trainerJob;
  if (!found.known) return found;
  const job = found.value;
  if (!job) return { known: true, value: undefined };
  return read(async () => {
    const log = await readLog(client, names);
    const step = lastStep(log);
    if (hasEnded(job, "Failed")) return { state: "failed", step, why: lastWords(log) };
    if (hasEnded(job, "Complete")) return { state: "ended", step, why: undefined };
    return { state: step === undefined ? "starting" : "training", step, why: undefined };
  });
}

/** The end of the log of the newest submitter; empty where there is none, or it may not be read. */
async function readLog(client: Client, { namespaces, trainerJob }: Names): Promise<string> {
  const pods = `/api/v1/namespaces/${namespaces.train}/pods`;
  try {
    const found = await client.list<V1Pod>(pods, {
      query: { labelSelector: `batch.kubernetes.io/job-name=${trainerJob}` },
    });
    const time = ({ metadata }: V1Pod) => String(metadata?.creationTimestamp ?? "");
    const newest = found.sort((a, b) => time(a).localeCompare(time(b))).at(-1)?.metadata?.name;
    if (newest === undefined) return "";
    return await client.text(`${pods}/${newest}/log`, { query: { tailLines: String(tailLines) } });
  } catch (error) {
    if (error instanceof ApiError) return "";
    throw error;
  }
}

/** verl's line of a step begins with its number (verl/utils/logger/aggregate_logger.py). */
function lastStep(log: string): number | undefined {
  const last = [...log.matchAll(/\bstep:(\d+) - /g)].at(-1)?.[1];
  return last === undefined ? undefined : Number(last);
}

function lastWords(log: string): string | undefined {
  const lines = log.split("\n").filter((line) => line.startsWith("submit_run: "));
  return lines.at(-1)?.slice("submit_run: ".length);
}
