import { load, type Loaded, type Selection } from "../config/load/load.ts";
import { ConfigError } from "../config/load/problem.ts";
import type { Plan } from "../plan/plan.ts";
import { evaluate, isFatal } from "../preflight/evaluate.ts";
import { describe, excerptOf, message } from "../preflight/report.ts";
import { readStackFile } from "./stack-file.ts";

/** Settings that nothing fatal is found in, and what the Plan makes of them. */
export interface Decided extends Pick<Loaded, "settings" | "locate"> {
  readonly plan: Plan;
  /** Warnings and waived findings, one line each. */
  readonly warnings: readonly string[];
}

/**
 * What Pulumi's program would decide for a stack, without engine and cluster.
 * @param drafts Files to take from here instead of the disk, by absolute path.
 * @throws {ConfigError} With everything fatal that no waiver covers.
 */
export function decide(
  root: string,
  selection: Selection,
  drafts?: ReadonlyMap<string, string>,
): Decided {
  const loaded = load(root, selection, drafts);
  const { plan, findings } = evaluate(loaded);
  const fatal = findings.filter(isFatal);
  if (fatal.length > 0) {
    throw new ConfigError(
      fatal.map((finding) => ({
        rule: finding.id,
        path: finding.path ?? [],
        message: message(finding),
        location: finding.location,
        excerpt: excerptOf(finding, root),
      })),
    );
  }
  const { settings, locate } = loaded;
  const warnings = findings
    .filter(({ severity }) => severity === "warn")
    .map((finding) => `${finding.id} ${describe(finding)}`);
  return { settings, locate, plan, warnings };
}

/** What a stack selects: its own file's choices, and the site that the command line names instead. */
export function selectStack(root: string, stack: string, site: string | undefined): Selection {
  const selection = readStackFile(root, stack);
  return site === undefined ? selection : { ...selection, site };
}
