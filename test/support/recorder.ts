import * as pulumi from "@pulumi/pulumi";

/** One registration, as the engine would have received it. */
export interface Registration {
  readonly urn: string;
  readonly type: string;
  readonly name: string;
  readonly custom: boolean;
  /** URN of the parent. */
  readonly parent: string;
  readonly provider: string;
  readonly inputs: Record<string, unknown>;
  readonly dependencies: readonly string[];
  readonly retainOnDelete: boolean;
  readonly deletedWith: string;
  readonly protect: boolean;
  readonly timeouts: { create: string; update: string; delete: string } | undefined;
}

export interface Recording {
  readonly registrations: readonly Registration[];
  /** The only registration with this type and name. */
  one(type: string, name: string): Registration;
  /** Inputs of all Kubernetes objects of a kind. */
  objects(kind: string): KubernetesObject[];
}

export interface KubernetesObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name?: string;
    readonly namespace?: string;
    readonly labels: Record<string, string>;
    readonly annotations?: Record<string, string>;
  };
  readonly [field: string]: unknown;
}

interface Request {
  toObject(): RequestFields;
  getObject(): { toJavaScript(): Record<string, unknown> } | undefined;
}
interface RequestFields {
  type: string;
  name: string;
  custom: boolean;
  parent: string;
  provider: string;
  dependenciesList: string[];
  retainondelete?: boolean;
  deletedwith: string;
  protect?: boolean;
  customtimeouts?: { create: string; update: string; pb_delete: string };
}
type Callback = (error: unknown, response?: { getUrn(): string }) => void;
interface Monitor {
  registerResource(request: Request, callback: Callback): void;
}

/**
 * Runs a program against Pulumi's mocks and records what it registers, options included. With `preview`, resources
 * get no id and none of the values that only a cluster assigns, as in `pulumi preview`.
 * It shows what is asked of the engine; what the engine, the provider or the cluster make of it, it cannot show.
 */
export async function record(
  program: () => unknown,
  { preview = false, stack = "run" }: { preview?: boolean; stack?: string } = {},
): Promise<Recording> {
  const registrations: Registration[] = [];
  await pulumi.runtime.setMocks(
    {
      newResource: ({ type, name, inputs }) => {
        const given = inputs as Record<string, unknown>;
        return preview
          ? { id: undefined, state: given }
          : { id: `${name}-id`, state: withAssigned(type, name, given) };
      },
      call: ({ inputs }) => inputs as Record<string, unknown>,
    },
    "swe-rl",
    stack,
    preview,
    "organization",
  );
  const monitor = pulumi.runtime.getMonitor() as unknown as Monitor;
  const register = monitor.registerResource.bind(monitor);
  monitor.registerResource = (request, callback) => {
    const fields = request.toObject();
    register(request, (error, response) => {
      registrations.push({
        urn: response?.getUrn() ?? "",
        type: fields.type,
        name: fields.name,
        custom: fields.custom,
        parent: fields.parent,
        provider: fields.provider,
        inputs: request.getObject()?.toJavaScript() ?? {},
        dependencies: fields.dependenciesList,
        retainOnDelete: fields.retainondelete ?? false,
        deletedWith: fields.deletedwith,
        protect: fields.protect ?? false,
        timeouts: fields.customtimeouts && {
          create: fields.customtimeouts.create,
          update: fields.customtimeouts.update,
          delete: fields.customtimeouts.pb_delete,
        },
      });
      callback(error, response);
    });
  };
  await pulumi.runtime.runInPulumiStack(() => Promise.resolve(program()));
  await (pulumi.runtime as unknown as { waitForRPCs(): Promise<void> }).waitForRPCs();
  return {
    registrations,
    one(type, name) {
      const found = registrations.filter((entry) => entry.type === type && entry.name === name);
      if (found.length !== 1 || !found[0]) {
        throw new Error(`${found.length} registrations of ${type} ${name}`);
      }
      return found[0];
    },
    objects: (kind) =>
      registrations
        .map(({ inputs }) => inputs as unknown as KubernetesObject)
        .filter((object) => object.kind === kind),
  };
}

/** What a cluster would add: a name where Pulumi makes one up, an address to a Service, a value to a password, an end to what is waited for; and a digest to an image. */
function withAssigned(
  type: string,
  name: string,
  inputs: Record<string, unknown>,
): Record<string, unknown> {
  if (inputs["attach"] === true) {
    const containerLogs =
      '{"proof": "a", "verdict": "proven", "started": "2026-11-24T10:00:00+00:00"}\n';
    return { ...inputs, exitCode: 0, containerLogs };
  }
  if (type === "docker:index/image:Image") {
    const [repository = ""] = String(inputs["imageName"]).split(/:(?=[^/]*$)/);
    const id = `sha256:${"ab".repeat(32)}`;
    return { ...inputs, repoDigest: inputs["skipPush"] === true ? id : `${repository}@${id}` };
  }
  if (type === "random:index/randomPassword:RandomPassword") {
    return { ...inputs, result: `${name}-value` };
  }
  const metadata = inputs["metadata"] as { name?: string } | undefined;
  if (metadata === undefined) return inputs;
  const named = { ...inputs, metadata: { name: `${name}-1a2b3c4d`, ...metadata } };
  if (type !== "kubernetes:core/v1:Service") return named;
  return { ...named, spec: { ...(inputs["spec"] as object), clusterIP: "10.96.0.42" } };
}
