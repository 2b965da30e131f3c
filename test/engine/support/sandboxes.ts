/** The sandbox namespaces of rendered tiers, applied to the lab without an engine, and pods that are tried there. */
import type { Project } from "./project.ts";
import type { KubernetesObject, Recording } from "../../support/recorder.ts";

/** Kinds that close and bound a sandbox namespace. */
const kinds = [
  "Namespace",
  "ServiceAccount",
  "Role",
  "RoleBinding",
  "ResourceQuota",
  "LimitRange",
  "PriorityClass",
  "ValidatingAdmissionPolicy",
  "ValidatingAdmissionPolicyBinding",
  "MutatingAdmissionPolicy",
  "MutatingAdmissionPolicyBinding",
];

/** @param enforced Whether the namespaces have their pod security labels, which refuse some pods before our own rules do. */
export function sandboxObjects(recording: Recording, enforced: boolean): KubernetesObject[] {
  const objects = kinds.flatMap((kind) => recording.objects(kind));
  if (enforced) return objects;
  return objects.map((object) => {
    const labels = Object.entries(object.metadata.labels).filter(
      ([key]) => !key.startsWith("pod-security"),
    );
    return { ...object, metadata: { ...object.metadata, labels: Object.fromEntries(labels) } };
  });
}

export async function apply(project: Project, objects: readonly KubernetesObject[]): Promise<void> {
  project.write("objects.json", JSON.stringify({ apiVersion: "v1", kind: "List", items: objects }));
  const { status, output } = await project.kubectl(
    "apply",
    "--server-side",
    "--force-conflicts",
    "-f",
    "objects.json",
  );
  if (status !== 0) throw new Error(output);
}

/** What the API server says of pods that the trainer of a stack tries to make; undefined: admitted. Nothing is made. */
export async function verdicts(
  project: Project,
  stack: string,
  pods: ReadonlyMap<string, object>,
): Promise<Map<string, string | undefined>> {
  const items = [...pods].map(([name, pod]) => ({
    ...pod,
    metadata: { ...(pod as { metadata?: object }).metadata, name: nameOf(name) },
  }));
  project.write("pods.json", JSON.stringify({ apiVersion: "v1", kind: "List", items }));
  const { output } = await project.kubectl(
    "create",
    "-f",
    "pods.json",
    "-n",
    `${stack}-sandbox`,
    `--as=system:serviceaccount:${stack}-train:trainer`,
    "--dry-run=server",
  );
  const lines = output.split("\n");
  return new Map(
    [...pods.keys()].map((name) => {
      const quoted = new RegExp(`"${nameOf(name)}"|pod/${nameOf(name)} created`);
      const line = lines.find((candidate) => quoted.test(candidate));
      if (line === undefined) throw new Error(`no answer about ${name} in:\n${output}`);
      return [name, line.startsWith("pod/") ? undefined : line];
    }),
  );
}

function nameOf(title: string): string {
  return `swe-${title.toLowerCase().replaceAll(/[^a-z0-9]+/g, "-")}`;
}
