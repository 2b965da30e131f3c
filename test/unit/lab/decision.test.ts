import { describe, expect, it } from "vitest";
import { decide } from "../../../lab/control-plane/decision.ts";
import { kwokParts, type Part } from "../../../lab/control-plane/parts.ts";

const all = new Set<Part>(kwokParts);
const without = (...gone: Part[]) => new Set(kwokParts.filter((part) => !gone.includes(part)));
const healthy = { running: all, answers: true, intact: true, fits: true, hasData: true };

describe("decision about a control plane", () => {
  it.each([
    ["all parts are healthy", healthy, { kind: "nothing" }],
    [
      "nothing exists yet",
      { ...healthy, running: new Set<Part>(), hasData: false },
      { kind: "create", because: "" },
    ],
    [
      "the machine was restarted",
      { ...healthy, running: new Set<Part>(), answers: false },
      { kind: "create", because: "it did not run" },
    ],
    [
      "a start was cut short",
      { ...healthy, intact: false },
      { kind: "create", because: "an earlier start was cut short or its files damaged" },
    ],
    [
      "a start was cut short before any data",
      { ...healthy, running: without("etcd"), intact: false, hasData: false },
      { kind: "create", because: "an earlier start was cut short or its files damaged" },
    ],
    [
      "other nodes are wanted",
      { ...healthy, fits: false },
      { kind: "create", because: "it was started for other nodes" },
    ],
    [
      "the scheduler is gone",
      { ...healthy, running: without("kube-scheduler") },
      { kind: "start", missing: ["kube-scheduler"] },
    ],
    [
      "the store is gone",
      { ...healthy, running: without("etcd"), answers: false },
      { kind: "create", because: "etcd had ended" },
    ],
    [
      "store and API server are gone",
      { ...healthy, running: without("etcd", "kube-apiserver"), answers: false },
      { kind: "create", because: "etcd and kube-apiserver had ended" },
    ],
    [
      "the API server hangs",
      { ...healthy, answers: false },
      { kind: "create", because: "its API server did not answer" },
    ],
  ] as const)("when %s", (_, finding, decision) => {
    expect(decide(finding)).toEqual(decision);
  });
});
