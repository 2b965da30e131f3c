/** Decides how to bring a control plane up. */
import { kwokParts, type Part } from "./parts.ts";

export interface Finding {
  readonly running: ReadonlySet<Part>;
  /** Whether the API server answers. */
  readonly answers: boolean;
  /** Whether the last complete start wrote the present configuration. */
  readonly intact: boolean;
  /** Whether it was started for the nodes that are wanted. */
  readonly fits: boolean;
  /** Whether an earlier control plane left data. */
  readonly hasData: boolean;
}

export type Decision =
  | { readonly kind: "nothing" }
  | { readonly kind: "start"; readonly missing: readonly Part[] }
  | { readonly kind: "create"; readonly because: string };

export function decide({ running, answers, intact, fits, hasData }: Finding): Decision {
  const missing = kwokParts.filter((part) => !running.has(part));
  if (!hasData && missing.length === kwokParts.length) return { kind: "create", because: "" };
  if (missing.length === kwokParts.length) return { kind: "create", because: "it did not run" };
  if (!fits) return { kind: "create", because: "it was started for other nodes" };
  if (!intact)
    return { kind: "create", because: "an earlier start was cut short or its files damaged" };
  // The other parts do not recover reliably from the loss of etcd or the API server.
  const vital = missing.filter((part) => part === "etcd" || part === "kube-apiserver");
  if (vital.length > 0) return { kind: "create", because: `${vital.join(" and ")} had ended` };
  if (!answers) return { kind: "create", because: "its API server did not answer" };
  return missing.length > 0 ? { kind: "start", missing } : { kind: "nothing" };
}
