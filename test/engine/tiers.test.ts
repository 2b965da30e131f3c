import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Project } from "./support/project.ts";
import { labelledObjects } from "./support/state.ts";

interface KubernetesObject {
  metadata: { name: string; labels?: Record<string, string> };
  spec: Record<string, unknown>;
  status: Record<string, unknown>;
}

/** A stack of each tier; together they take all six GPU nodes of the lab. */
const stacks = { one: "single-node", two: "two-node", three: "three-node" } as const;
type Stack = keyof typeof stacks;
const names = Object.keys(stacks) as Stack[];

/** Every tier beside the others on one cluster; each step builds on the one before. */
describe("stacks of all tiers", () => {
  let project: Project;
  /** Whether they hold nodes that other tests need; all else goes with the lab. */
  let standing = true;
  const succeed = async (stack: string, ...args: string[]) => {
    const { status, output, stdout } = await project.pulumi(...args, "-s", stack);
    if (status !== 0) throw new Error(output);
    return stdout;
  };
  const onEach = <T>(work: (stack: Stack) => Promise<T>) => Promise.all(names.map(work));

  beforeAll(() => {
    project = new Project();
    for (const stack of names) {
      project.write(`config/${stack}.yaml`, `extends: ${stacks[stack]}.yaml\n`);
    }
  });
  afterAll(async () => {
    if (standing) {
      await onEach((stack) => project.pulumi("destroy", "--yes", "--skip-preview", "-s", stack));
    }
    project.dispose();
  });

  it("are previewed as they come up, all at once", async () => {
    await onEach(async (stack) => {
      await succeed(stack, "stack", "init");
      const preview = JSON.parse(await succeed(stack, "preview", "--json")) as {
        steps: { urn: string }[];
      };
      await succeed(stack, "up", "--yes", "--skip-preview");
      const { deployment } = JSON.parse(await succeed(stack, "stack", "export")) as {
        deployment: { resources: { urn: string }[] };
      };
      const made = deployment.resources
        .map(({ urn }) => urn)
        .filter((urn) => !/::pulumi:providers:\w+::default/.test(urn));
      expect(made.sort()).toEqual(preview.steps.map(({ urn }) => urn).sort());
    });
  });

  it.each([
    ["one", ["train 1"], 8],
    ["two", ["rollout 1", "train 1"], 16],
    ["three", ["rollout 1", "train 2"], 24],
  ] as const)("run Ray as their tier says: %s", async (stack, groups, gpus) => {
    const [cluster] = await project.objects<KubernetesObject>(
      "rayclusters",
      "-n",
      `${stack}-train`,
    );
    expect(cluster?.status).toMatchObject({ state: "ready", desiredGPU: String(gpus) });
    const pods = await project.objects<KubernetesObject>(
      "pods",
      "-n",
      `${stack}-train`,
      "-l",
      "ray.io/node-type=worker",
    );
    const byGroup = Map.groupBy(pods, ({ metadata }) => metadata.labels?.["ray.io/group"]);
    expect(
      [...byGroup].map(([group, members]) => `${group ?? ""} ${members.length}`).sort(),
    ).toEqual(groups);
    const nodes = new Set(pods.map(({ spec }) => spec["nodeName"]));
    expect(nodes.size).toBe(pods.length);
  });

  it("share no name: every object of theirs lies in a namespace of their own, or bears their name", async () => {
    const all = await onEach((stack) => labelledObjects(project, stack));
    const seen = all.flat();
    expect(new Set(seen).size).toBe(seen.length);
    names.forEach((stack, i) => {
      for (const object of all[i] ?? []) expect(object).toContain(` ${stack}-`);
    });
  });

  it("do not change on a second up", async () => {
    await onEach((stack) => succeed(stack, "up", "--yes", "--expect-no-changes"));
  });

  it("leave no GPUs for a fourth, which is refused with the arithmetic", async () => {
    project.write("config/four.yaml", "extends: single-node.yaml\n");
    await succeed("four", "stack", "init");
    try {
      const { status, output } = await project.pulumi(
        "up",
        "--yes",
        "--skip-preview",
        "-s",
        "four",
      );
      expect(status).not.toBe(0);
      expect(output).toContain(
        "gpu-free: four needs 1 node with 8 free GPUs; of 6 GPU nodes (48 GPUs) 0 are free: ",
      );
      const holders = [...output.matchAll(/gpu-\d is held by (\w+) \(8\)/g)].map(
        ([, stack]) => stack,
      );
      expect(holders.slice(0, 6).sort()).toEqual(["one", "three", "three", "three", "two", "two"]);
      expect(await labelledObjects(project, "four")).toEqual([]);
    } finally {
      await project.pulumi("stack", "rm", "--yes", "--force", "four");
    }
  });

  it("go, each to its volumes and their namespace", async () => {
    await onEach((stack) => succeed(stack, "destroy", "--yes", "--skip-preview"));
    standing = false;
    await onEach(async (stack) => {
      expect((await labelledObjects(project, stack)).sort()).toEqual([
        `Namespace ${stack}-train`,
        ...["checkpoints", "logs", "trials"].map(
          (claim) => `PersistentVolumeClaim ${stack}-train/${claim}`,
        ),
      ]);
    });
  });
});

describe("an experiment that moves between tiers", () => {
  let project: Project;
  const stack = "moving";
  const volumeOf = async () => {
    const claims = await project.objects<KubernetesObject>("pvc", "-n", `${stack}-train`);
    return claims.find(({ metadata }) => metadata.name === "checkpoints")?.spec["volumeName"];
  };
  const workersOf = async () =>
    (
      await project.objects<KubernetesObject>(
        "pods",
        "-n",
        `${stack}-train`,
        "-l",
        "ray.io/node-type=worker",
      )
    ).length;
  const moveTo = async (tier: string) => {
    project.write(`config/${stack}.yaml`, `extends: ${tier}.yaml\n`);
    const { status, output } = await project.pulumi("up", "--yes", "--skip-preview", "-s", stack);
    if (status !== 0) throw new Error(output);
  };

  beforeAll(() => {
    project = new Project();
  });
  afterAll(async () => {
    await project.pulumi("destroy", "--yes", "--skip-preview", "-s", stack);
    project.dispose();
  });

  it("keeps its checkpoint volume, from three nodes to one and back", async () => {
    project.write(`config/${stack}.yaml`, "extends: three-node.yaml\n");
    const created = await project.pulumi("stack", "init", stack);
    expect(created.status).toBe(0);
    await moveTo("three-node");
    const volume = await volumeOf();
    expect(volume).toMatch(/^lab-/);
    expect(await workersOf()).toBe(3);

    await moveTo("single-node");
    expect(await volumeOf()).toBe(volume);
    await expect.poll(workersOf, { timeout: 60_000 }).toBe(1);

    await moveTo("three-node");
    expect(await volumeOf()).toBe(volume);
    await expect.poll(workersOf, { timeout: 60_000 }).toBe(3);
  });
});
