/** `unknown`: the check could not be made. It is shown, and never counts as passed. */
export type Severity = "ok" | "warn" | "fatal" | "unknown";

/** What one check found. */
export interface Finding {
  /** Stable name of the check. */
  readonly id: string;
  readonly severity: Severity;
  /** The value found. */
  readonly found: string;
  /** What a run needs. */
  readonly expected: string;
  /** What would happen if one went on. Empty when all is well. */
  readonly consequence: string;
  /** What to do about it. Empty when all is well. */
  readonly remedy: string;
}

/** Something read from the cluster, or the reason why it could not be read. */
export type Fact<T> =
  { readonly known: true; readonly value: T } | { readonly known: false; readonly reason: string };

export function ok(id: string, found: string): Finding {
  return { id, severity: "ok", found, expected: found, consequence: "", remedy: "" };
}

export function unknown(id: string, expected: string, reason: string): Finding {
  return {
    id,
    severity: "unknown",
    found: `not known: ${reason}`,
    expected,
    consequence: "not checked",
    remedy: "make it readable for the account that runs Pulumi, or check it by hand",
  };
}
