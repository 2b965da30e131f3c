import { describe, expect, it } from "vitest";
import { problemsOf, planWith } from "../../support/settings.ts";
import { recordTier } from "../../support/tier.ts";

const images = ["docker.io/swebench/a:1", "docker.io/swebench/b:2"];
const yaml = `sandbox: { prepull: { enabled: true, images: [${images.join(", ")}] } }`;

describe("the pre-pull of images", () => {
  it("is off unless asked for, and then comes with the runtime image", async () => {
    expect((await recordTier()).recording.objects("DaemonSet")).toEqual([]);
    const { plan } = planWith("sandbox: { prepull: { enabled: true } }");
    expect(plan.prepull?.images).toEqual(["docker.io/jierun/c-cc-2.1.118:v0.1"]);
  });

  it("mounts each image in a container of its own that runs none of it", async () => {
    const { recording, plan } = await recordTier(yaml);
    const { inputs } = recording.one("kubernetes:apps/v1:DaemonSet", "image-prepull");
    const { spec } = (inputs["spec"] as { template: { spec: Record<string, unknown> } }).template;
    expect(inputs["metadata"]).toMatchObject({ namespace: "run-train" });
    expect(spec).toMatchObject({
      serviceAccountName: "image-prepull",
      automountServiceAccountToken: false,
      enableServiceLinks: false,
      nodeSelector: plan.sandboxes.nodeSelector,
      tolerations: plan.sandboxes.tolerations,
      securityContext: { runAsNonRoot: true },
    });
    const containers = spec["containers"] as {
      image: string;
      command?: string[];
      args?: string[];
    }[];
    expect(containers).toHaveLength(3);
    for (const { image, command, args } of containers) {
      expect([image, command, args]).toEqual(["registry.k8s.io/pause:3.10", undefined, undefined]);
    }
    const volumes = spec["volumes"] as { image: object }[];
    expect(volumes.map(({ image }) => image)).toEqual(
      ["docker.io/jierun/c-cc-2.1.118:v0.1", ...images].map((reference) => ({
        reference,
        pullPolicy: "IfNotPresent",
      })),
    );
  });

  it("uses the registry's credentials", async () => {
    const { recording } = await recordTier(yaml, { secrets: { registryCredentials: "{}" } });
    const { inputs } = recording.one("kubernetes:core/v1:ServiceAccount", "image-prepull-account");
    expect(inputs).toMatchObject({
      automountServiceAccountToken: false,
      imagePullSecrets: [{ name: "secrets-registry-train-1a2b3c4d" }],
    });
  });

  it("pulls no image twice, and no more than nodes can keep", () => {
    const listed = (names: string[]) =>
      planWith(`sandbox: { prepull: { enabled: true, images: [${names.join(", ")}] } }`);
    const twice = listed(["x/a:1", "x/a:1", "docker.io/jierun/c-cc-2.1.118:v0.1"]);
    expect(problemsOf(twice)).toEqual([]);
    expect(twice.plan.prepull?.images).toEqual(["docker.io/jierun/c-cc-2.1.118:v0.1", "x/a:1"]);
    const many = Array.from({ length: 51 }, (_, i) => `x/a:${i}`);
    expect(() => listed(many)).toThrow(/at most 50/);
  });
});
