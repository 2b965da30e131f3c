import { spawnSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { afterAll, describe, expect, it } from "vitest";
import { dockerSiteYaml } from "../../support/docker.ts";
import { ConfigFolder, projectRoot } from "../../support/settings.ts";

/** Two stacks that break a fatal rule and waive it; one on a cluster, one on a Docker host. */
const folder = new ConfigFolder();
folder.write(
  "waived.yaml",
  `extends: single-node.yaml
k8s: { pod_active_deadline_seconds: 2400 }
preflight: { waive: [{ rule: sandbox-deadline, reason: the verifier takes seconds }] }
`,
);
folder.write("sites/docker.yaml", dockerSiteYaml);
mkdirSync(`${folder.root}/stacks`);
writeFileSync(
  `${folder.root}/stacks/Pulumi.boxed.yaml`,
  "config: { swe-rl:experiment: waived, swe-rl:site: docker }\n",
);
afterAll(() => {
  folder[Symbol.dispose]();
});

function run(program: string, ...args: readonly string[]) {
  return spawnSync(process.execPath, [`cli/${program}.ts`, ...args, "--root", folder.root], {
    cwd: projectRoot,
    encoding: "utf8",
  });
}

describe("a fatal rule that the experiment waives", () => {
  it.each([
    [["preflight", "-s", "waived", "--offline"], 0, "waived: the verifier takes seconds"],
    [["plan", "waived"], 0, "Plan of stack waived"],
    [["experiment", "show", "waived"], 0, "pod_active_deadline_seconds"],
    [["experiment", "diff", "waived", "single-node"], 0, "DECISION"],
    [["experiment", "list"], 0, "waived"],
    // Both go past the settings, and stop only at what this stack has not.
    [["images", "waived"], 2, "sandbox.prepull.enabled is false"],
    [["prove", "-s", "boxed"], 2, "start --attach boxed-egress-proof"],
  ] as const)("does not stop %j", (args, code, text) => {
    const { status, stdout, stderr } = run(args[0], ...args.slice(1));
    expect(`${stdout}${stderr}`).toContain(text);
    expect(status).toBe(code);
  });

  it("stops them all where it is not waived", { timeout: 120_000 }, () => {
    folder.write("strict.yaml", "extends: waived.yaml\npreflight: { waive: [] }\n");
    for (const [program, ...args] of [
      ["plan", "strict"],
      ["experiment", "show", "strict"],
      ["experiment", "diff", "strict", "single-node"],
      ["images", "strict"],
      ["prove", "-s", "strict"],
    ] as const) {
      const { status, stderr } = run(program, ...args);
      expect([program, status]).toEqual([program, 1]);
      expect(stderr).toContain("k8s.pod_active_deadline_seconds");
    }
  });
});
