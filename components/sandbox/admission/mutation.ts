/** What the API server adds to the pods that Harbor makes, as CEL. */
import { roleLabel } from "../../../plan/network/index.ts";
import { type Admission, literal, type Sandboxes } from "../../../plan/sandbox/index.ts";
import { constructed } from "./cel.ts";
import { type Gate, gatePatches } from "./gate.ts";

/** An address on which nothing answers: Kubernetes wants one where a pod has no DNS. */
const noNameServer = "127.0.0.1";

export interface MutationInputs {
  readonly admission: Admission;
  readonly sandboxes: Sandboxes;
  readonly labels: Readonly<Record<string, string>>;
  readonly gate: Gate;
}

/** One CEL list of JSON patches. Lists are built element by element: the API server of 1.34 panics on a list of objects. */
export function sandboxPatches({ admission, sandboxes, labels, gate }: MutationInputs): string {
  const { nodeSelector, tolerations } = sandboxes;
  const { profile, runtimeClass } = admission;
  const spec = (field: string, value: string) => patch(`/spec/${field}`, value);
  const patches = [
    spec("automountServiceAccountToken", "false"),
    spec("enableServiceLinks", "false"),
    spec("dnsPolicy", literal("None")),
    spec("dnsConfig", constructed("Object.spec.dnsConfig", { nameservers: [noNameServer] })),
    ...(Object.keys(nodeSelector).length > 0 ? [spec("nodeSelector", mapOf(nodeSelector))] : []),
    // What the API server tolerates for every pod by itself goes, and comes again.
    spec("tolerations", "[]"),
    ...tolerations.map((toleration) =>
      spec(
        "tolerations/-",
        constructed("Object.spec.tolerations", withoutUndefined({ ...toleration })),
      ),
    ),
    ...(runtimeClass === undefined ? [] : [spec("runtimeClassName", literal(runtimeClass))]),
    ...(profile === "user_namespaces" ? [spec("hostUsers", "false")] : []),
    ...Object.entries({ ...labels, [roleLabel]: "sandbox" }).map(([key, value]) =>
      patch(`/metadata/labels/${key.replaceAll("~", "~0").replaceAll("/", "~1")}`, literal(value)),
    ),
  ];
  const withLabels = `(has(object.metadata.labels) ? [] : [${patch("/metadata/labels", "{}")}])`;
  const withDeadline = `(has(object.spec.activeDeadlineSeconds) ? [] : [${spec(
    "activeDeadlineSeconds",
    literal(sandboxes.life.training.deadline),
  )}])`;
  return [withLabels, withDeadline, `[${patches.join(", ")}]`, gatePatches(gate)].join(" + ");
}

function patch(path: string, value: string): string {
  return `JSONPatch{op: "add", path: ${literal(path)}, value: ${value}}`;
}

function mapOf(entries: Readonly<Record<string, string>>): string {
  return `{${Object.entries(entries)
    .map(([key, value]) => `${literal(key)}: ${literal(value)}`)
    .join(", ")}}`;
}

function withoutUndefined(value: Record<string, string | undefined>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(value).filter((entry): entry is [string, string] => entry[1] !== undefined),
  );
}
