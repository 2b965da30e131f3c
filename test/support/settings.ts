import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { type Loaded, load, type Selection } from "../../config/load/load.ts";
import { type PlanResult, plan } from "../../plan/plan.ts";

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

/** The Plan of a shipped experiment, changed by some YAML. */
export function planWith(yaml = "", selection: Basis = {}): PlanResult {
  return plan(settingsWith(yaml, selection).settings);
}

/** What a Plan finds wrong, as `path: message`. */
export function problemsOf({ problems }: PlanResult): string[] {
  return problems.map(({ path, message }) => `${path.join(".")}: ${message}`);
}
