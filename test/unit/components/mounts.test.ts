/** What mounts do to images, and groups to what is mounted. */
import { describe, expect, it } from "vitest";
import { recordTier } from "../../support/tier.ts";

const checkpoints = { kind: "claim" };

interface Container {
  readonly name: string;
  readonly image?: string;
  readonly volumeMounts?: readonly { readonly mountPath: string }[];
}

/** Every container in an object, however deep. */
function containersOf(value: unknown): Container[] {
  if (Array.isArray(value)) return value.flatMap(containersOf);
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([key, child]) =>
    /^(initC|c)ontainers$/.test(key) && Array.isArray(child)
      ? (child as Container[])
      : containersOf(child),
  );
}

describe("a pod of the training image", () => {
  it.each(["single-node-stock", "two-node-stock", "three-node-stock"])(
    "of %s finds the agent-loop configuration of the image",
    async (base) => {
      const { recording, plan } = await recordTier("", { base });
      const { image, agentLoopConfig } = plan.trainer;
      const users = recording.registrations
        .flatMap(({ inputs }) => containersOf(inputs))
        .filter((container) => container.image === image);
      expect(users.map(({ name }) => name)).toContain("ray-head");
      for (const { name, volumeMounts = [] } of users) {
        const covering = volumeMounts.filter(({ mountPath }) =>
          agentLoopConfig.startsWith(`${mountPath}/`),
        );
        expect(covering, name).toEqual([]);
      }
    },
  );
});

interface PodSpec {
  readonly volumes: readonly { readonly persistentVolumeClaim?: { readonly claimName: string } }[];
  readonly securityContext?: { readonly fsGroup?: number };
}

/** Every pod in an object that mounts a claim. */
function podsWithClaims(value: unknown): PodSpec[] {
  if (typeof value !== "object" || value === null) return [];
  const { containers, volumes = [] } = value as { containers?: unknown } & Partial<PodSpec>;
  const mounts = volumes.some(({ persistentVolumeClaim }) => persistentVolumeClaim);
  return containers !== undefined
    ? mounts
      ? [value as PodSpec]
      : []
    : Object.values(value).flatMap(podsWithClaims);
}

describe("the group that owns what a run keeps", () => {
  it.each([
    ["of a site that names it", 1000],
    ["of a site that does not", undefined],
  ])("%s, is that of every pod that mounts it", async (_, group) => {
    const storage = { checkpoints, logs: checkpoints, trials: checkpoints, group };
    const { recording } = await recordTier("", { base: "single-node-stock", site: { storage } });
    const groups = recording.registrations
      .flatMap(({ inputs }) => podsWithClaims(inputs))
      .map(({ securityContext }) => securityContext?.fsGroup);
    // Head, worker, recorder, and the checks of inputs and policy.
    expect(groups).toEqual(Array(5).fill(group));
  });
});
