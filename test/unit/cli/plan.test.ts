import { spawnSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { ConfigFolder, projectRoot } from "../../support/settings.ts";

function run(...args: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, ["cli/plan.ts", ...args], {
    cwd: projectRoot,
    encoding: "utf8",
  });
  return { status, stdout, stderr };
}

describe("npm run plan", () => {
  it("prints a run summary with secrets masked", () => {
    const { status, stdout, stderr } = run("single-node");
    expect(status).toBe(0);
    expect(stderr).toMatch(/^warning: C-15 .*\n$/);
    for (const line of [
      "tier single-node: 1 node × 8 GPUs",
      "rollout     2 servers × tensor parallel 4",
      "64 prompts × 8 trials = 512 trials",
      "run-sandbox",
      "verl.trainer.main_ppo",
      "actor_rollout_ref.rollout.tensor_model_parallel_size=4",
      "ANTHROPIC_API_KEY=***",
      "checkpoint_path",
    ]) {
      expect(stdout).toContain(line.replace("run-sandbox", "single-node-sandbox"));
    }
  });

  it("speaks of containers and networks where the site is a Docker host", () => {
    const { status, stdout } = run("single-node", "--site", "docker-example");
    expect(status).toBe(0);
    const summary = stdout.slice(0, stdout.indexOf("\nCommand"));
    expect(summary).toContain("single-node-sandbox 172.30.244.0/22: sandboxes at 172.30.246.0/23");
    expect(summary).toContain("volume single-node-checkpoints at /workspace");
    expect(summary).not.toMatch(/\bpods?\b|namespace|quota|claim/);
  });

  it("prints all of it as JSON", () => {
    const { status, stdout } = run("single-node", "--json");
    expect(status).toBe(0);
    const plan = JSON.parse(stdout) as { trainer: { argv: string[]; env: Record<string, string> } };
    expect(plan.trainer.argv.slice(0, 3)).toEqual(["python3", "-m", "verl.trainer.main_ppo"]);
    expect(plan.trainer.env["LITELLM_PORT"]).toBe("8002");
    expect(plan.trainer.env["ANTHROPIC_API_KEY"]).toBe("***");
  });

  it("follows the stack's own file", () => {
    using folder = new ConfigFolder();
    mkdirSync(`${folder.root}/stacks`);
    writeFileSync(
      `${folder.root}/stacks/Pulumi.exp-42.yaml`,
      "config:\n  swe-rl:experiment: smoke\n  swe-rl:wandbApiKey: { secure: v1:x }\n",
    );
    const { status, stdout } = run("exp-42", "--root", folder.root);
    expect(status).toBe(0);
    expect(stdout).toContain("8 prompts × 4 trials = 32 trials");
    expect(stdout).toContain("exp-42-train");
  });

  it.each([
    [["nowhere"], 1, "config/nowhere.yaml does not exist"],
    [[], 2, "STACK is missing."],
    [["a", "b"], 2, "Unexpected argument b."],
    [["a", "--jsn"], 2, "Unknown option '--jsn'"],
  ])("answers %j with exit code %i and one clear line", (args, status, line) => {
    const result = run(...args);
    expect(result.status).toBe(status);
    expect(result.stderr).toContain(line);
    expect(result.stderr).not.toMatch(/\n\s+at /);
  });

  it("helps", () => {
    expect(run("--help")).toMatchObject({ status: 0, stderr: "" });
  });
});
