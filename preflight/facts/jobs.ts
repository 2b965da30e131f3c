import type { V1Job } from "@kubernetes/client-node";
import { attemptLabel, type Attempts } from "../../plan/attempts.ts";
import type { Names } from "../../plan/names.ts";
import type { Fact } from "./fact.ts";
import { type Client, ifThere, read } from "./client.ts";

/** Jobs of the training namespace that an update waits for. */
const checks = [
  "inputsCheck",
  "inputsStart",
  "trainingStart",
  "servicesStart",
  "rolloutCheck",
  "policyCheck",
] as const satisfies readonly (keyof Names & keyof Attempts)[];
type CheckName = (typeof checks)[number];

/** undefined where it is not there. */
export type JobFact = Fact<V1Job | undefined>;

export function readTrainerJob(client: Client, names: Names): Promise<JobFact> {
  return read(() => jobOf(client, names.namespaces.train, names.trainerJob));
}

/**
 * Of the stack's Jobs what tells the next one from one that has failed. To Pulumi a Job that failed is one that is
 * there: unless its template changes, every further update finds the same failure again.
 */
export async function readAttempts(
  client: Client,
  names: Names,
  trainerJob: Promise<JobFact>,
): Promise<Fact<Attempts>> {
  const { train, sandbox } = names.namespaces;
  const attempt = async (namespace: string, name: string) =>
    attemptOf(await jobOf(client, namespace, name));
  const [made, trainer] = await Promise.all([
    read(async () => {
      const [proof, ...found] = await Promise.all([
        attempt(sandbox, names.egressProof),
        ...checks.map((check) => attempt(train, names[check])),
      ]);
      const entries = found.map((one, i) => [checks[i], one]);
      return { proof, ...(Object.fromEntries(entries) as Record<CheckName, string>) };
    }),
    trainerJob,
  ]);
  if (!made.known) return made;
  if (!trainer.known) return trainer;
  return { known: true, value: { ...made.value, trainer: attemptOf(trainer.value) } };
}

/** Whether a Job has come to this end. */
export function hasEnded(job: V1Job, as: "Complete" | "Failed"): boolean {
  return (
    job.status?.conditions?.some(({ type, status }) => type === as && status === "True") ?? false
  );
}

function jobOf(client: Client, namespace: string, name: string): Promise<V1Job | undefined> {
  return ifThere(client.get<V1Job>(`/apis/batch/v1/namespaces/${namespace}/jobs/${name}`));
}

/** Its own attempt while it runs or has ended well, its identity if it is to be repeated. */
function attemptOf(job: V1Job | undefined): string {
  if (job && hasEnded(job, "Failed")) return job.metadata?.uid ?? "";
  return job?.spec?.template.metadata?.annotations?.[attemptLabel] ?? "";
}
