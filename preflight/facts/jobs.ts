import type { V1Job } from "@kubernetes/client-node";
import { attemptLabel, type Attempts } from "../../plan/attempts.ts";
import type { Names } from "../../plan/names.ts";
import type { Fact } from "./fact.ts";
import { type Client, ifThere, read } from "./client.ts";

/**
 * Of the stack's Jobs what tells the next one from one that has failed. To Pulumi a Job that failed is one that is
 * there: unless its template changes, every further update finds the same failure again.
 */
export function readAttempts(client: Client, names: Names): Promise<Fact<Attempts>> {
  const { train, sandbox } = names.namespaces;
  const attempt = async (namespace: string, name: string) =>
    attemptOf(
      await ifThere(client.get<V1Job>(`/apis/batch/v1/namespaces/${namespace}/jobs/${name}`)),
    );
  return read(async () => {
    const [proof, inputsCheck, rolloutCheck, policyCheck, trainer] = await Promise.all([
      attempt(sandbox, names.egressProof),
      attempt(train, names.inputsCheck),
      attempt(train, names.rolloutCheck),
      attempt(train, names.policyCheck),
      attempt(train, names.trainerJob),
    ]);
    return { proof, inputsCheck, rolloutCheck, policyCheck, trainer };
  });
}

/** Its own attempt while it runs or has ended well, its identity if it is to be repeated. */
function attemptOf(job: V1Job | undefined): string {
  const hasFailed = job?.status?.conditions?.some(
    ({ type, status }) => type === "Failed" && status === "True",
  );
  if (hasFailed === true) return job?.metadata?.uid ?? "";
  return job?.spec?.template.metadata?.annotations?.[attemptLabel] ?? "";
}
