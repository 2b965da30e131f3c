import { load, type Loaded, type Selection } from "../config/load/load.ts";
import { type Plan, plan } from "../plan/plan.ts";
import { ConfigError, describeProblem, type Problem } from "../config/load/problem.ts";
import { readStackFile } from "./stack-file.ts";

/** Sound settings and what the Plan makes of them. */
export interface Decided extends Pick<Loaded, "settings" | "locate"> {
  readonly plan: Plan;
  /** One line each. */
  readonly warnings: readonly string[];
}

/**
 * What Pulumi's program would decide for a stack, without engine and cluster.
 * @param drafts Files to take from here instead of the disk, by absolute path.
 * @throws {ConfigError} With every problem of the settings.
 */
export function decide(
  root: string,
  selection: Selection,
  drafts?: ReadonlyMap<string, string>,
): Decided {
  const { settings, warnings, locate } = load(root, selection, drafts);
  const located = (problem: Problem): Problem => ({
    ...problem,
    location: problem.location ?? locate(problem.path),
  });
  const result = plan(settings);
  if (result.problems.length > 0) throw new ConfigError(result.problems.map(located));
  return {
    settings,
    locate,
    plan: result.plan,
    warnings: [...warnings, ...result.warnings, ...result.unknowns].map((warning) =>
      describeProblem(located(warning)),
    ),
  };
}

/** What a stack selects: its own file's choices, and the site that the command line names instead. */
export function selectStack(root: string, stack: string, site: string | undefined): Selection {
  const selection = readStackFile(root, stack);
  return site === undefined ? selection : { ...selection, site };
}
