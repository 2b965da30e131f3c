/** What has to be done so that a control plane runs, from what is found. */
import { kwokParts, type Part } from "./parts.ts";

export interface Finding {
  readonly running: ReadonlySet<Part>;
  /** Whether the API server answers. */
  readonly answers: boolean;
  /** Whether the configuration is the one that the last complete start wrote. */
  readonly intact: boolean;
  /** Whether there is data of an earlier control plane. */
  readonly hasData: boolean;
}

export type Decision =
  | { readonly kind: "nothing" }
  | { readonly kind: "start"; readonly missing: readonly Part[] }
  | { readonly kind: "create"; readonly because: string };

export function decide({ running, answers, intact, hasData }: Finding): Decision {
  const missing = kwokParts.filter((part) => !running.has(part));
  if (!hasData && missing.length === kwokParts.length) return { kind: "create", because: "" };
  if (missing.length === kwokParts.length) return { kind: "create", because: "it did not run" };
  if (!intact)
    return { kind: "create", because: "an earlier start was cut short or its files damaged" };
  // The others live on etcd and the API server, and cope badly with their loss.
  const vital = missing.filter((part) => part === "etcd" || part === "kube-apiserver");
  if (vital.length > 0) return { kind: "create", because: `${vital.join(" and ")} had ended` };
  if (!answers) return { kind: "create", because: "its API server did not answer" };
  return missing.length > 0 ? { kind: "start", missing } : { kind: "nothing" };
}
