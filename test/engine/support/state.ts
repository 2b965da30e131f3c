import type { Project } from "./project.ts";

/** A resource as the engine's state has it. */
export interface StateResource {
  readonly urn: string;
  readonly type: string;
  readonly custom: boolean;
  readonly inputs: Record<string, unknown>;
}

/** The checkpoint of a stack, with its secrets encrypted. */
export async function readState(project: Project, stack: string): Promise<StateResource[]> {
  const { status, output, stdout } = await project.pulumi("stack", "export", "-s", stack);
  if (status !== 0) throw new Error(output);
  const state = JSON.parse(stdout) as { deployment: { resources?: StateResource[] } };
  // Default providers are the engine's own.
  return (state.deployment.resources ?? []).filter(
    ({ urn }) => !/::pulumi:providers:\w+::default/.test(urn),
  );
}

/** Everything on the cluster that carries a stack's label, as `kind namespace/name`. */
export async function labelledObjects(project: Project, stack: string): Promise<string[]> {
  const { stdout } = await project.kubectl("api-resources", "--verbs=list", "-o", "name");
  const kinds = stdout
    .trim()
    .split("\n")
    .filter((kind) => !kind.startsWith("events"));
  const items = await project.objects<{
    kind: string;
    metadata: { name: string; namespace?: string };
  }>(kinds.join(","), "--all-namespaces", "-l", `swe-rl.dev/stack=${stack}`);
  return items.map(({ kind, metadata }) =>
    [kind, [metadata.namespace, metadata.name].filter(Boolean).join("/")].join(" "),
  );
}
