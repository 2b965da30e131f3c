import type { V1Job, V1Pod } from "@kubernetes/client-node";
import { describe, expect, it } from "vitest";
import { again, endOf } from "../../../cli/prove/job.ts";

interface State {
  code?: number;
  message?: string;
}

function pod(index: number, { main, gate, phase }: { main?: State; gate?: State; phase?: string }) {
  const status = (name: string, state: State | undefined) => ({
    name,
    state: state ? { terminated: { exitCode: state.code ?? 0, message: state.message } } : {},
  });
  return {
    metadata: {
      annotations: { "batch.kubernetes.io/job-completion-index": String(index) },
    },
    spec: { nodeName: `node-${index}` },
    status: {
      phase,
      initContainerStatuses: [status("entry-gate", gate)],
      containerStatuses: [status("proof", main)],
    },
  } as unknown as V1Pod;
}

describe("the end of a proof", () => {
  it.each([
    ["no pod yet", [], undefined],
    ["running", [pod(0, { gate: {} }), pod(1, { gate: {} })], undefined],
    ["only the second has ended", [pod(0, {}), pod(1, { main: {} })], undefined],
    ["proven", [pod(0, { main: { message: "proven: reached" } })], 0],
    ["a leak", [pod(0, { main: { code: 3, message: "leaks: ICMP" } })], 3],
    ["unknown", [pod(0, { main: { code: 4, message: "unknown: …" } })], 4],
    ["a success without a word, as of a simulated pod", [pod(0, { main: {} })], 4],
    ["a gate that is not closed", [pod(0, { gate: { code: 3, message: "{}" } })], 3],
    ["a gate without a control, in the second pod", [pod(0, {}), pod(1, { gate: { code: 4 } })], 4],
    ["an evicted pod", [pod(0, { phase: "Failed" })], 4],
  ])("%s", (_, pods, code) => {
    expect(endOf(pods)?.code).toBe(code);
  });

  it("says which part failed, and where", () => {
    const ended = endOf([pod(1, { gate: { code: 4, message: '{"gate":"no-control"}' } })]);
    expect(ended).toEqual({
      code: 4,
      message: 'entry-gate: {"gate":"no-control"}',
      node: "node-1",
    });
  });
});

describe("the same proof again", () => {
  it("leaves behind what Kubernetes has written into the first", () => {
    const job = {
      metadata: { name: "egress-proof", uid: "u", labels: { "swe-rl.dev/stack": "run" } },
      spec: {
        completions: 2,
        selector: { matchLabels: { "controller-uid": "u" } },
        template: {
          metadata: {
            labels: {
              "controller-uid": "u",
              "batch.kubernetes.io/controller-uid": "u",
              "job-name": "egress-proof",
              "swe-rl.dev/role": "egress-proof",
            },
          },
          spec: { containers: [{ name: "proof" }] },
        },
      },
    } as unknown as V1Job;
    const copy = again(job, "egress-proof-2");
    expect(copy.metadata).toMatchObject({
      name: "egress-proof-2",
      labels: { "swe-rl.dev/stack": "run" },
    });
    expect(copy.metadata?.uid).toBeUndefined();
    expect(copy.spec?.selector).toBeUndefined();
    expect(copy.spec?.completions).toBe(2);
    expect(copy.spec?.template.metadata?.labels).toEqual({ "swe-rl.dev/role": "egress-proof" });
    expect(copy.spec?.template.spec?.containers).toEqual([{ name: "proof" }]);
  });
});
