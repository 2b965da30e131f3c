/** The entry gate as admission sees it: put in front of every sandbox, and demanded as it was put. */
import { type AdmissionRule, gateContainer } from "../../../plan/sandbox/index.ts";
import { constructed, equals, type Value } from "./cel.ts";

/** The gate's container, whole: plain values, each of which is demanded. */
export type Gate = Readonly<Record<string, Value>>;

/** Fields with which a container could do something beside the gate's program, or instead of waiting for it. */
const absent = [
  "args",
  "envFrom",
  "lifecycle",
  "livenessProbe",
  "ports",
  "readinessProbe",
  "resizePolicy",
  "restartPolicy",
  "startupProbe",
  "volumeDevices",
  "volumeMounts",
  "workingDir",
] as const;

/** CEL of the JSON patches that put the gate first; none for a pod that brings one, which is then compared. */
export function gatePatches(gate: Gate): string {
  const first = `JSONPatch{op: "add", path: "/spec/initContainers/0", value: ${constructed("Object.spec.initContainers", gate)}}`;
  const list = `(has(object.spec.initContainers) ? [] : [JSONPatch{op: "add", path: "/spec/initContainers", value: []}])`;
  return `(${hasGate} ? [] : ${list} + [${first}])`;
}

const hasGate = `object.spec.?initContainers.orValue([]).exists(c, c.name == "${gateContainer}")`;

/** The gate comes first and is ours, whole; nothing else bears its name. */
export function gateRule(gate: Gate): AdmissionRule {
  // Its maps of quantities are unknown to the API server's own check of the CEL, so the type check is switched off for it.
  const first = "dyn(object.spec.initContainers[0])";
  const conditions = [
    "has(object.spec.initContainers) && object.spec.initContainers.size() > 0",
    equals(first, gate),
    ...absent.map((field) => `!has(${first}.${field})`),
    // An unset flag may be left out or written down as false.
    ...["stdin", "stdinOnce", "tty"].map((field) => `!${first}.?${field}.orValue(false)`),
    `variables.containers.filter(c, c.name == "${gateContainer}").size() == 1`,
  ];
  return {
    name: "entry-gate",
    // The proof's pod has a gate of its own, before the proxy is there; the pre-pull runs no untrusted program.
    expression: `variables.byController || (${conditions.join(" && ")})`,
    message: `entry-gate: the first init container is this stack's ${gateContainer}, unchanged, and no other bears its name`,
  };
}
