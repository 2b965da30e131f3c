import { spawnSync } from "node:child_process";
import { afterAll, beforeAll, describe, expect, inject, it } from "vitest";
import { Project } from "./support/project.ts";
import { labelledObjects, readState } from "./support/state.ts";

interface Pod {
  metadata: { name: string };
  spec: { nodeName: string };
}

/** Frozen models beside a run on the lab's six GPU nodes, and a second stack that no longer fits. */
describe("a stack with frozen models", () => {
  let project: Project;
  const succeed = async (...args: string[]) => {
    const { status, output } = await project.pulumi(...args);
    if (status !== 0) throw new Error(output);
    return output;
  };
  beforeAll(() => {
    project = new Project();
    project.write(
      "config/judged.yaml",
      `extends: single-node.yaml
serving:
  - { name: judge, model_path: /models/Qwen3-30B-A3B-Instruct-2507, gpus: 2, replicas: 2 }
  - { name: eval, model_path: /models/Qwen3-30B-A3B-Instruct-2507, gpus: 4, port: 8011 }
`,
    );
    project.write(
      "config/second.yaml",
      "extends: three-node.yaml\nserving: [{ name: judge, model_path: /models/x, gpus: 8, replicas: 2 }]\n",
    );
  });
  afterAll(async () => {
    await project.pulumi("destroy", "--yes", "--skip-preview", "-s", "judged");
    project.dispose();
  });

  it("comes up, its models beside each other so that whole nodes stay free", async () => {
    await succeed("stack", "init", "judged");
    await succeed("up", "--yes", "--skip-preview", "-s", "judged");
    const pods = await project.objects<Pod>(
      ...["pods", "-n", "judged-train", "-l", "swe-rl.dev/role=frozen-model"],
    );
    expect(pods.map(({ metadata }) => metadata.name.replace(/(-\w+){2}$/, "")).sort()).toEqual([
      "frozen-eval",
      "frozen-judge",
      "frozen-judge",
    ]);
    expect(new Set(pods.map(({ spec }) => spec.nodeName)).size).toBe(1);
  });

  it("is made of objects that the API server finds valid, unknown fields included", async () => {
    const frozen = (await readState(project, "judged")).filter(
      ({ urn, custom }) => custom && urn.includes("FrozenModel$"),
    );
    expect(frozen).toHaveLength(8);
    for (const { inputs } of frozen) {
      const { status, stderr } = spawnSync(
        "kubectl",
        [
          "apply",
          "--server-side",
          "--force-conflicts",
          "--dry-run=server",
          "--validate=strict",
          "-f",
          "-",
        ],
        {
          input: JSON.stringify(inputs),
          encoding: "utf8",
          env: { ...process.env, ...inject("lab") },
        },
      );
      expect([status, stderr.replaceAll(/^Warning:.*$/gm, "").trim()]).toEqual([0, ""]);
    }
  });

  it("does not change, nor refuse itself, on a second up", async () => {
    const output = await succeed("up", "--yes", "--expect-no-changes", "-s", "judged");
    expect(output).toMatch(/Resources:\n\s+\d+ unchanged/);
  });

  it("keeps its GPUs from another stack, which is refused with the arithmetic", async () => {
    await succeed("stack", "init", "second");
    const { status, output } = await project.pulumi(
      "up",
      "--yes",
      "--skip-preview",
      "-s",
      "second",
    );
    expect(status).not.toBe(0);
    expect(output).toMatch(
      /gpu-free: second needs 5 nodes with 8 free GPUs; of 6 GPU nodes \(48 GPUs\) 4 are free: gpu-\d is held by judged \(8\), gpu-\d is held by judged \(8\);/,
    );
    expect(output).toContain("To do: end another run: pulumi destroy -s judged; or wait");
    expect(await labelledObjects(project, "second")).toEqual([]);
  });

  it("leaves after destroy only what is kept", async () => {
    await succeed("destroy", "--yes", "-s", "judged");
    expect((await labelledObjects(project, "judged")).sort()).toEqual([
      "Namespace judged-train",
      "PersistentVolumeClaim judged-train/checkpoints",
      "PersistentVolumeClaim judged-train/logs",
      "PersistentVolumeClaim judged-train/trials",
    ]);
  });
});
