import { spawnSync } from "node:child_process";
import { describe, expect, it } from "vitest";
import { report } from "../../../cli/images/report.ts";
import { type ContainerState, imageStates, type PulledPod } from "../../../cli/images/states.ts";
import { projectRoot } from "../../support/settings.ts";

const there: ContainerState = { running: {} };
const waiting = (reason: string, message?: string): ContainerState => ({
  waiting: { reason, ...(message === undefined ? {} : { message }) },
});

/** A pod of the pre-pull: image by state; null: nothing is said of its container. */
function pod(
  node: string,
  images: Record<string, ContainerState | null>,
  imageID = "sha256:1",
): PulledPod {
  const entries = Object.entries(images);
  return {
    spec: {
      nodeName: node,
      volumes: [
        ...entries.map(([reference], i) => ({ name: `image-${i}`, image: { reference } })),
        { name: "other" },
      ],
    },
    status: {
      containerStatuses: entries.flatMap(([, state], i) =>
        state === null ? [] : [{ name: `image-${i}`, imageID, state }],
      ),
    },
  };
}

const lines = (...pods: PulledPod[]) => report(imageStates(pods));

describe("the report of pulled images", () => {
  it("is content when every node has every image", () => {
    expect(lines(pod("n1", { a: there, b: there }), pod("n2", { a: there, b: there }))).toEqual({
      lines: ["there    a on 2 of 2 nodes", "there    b on 2 of 2 nodes"],
      code: 0,
    });
  });

  it("names image, nodes, reason and consequence of what cannot be pulled", () => {
    const refused = waiting("ErrImagePull", "not found");
    expect(
      lines(
        pod("n1", { a: there, b: waiting("ImagePullBackOff", 'Back-off pulling image "b"') }),
        pod("n2", { a: refused, b: refused }),
      ),
    ).toEqual({
      lines: [
        "missing  a on 1 of 2 nodes (n2): ErrImagePull: not found",
        'missing  b on 2 of 2 nodes (n1, n2): ImagePullBackOff: Back-off pulling image "b"',
        "there    a on 1 of 2 nodes",
        "2 of 2 images cannot be pulled everywhere: trials with them have no turns and a reward of zero, in validation as well",
      ],
      code: 1,
    });
  });

  it.each<[string, ContainerState | null]>([
    ["waiting  a on 1 of 1 nodes (n): ContainerCreating", waiting("ContainerCreating")],
    ["waiting  a on 1 of 1 nodes (n): not begun", null],
    [
      "unknown  a on 1 of 1 nodes (n): CreateContainerError: no image volumes",
      waiting("CreateContainerError", "no image volumes"),
    ],
  ])("knows nothing yet: %s", (line, state) => {
    expect(lines(pod("n", { a: state }))).toEqual({ lines: [line], code: 3 });
  });

  it("believes no simulated node, and no empty answer", () => {
    expect(lines(pod("n", { a: there }, ""))).toEqual({
      lines: ["unknown  a on 1 of 1 nodes (n): the node is simulated: it pulls nothing"],
      code: 3,
    });
    expect(lines().code).toBe(3);
  });
});

describe("npm run images", () => {
  const run = (...args: string[]) =>
    spawnSync(process.execPath, ["cli/images.ts", ...args], {
      cwd: projectRoot,
      encoding: "utf8",
      env: { ...process.env, KUBECONFIG: "/nowhere" },
    });

  it.each([
    [[], 2, "STACK is missing."],
    [["a", "b"], 2, "Unexpected argument b"],
    [["single-node"], 2, "pulls no images ahead: sandbox.prepull.enabled is false"],
    [["no-such-stack"], 1, "no-such-stack"],
  ] as const)("%j ends with %i", (args, code, text) => {
    const { status, stderr } = run(...args);
    expect([status, stderr]).toEqual([code, expect.stringContaining(text)]);
  });

  it("explains itself", () => {
    const { status, stdout } = run("--help");
    expect([status, stdout]).toEqual([0, expect.stringContaining("Exit codes")]);
  });
});
