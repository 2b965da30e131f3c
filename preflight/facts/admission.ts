/** Whether the cluster's own admission would take what the stack makes: asked by dry runs, which leave nothing behind. */
import type {
  V1MutatingWebhookConfiguration,
  V1ValidatingAdmissionPolicy,
} from "@kubernetes/client-node";
import type { Plan } from "../../plan/plan.ts";
import type { Fact } from "./fact.ts";
import { ApiError, type Client, read } from "./client.ts";
import type { NamespaceFact } from "./namespaces.ts";

export interface AdmissionFact {
  /** What would be refused, in the words of the API server. */
  readonly refused: readonly { readonly what: string; readonly message: string }[];
  /** What was not refused. */
  readonly accepted: readonly string[];
  /** What could not be tried. */
  readonly untried: readonly string[];
  /** Webhooks and policies of others that look at pods. */
  readonly watchers: readonly string[];
}

const registration = "/apis/admissionregistration.k8s.io/v1";

/** Refusals that other rules report: missing rights, quota, and what is there already. */
const others = /cannot \w+ resource|exceeded quota|already exists/;

export function readAdmission(
  client: Client,
  namespaces: Promise<Fact<readonly NamespaceFact[]>>,
  plan: Plan,
): Promise<Fact<AdmissionFact>> {
  return read(async () => {
    const [known, watchers] = await Promise.all([namespaces, readWatchers(client)]);
    if (!known.known) throw new Error(known.reason);
    const isThere = (name: string) => known.value.some((namespace) => namespace.name === name);
    const refused: { what: string; message: string }[] = [];
    const accepted: string[] = [];
    const untried: string[] = [];
    const attempt = async (what: string, path: string, object: object) => {
      const answer = await dryRun(client, path, object);
      if (answer === undefined) accepted.push(what);
      else if (others.test(answer)) untried.push(what);
      else refused.push({ what, message: answer });
    };
    const { train: training, proxy, sandbox } = plan.namespaces;
    const wanted = [training, ...(proxy ? [proxy] : []), sandbox];
    await Promise.all(
      wanted
        .filter(({ namespace }) => !isThere(namespace))
        .map(({ namespace }) =>
          attempt(`namespace ${namespace}`, "/api/v1/namespaces", namespaceOf(namespace, plan)),
        ),
    );
    const { train } = plan.names.namespaces;
    const pod = `Ray's pods in ${train}`;
    if (isThere(train)) await attempt(pod, `/api/v1/namespaces/${train}/pods`, headPod(plan));
    else untried.push(pod);
    return { refused, accepted, untried, watchers };
  });
}

/** undefined if the API server would take the object, else why not. */
async function dryRun(client: Client, path: string, object: object): Promise<string | undefined> {
  try {
    await client.post(path, object, { query: { dryRun: "All" } });
    return undefined;
  } catch (error) {
    if (error instanceof ApiError) return error.message;
    throw error;
  }
}

function namespaceOf(name: string, { labels }: Plan): object {
  return { apiVersion: "v1", kind: "Namespace", metadata: { name, labels } };
}

/** The head without its volumes and its account, which are not there yet. */
function headPod({ labels, ray }: Plan): object {
  const { image, head } = ray;
  const memory = String(head.memoryBytes);
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { generateName: "preflight-", labels: { ...labels } },
    spec: {
      automountServiceAccountToken: false,
      securityContext: { seccompProfile: { type: "RuntimeDefault" } },
      containers: [
        {
          name: "ray-head",
          image,
          securityContext: { allowPrivilegeEscalation: false },
          resources: { requests: { cpu: String(head.cpus), memory }, limits: { memory } },
        },
      ],
    },
  };
}

interface Rule {
  readonly apiGroups?: readonly string[] | undefined;
  readonly resources?: readonly string[] | undefined;
}

async function readWatchers(client: Client): Promise<string[]> {
  const [validating, mutating, policies] = await Promise.all([
    client.list<V1MutatingWebhookConfiguration>(`${registration}/validatingwebhookconfigurations`),
    client.list<V1MutatingWebhookConfiguration>(`${registration}/mutatingwebhookconfigurations`),
    client.list<V1ValidatingAdmissionPolicy>(`${registration}/validatingadmissionpolicies`),
  ]);
  const isOurs = (labels: Readonly<Record<string, string>> = {}) => "swe-rl.dev/stack" in labels;
  return [
    ...[...validating, ...mutating]
      .filter(({ webhooks = [] }) =>
        webhooks.some(({ rules = [] }) => rules.some((rule) => looksAtPods(rule))),
      )
      .map(({ metadata }) => `webhook ${metadata?.name ?? ""}`),
    ...policies
      .filter(({ metadata }) => !isOurs(metadata?.labels))
      .filter(({ spec }) => spec?.matchConstraints?.resourceRules?.some(looksAtPods))
      .map(({ metadata }) => `policy ${metadata?.name ?? ""}`),
  ];
}

function looksAtPods({ apiGroups = [], resources = [] }: Rule): boolean {
  return (
    apiGroups.some((group) => group === "" || group === "*") &&
    resources.some((resource) => ["pods", "*", "*/*", "pods/*"].includes(resource))
  );
}
