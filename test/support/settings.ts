import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { type Loaded, load, type Selection, type Settings } from "../../config/load/load.ts";
import type { KubernetesSite } from "../../config/schema/site.ts";
import { plan, type Plan } from "../../plan/plan.ts";
import { message } from "../../preflight/report.ts";
import { judgeSettings } from "../../rules/judge.ts";

export const projectRoot = join(import.meta.dirname, "../..");

/** A folder with configuration files, gone when it is disposed of. */
export class ConfigFolder {
  readonly root = mkdtempSync(join(tmpdir(), "swe-rl-config-"));

  /** @param withShipped Begin with the project's own files. */
  constructor(withShipped = true) {
    mkdirSync(join(this.root, "config/sites"), { recursive: true });
    if (withShipped)
      cpSync(join(projectRoot, "config"), join(this.root, "config"), { recursive: true });
  }

  write(file: string, content: string): this {
    const path = join(this.root, "config", file);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, content);
    return this;
  }

  load(selection: Partial<Selection> = {}): Loaded {
    return load(this.root, { stack: "run", ...selection });
  }

  [Symbol.dispose](): void {
    rmSync(this.root, { recursive: true, force: true });
  }
}

export interface Basis extends Partial<Selection> {
  /** Shipped experiment that the YAML changes. Default: single-node. */
  readonly base?: string;
}

/** Settings of an experiment that extends a shipped file by some YAML. */
export function settingsWith(
  yaml: string,
  { base = "single-node", ...selection }: Basis = {},
): Loaded {
  using folder = new ConfigFolder();
  folder.write("run.yaml", `extends: ${base}.yaml\n${yaml}`);
  return folder.load(selection);
}

/** The site of settings that are those of a cluster. */
export function clusterOf({ site }: Pick<Settings, "site">): KubernetesSite {
  if (site.kind !== "kubernetes") throw new Error("the site is no cluster");
  return site;
}

/** A stack's Plan, and what the rules of the settings find wrong with it. */
export interface Judged {
  readonly plan: Plan;
  readonly problems: readonly RuleProblem[];
  readonly warnings: readonly RuleProblem[];
  /** But for the inputs, which only a pod can tell. */
  readonly unknowns: readonly RuleProblem[];
}

export interface RuleProblem {
  readonly rule: string;
  readonly path: readonly (string | number)[];
  readonly message: string;
}

export function judge(settings: Settings): Judged {
  const planned = plan(settings);
  const findings = judgeSettings({ settings, plan: planned });
  const of = (severity: string) =>
    findings
      .filter((finding) => finding.severity === severity)
      .map((finding) => ({
        rule: finding.id,
        path: finding.path ?? [],
        message: message(finding),
      }));
  return {
    plan: planned,
    problems: of("fatal"),
    warnings: of("warn"),
    unknowns: of("unknown").filter(({ rule }) => rule !== "inputs"),
  };
}

/** The Plan of a shipped experiment, changed by some YAML. */
export function planWith(yaml = "", selection: Basis = {}): Judged {
  return judge(settingsWith(yaml, selection).settings);
}

/** What the rules find wrong, as `path: message`. */
export function problemsOf({ problems }: Pick<Judged, "problems">): string[] {
  return problems.map(({ path, message }) => `${path.join(".")}: ${message}`);
}
