import type { V1DaemonSet } from "@kubernetes/client-node";
import type { Fact } from "./fact.ts";
import { type Client, read } from "./client.ts";

/** A network agent that runs on every node, and what is known of it. */
export interface AgentFact {
  readonly daemonSet: string;
  readonly product: string;
  /** Whether it enforces NetworkPolicy as it is configured; undefined where the cluster does not show it. */
  readonly enforces: boolean | undefined;
  /** How long a new pod is unfiltered, where it was measured. */
  readonly late?: string | undefined;
}

interface Product {
  readonly product: string;
  /** Of a DaemonSet. */
  readonly names: RegExp;
  readonly enforces: boolean | ((daemonSet: V1DaemonSet) => boolean | undefined);
  readonly late?: string | ((daemonSet: V1DaemonSet) => string | undefined);
}

/** Networks by the DaemonSets that carry them. A product that is not listed is unknown, never fine. */
const products: readonly Product[] = [
  { product: "Calico", names: /^(calico-node|canal)$/, enforces: true },
  {
    product: "Cilium",
    names: /^(cilium|anetd)$/,
    enforces: true,
  },
  { product: "Antrea", names: /^antrea-agent$/, enforces: true, late: "reported in antrea#197" },
  {
    product: "kube-router",
    names: /^kube-router$/,
    enforces: (set) => !argumentsOf(set).includes("--run-firewall=false"),
    late: "0.2 to 1.2 s measured",
  },
  { product: "Weave Net", names: /^weave-net$/, enforces: true },
  { product: "OVN-Kubernetes", names: /^ovnkube-node$/, enforces: true },
  { product: "kube-network-policies", names: /^kube-network-policies$/, enforces: true },
  { product: "Azure Network Policy Manager", names: /^azure-npm$/, enforces: true },
  {
    product: "Amazon VPC CNI",
    names: /^aws-node$/,
    // Off unless asked for, by an argument of its agent.
    enforces: (set) => argumentsOf(set).includes("--enable-network-policy=true"),
    late: (set) =>
      environmentOf(set, "NETWORK_POLICY_ENFORCING_MODE") === "strict"
        ? undefined
        : "1 to 2 s and more in standard mode (aws-network-policy-agent#83)",
  },
  // kind's own network enforces in newer versions only, and its image does not tell which it is.
  { product: "kindnet", names: /^kindnet$/, enforces: () => undefined },
  { product: "flannel", names: /^(kube-)?flannel(-ds.*)?$/, enforces: false },
];

/** The network agents among the DaemonSets of all namespaces. */
export function readNetworkAgents(client: Client): Promise<Fact<readonly AgentFact[]>> {
  return read(async () => {
    const sets = await client.list<V1DaemonSet>("/apis/apps/v1/daemonsets");
    return sets.flatMap((set) => {
      const name = set.metadata?.name ?? "";
      const found = products.find(({ names }) => names.test(name));
      if (!found) return [];
      const { product, enforces, late } = found;
      return [
        {
          daemonSet: `${set.metadata?.namespace ?? ""}/${name}`,
          product,
          enforces: typeof enforces === "function" ? enforces(set) : enforces,
          late: typeof late === "function" ? late(set) : late,
        },
      ];
    });
  });
}

function containersOf({ spec }: V1DaemonSet) {
  return spec?.template.spec?.containers ?? [];
}

function argumentsOf(set: V1DaemonSet): string[] {
  return containersOf(set).flatMap(({ command = [], args = [] }) => [...command, ...args]);
}

function environmentOf(set: V1DaemonSet, name: string): string | undefined {
  return containersOf(set)
    .flatMap(({ env = [] }) => env)
    .find((variable) => variable.name === name)?.value;
}
