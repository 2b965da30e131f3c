/** What the training image holds is there in every pod that runs it: no mount covers it. */
import { describe, expect, it } from "vitest";
import { recordTier } from "../../support/tier.ts";

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
