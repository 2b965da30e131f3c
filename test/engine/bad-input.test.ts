import { writeFileSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Project } from "./support/project.ts";
import { labelledObjects, readState } from "./support/state.ts";

/** A port of this machine on which nobody listens. */
function closedPort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => {
        resolve(port);
      });
    });
  });
}

/** What a user gets wrong: one clear message, an exit code, and a cluster as it was. */
describe("pulumi up", () => {
  let project: Project;
  beforeEach(() => {
    project = new Project();
  });
  afterEach(() => {
    project.dispose();
  });

  const refused = async (stack: string, message: string) => {
    const init = await project.pulumi("stack", "init", stack);
    expect(init.output).toContain("Created stack");
    const { status, output } = await project.pulumi("up", "--yes", "--skip-preview", "-s", stack);
    try {
      expect(output).toContain(message);
      expect(status).not.toBe(0);
      expect(output).not.toMatch(/\n\s+at .*\(?(file|node):/);
      expect(output).not.toContain("Error: ");
      const registered = (await readState(project, stack)).filter(
        ({ type }) => type !== "pulumi:pulumi:Stack",
      );
      expect(registered).toEqual([]);
    } finally {
      await project.pulumi("stack", "rm", "--yes", "--force", stack);
    }
    return output;
  };

  it.each([
    [
      "a wrong type",
      "vllm: { gen_tp: four }",
      'config/bad.yaml:2:17 vllm.gen_tp: must be a number; found "four"',
    ],
    [
      "an unknown key",
      "vllm: { gen_tpp: 4 }",
      "config/bad.yaml:2:9 vllm.gen_tpp: unknown setting; it would be ignored silently. Did you mean vllm.gen_tp?",
    ],
    [
      "a contradiction",
      "vllm: { gen_tp: 3 }",
      "config/bad.yaml:2:17 vllm.gen_tp: is 3, which does not divide the 8 rollout GPUs",
    ],
  ])("refuses %s", async (_case, yaml, message) => {
    project.write("config/bad.yaml", `extends: single-node.yaml\n${yaml}\n`);
    await refused("bad", message);
  });

  it("refuses a missing file", async () => {
    await refused("absent", "config/absent.yaml does not exist, so this stack has no experiment.");
  });

  it("refuses a file that extends itself", async () => {
    project.write("config/bad.yaml", "extends: worse.yaml\n");
    project.write("config/worse.yaml", "extends: bad.yaml\n");
    await refused(
      "bad",
      "config/worse.yaml:1:10 extends: extends itself: config/bad.yaml → config/worse.yaml → config/bad.yaml",
    );
  });

  it("refuses a stack name that is too long", async () => {
    const stack = "x".repeat(56);
    project.write(`config/${stack}.yaml`, "extends: single-node.yaml\n");
    await refused(
      stack,
      "has 56 characters, and with the endings of its namespaces at most 55 fit",
    );
  });

  it("refuses a cluster that does not answer", async () => {
    project.useKubeconfig(
      JSON.stringify({
        apiVersion: "v1",
        kind: "Config",
        clusters: [{ name: "c", cluster: { server: `https://127.0.0.1:${await closedPort()}` } }],
        users: [{ name: "u", user: {} }],
        contexts: [{ name: "gone", context: { cluster: "c", user: "u" } }],
      }),
    );
    project.replace("config/sites/lab.yaml", ["context: kwok-swe-rl", "context: gone"]);
    const output = await refused("single-node", "cluster-reachable: ");
    expect(output).toContain("ECONNREFUSED");
    expect(output).toContain("To do: check cluster.context in the site file, $KUBECONFIG");
  });

  it("refuses a context that the kubeconfig does not have", async () => {
    project.replace("config/sites/lab.yaml", ["context: kwok-swe-rl", "context: elsewhere"]);
    await refused("single-node", 'no context "elsewhere" in ');
  });

  it("refuses a cluster without KubeRay", async () => {
    const { stdout: definition } = await project.kubectl(
      "get",
      "crd",
      "rayclusters.ray.io",
      "-o",
      "json",
    );
    await project.kubectl("delete", "crd", "rayclusters.ray.io");
    try {
      const output = await refused("single-node", "kuberay-installed: no RayCluster kind");
      expect(output).toContain("helm install kuberay-operator");
      expect(await labelledObjects(project, "single-node")).toEqual([]);
    } finally {
      const file = join(project.root, "crd.json");
      const { metadata, ...rest } = JSON.parse(definition) as {
        metadata: { name: string; annotations?: object };
      };
      writeFileSync(
        file,
        JSON.stringify({
          ...rest,
          status: undefined,
          metadata: { name: metadata.name, annotations: metadata.annotations },
        }),
      );
      const restored = await project.kubectl("create", "-f", file);
      expect(restored.output).toContain("created");
      await project.kubectl(
        "wait",
        "--for=condition=Established",
        "crd/rayclusters.ray.io",
        "--timeout=30s",
      );
    }
  });

  it("refuses namespaces of somebody else", async () => {
    await project.kubectl("create", "namespace", "single-node-sandbox");
    try {
      await refused(
        "single-node",
        "namespaces-ours: namespace single-node-sandbox belongs to another owner",
      );
    } finally {
      await project.kubectl("delete", "namespace", "single-node-sandbox");
    }
  });

  it("reports several fatal findings at once", async () => {
    project.replace("config/sites/lab.yaml", [
      "selector: { swe-rl.dev/pool: gpu }",
      "selector: { pool: none }",
    ]);
    project.replace("config/sites/lab.yaml", ["storage_class: swe-rl-lab", "storage_class: none"]);
    const output = await refused("single-node", "gpu-nodes: 0 of ");
    expect(output).toContain("storage-class: only swe-rl-lab; expected storage class none");
  });
});
