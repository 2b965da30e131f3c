import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { load, type Loaded } from "../../../config/load/load.ts";
import { ConfigError } from "../../../config/load/problem.ts";
import { ruleById, type RuleId } from "../../../rules/index.ts";
import type { Finding } from "../../../rules/finding.ts";
import { findingsOf } from "../../../preflight/evaluate.ts";
import { preflight } from "../../../preflight/preflight.ts";
import { projectRoot } from "../settings.ts";
import { models, type RuleCase, sites, type Written } from "./cases.ts";

const shippedModels = readFileSync(join(projectRoot, "config/models.yaml"), "utf8");

/** GPUs with more memory than any run needs: no case is to break gpu-memory as well. */
const ampleLab = "extends: lab.yaml\ngpu_nodes: { gpu_memory: 4Ti }";

/** The settings of a case. @throws {ConfigError} If the schema refuses them. */
export function loadCase(
  { base = "single-node", siteBase: usual, common = "" }: RuleCase,
  written: string | Written,
): Loaded {
  const what: Written = typeof written === "string" ? { experiment: written } : written;
  const siteBase = what.siteBase ?? usual;
  const drafts = new Map(
    Object.entries({
      "models.yaml": `${shippedModels}${models}`,
      "common.yaml": `extends: ${base}.yaml\n${common}`,
      "run.yaml": onTopOf("common", what.experiment),
      "sites/below.yaml": siteBase === undefined ? ampleLab : sites[siteBase],
      "sites/here.yaml": onTopOf("below", what.site),
    }).map(([file, text]) => [resolve(projectRoot, "config", file), text]),
  );
  const { stack = "run", secrets = [] } = what;
  const selection = { stack, experiment: "run", site: "here", secrets: new Set(secrets) };
  return load(projectRoot, selection, drafts);
}

/** What preflight finds, without a cluster, of the settings of a case. */
export async function findingsFor(
  given: RuleCase,
  written: string | Written,
): Promise<readonly Finding[]> {
  try {
    return (await preflight(loadCase(given, written), { offline: true })).findings;
  } catch (error) {
    // Without the line that says what has to wait.
    if (error instanceof ConfigError) {
      return findingsOf(error).filter(({ severity }) => severity !== "unknown");
    }
    throw error;
  }
}

function onTopOf(below: string, text = ""): string {
  return text.startsWith("extends:") ? text : `extends: ${below}.yaml\n${text}`;
}

/** Rules of the settings that the findings show broken or unknown. */
export function raised(findings: readonly Finding[]): RuleId[] {
  const open = findings.filter(
    ({ id, severity, waived }) =>
      ["settings", "files"].includes(ruleById[id].judges) &&
      severity !== "ok" &&
      waived === undefined,
  );
  return [...new Set(open.map(({ id }) => id))];
}
