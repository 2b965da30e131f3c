import { spawnSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { ConfigFolder, projectRoot } from "../../support/settings.ts";

const folder = new ConfigFolder();
mkdirSync(join(folder.root, "stacks"));
afterAll(() => {
  folder[Symbol.dispose]();
});

function preflight(...args: string[]) {
  const command = [join(projectRoot, "cli/preflight.ts"), "--root", folder.root, ...args];
  // No kubeconfig of this machine's user: whatever asks for a cluster must say so.
  const env = { ...process.env, KUBECONFIG: join(folder.root, "none") };
  const { status, stdout, stderr } = spawnSync(process.execPath, command, {
    encoding: "utf8",
    env,
  });
  return { status, stdout, stderr };
}

interface Report {
  stack: string;
  site: string;
  counts: Record<string, number>;
  findings: { rule: string; severity: string; file: string | null; line: number | null }[];
}

// Each starts a program or two.
describe("npm run preflight", { timeout: 60_000 }, () => {
  it("explains itself", () => {
    const { status, stdout } = preflight("--help");
    expect(status).toBe(0);
    expect(stdout).toContain("Exit codes: 0 nothing fatal");
  });

  it.each([
    [[], "The name of a stack is missing: -s STACK"],
    [["-s", "single-node", "--fast"], "--fast"],
    [["single-node"], "single-node"],
  ])("refuses wrong usage: %j", (args, message) => {
    const { status, stderr } = preflight(...args);
    expect(status).toBe(2);
    expect(stderr).toContain(message);
    expect(stderr).toContain("Usage:");
  });

  it("asks no cluster if it is told so, and calls unknown what only the cluster knows", () => {
    const { status, stdout } = preflight("-s", "single-node", "--offline", "--json");
    expect(status).toBe(0);
    const report = JSON.parse(stdout) as Report;
    expect([report.stack, report.site]).toEqual(["single-node", "lab"]);
    expect(report.counts).toMatchObject({ ok: 1, warn: 1, fatal: 0, waived: 0 });
    expect(report.findings.map(({ rule }) => rule)).toContain("cluster-reachable");
    // The size of the claim is a setting.
    expect(report.findings.find(({ severity }) => severity === "ok")?.rule).toBe("C-34");
    expect(new Set(report.findings.map(({ severity }) => severity))).toEqual(
      new Set(["ok", "warn", "unknown"]),
    );
  });

  it("finds a cluster fatal that does not answer", () => {
    const { status, stdout } = preflight("-s", "single-node");
    expect(status).toBe(1);
    expect(stdout).toMatch(/ {2}fatal +cluster-reachable: /);
  });

  it("shows everything that is wrong with the files, also for programs", () => {
    folder.write("run.yaml", "extends: single-node.yaml\nvllm: { gen_tp: four }\nx: 1\n");
    const { status, stdout } = preflight("-s", "run", "--json");
    expect(status).toBe(1);
    expect((JSON.parse(stdout) as Report).findings).toMatchObject([
      { rule: "C-36", severity: "fatal", file: "config/run.yaml", line: 2 },
      { rule: "C-36", severity: "fatal", file: "config/run.yaml", line: 3 },
      { rule: "C-36", severity: "unknown", found: expect.stringContaining("wait") as string },
      // And the cluster all the same.
      { rule: "cluster-reachable", severity: "fatal" },
    ]);
  });

  it("takes warnings for fatal if it is told so", () => {
    folder.write("run.yaml", "extends: single-node.yaml\nalgorithm: { temperature: 0.9 }\n");
    expect(preflight("-s", "run", "--offline").status).toBe(0);
    const { status, stdout } = preflight("-s", "run", "--offline", "--strict");
    expect(status).toBe(1);
    expect(stdout).toMatch(/ {2}fatal +C-41: /);
  });

  it("reads what the stack's file chooses, and says so where it cannot", () => {
    const file = join(folder.root, "stacks/Pulumi.mine.yaml");
    writeFileSync(file, "config:\n  swe-rl:experiment: two-node\n  swe-rl:site: example\n");
    const report = JSON.parse(preflight("-s", "mine", "--offline", "--json").stdout) as Report;
    expect(report.site).toBe("example");
    expect(report.findings.map(({ rule }) => rule)).toContain("C-10");
    writeFileSync(file, "config: [\n");
    const { status, stdout } = preflight("-s", "mine", "--offline");
    expect(status).toBe(1);
    expect(stdout).toContain("stacks/Pulumi.mine.yaml cannot be read: ");
  });
});
