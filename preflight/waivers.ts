import type { Loaded } from "../config/load/load.ts";
import { catalogue } from "../rules/catalogue.ts";
import type { Experiment } from "../config/schema/experiment.ts";
import { broken, type Finding } from "../rules/finding.ts";

/** A finding for every waiver that waives nothing. @param findings Of every rule. */
export function unusedWaivers(
  findings: readonly Finding[],
  { settings, locate }: Loaded,
): Finding[] {
  return settings.experiment.preflight.waive.flatMap(({ rule }, i) => {
    if (findings.some(({ id, severity }) => id === rule && severity !== "ok")) return [];
    const path = ["preflight", "waive", i, "rule"];
    const found = `is ${rule}, which this stack does not break: it would hide the rule when it is broken one day. Leave it out.`;
    return [broken("waiver-unused", { found, path, location: locate(path) })];
  });
}

/** Applies what the experiment says of rules: waived findings keep their severity and say why; strict knows no warnings. */
export function settle(
  findings: readonly Finding[],
  { strict, waive }: Experiment["preflight"],
): Finding[] {
  return findings.map((finding) => {
    if (finding.severity === "ok") return finding;
    const waiver = waive.find(({ rule }) => rule === finding.id);
    if (waiver && catalogue[finding.id].unwaivable === undefined) {
      return { ...finding, waived: waiver.reason };
    }
    return strict && finding.severity === "warn" ? { ...finding, severity: "fatal" } : finding;
  });
}
