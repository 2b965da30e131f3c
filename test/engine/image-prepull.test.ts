import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { report } from "../../cli/images/report.ts";
import { imageStates, type PulledPod } from "../../cli/images/states.ts";
import { recordTier } from "../support/tier.ts";
import { kubectl, list } from "./support/kubectl.ts";

type Pod = PulledPod & { metadata: { name: string } };

const images = ["docker.io/swebench/a:1", "docker.io/swebench/b:2"];
const runtime = "docker.io/jierun/c-cc-2.1.118:v0.1";

/** The emitted DaemonSet on a real control plane. Its nodes are simulated and pull nothing, so what a kubelet would say is written by the test. */
describe("the pre-pull of images on a control plane", () => {
  const pods = () =>
    (
      JSON.parse(
        kubectl([
          ...["get", "pods", "-n", "run-train", "-o", "json"],
          ...["-l", "app.kubernetes.io/name=image-prepull,swe-rl.dev/stack=run"],
        ]),
      ) as { items: Pod[] }
    ).items;
  const running = () =>
    pods().filter(({ status }) => status?.containerStatuses?.every(({ state }) => state?.running));

  /** What a kubelet would say of the image of a container; the others run. */
  const say = (pod: Pod, container: string, state: object) => {
    const containerStatuses = pod.status?.containerStatuses?.map((status) => ({
      ...status,
      imageID: "sha256:1",
      ...(status.name === container ? { state } : {}),
    }));
    kubectl([
      ...["patch", "pod", pod.metadata.name, "-n", "run-train", "--subresource=status"],
      ...["--type=merge", "--patch", JSON.stringify({ status: { containerStatuses } })],
    ]);
  };

  beforeAll(async () => {
    const { recording } = await recordTier(
      `sandbox: { prepull: { enabled: true, images: [${images.join(", ")}] } }`,
    );
    const made = ["Namespace", "ServiceAccount", "DaemonSet"].flatMap((kind) =>
      recording.objects(kind),
    );
    const needed = made.filter(({ kind, metadata }) =>
      kind === "Namespace" ? metadata.name === "run-train" : metadata.name === "image-prepull",
    );
    expect(needed).toHaveLength(3);
    kubectl(["apply", "--server-side", "--validate=strict", "-f", "-"], list(needed));
  });
  afterAll(() => {
    // Awaited: other tests have a namespace of this name.
    kubectl(["delete", "namespace", "run-train", "--timeout=120s"]);
  });

  it("puts a pod on every sandbox node, and claims nothing for simulated ones", async () => {
    await expect.poll(running, { timeout: 60_000, interval: 500 }).toHaveLength(2);
    const found = imageStates(pods());
    expect(new Set(found.map(({ node }) => node))).toEqual(new Set(["sandbox-0", "sandbox-1"]));
    expect(new Set(found.map(({ image }) => image))).toEqual(new Set([runtime, ...images]));
    expect(report(found).code).toBe(3);
  });

  it("shows what a kubelet could not pull", () => {
    for (const pod of pods()) {
      const reason = { waiting: { reason: "ImagePullBackOff", message: "not found" } };
      const isFirst = pod.spec?.nodeName === "sandbox-0";
      say(pod, "image-2", isFirst ? reason : { running: {} });
    }
    expect(report(imageStates(pods()))).toEqual({
      lines: [
        `missing  ${images[1] ?? ""} on 1 of 2 nodes (sandbox-0): ImagePullBackOff: not found`,
        `there    ${runtime} on 2 of 2 nodes`,
        `there    ${images[0] ?? ""} on 2 of 2 nodes`,
        `there    ${images[1] ?? ""} on 1 of 2 nodes`,
        "1 of 3 images cannot be pulled everywhere: trials with them have no turns and a reward of zero, in validation as well",
      ],
      code: 1,
    });
  });
});
