import type { NamespaceRole, Names } from "../names.ts";
import type { Storage } from "../storage/index.ts";

/** A level of Kubernetes' pod security standards. */
export type PodSecurity = "privileged" | "baseline" | "restricted";

export interface NamespacePlan {
  readonly namespaceRole: NamespaceRole;
  readonly namespace: string;
  /** Enforced level: Harbor's pods run as root in the task container, LiteLLM's need nothing. */
  readonly podSecurity: PodSecurity;
  /** Whether the namespace outlives the stack, since it holds claims that do. */
  readonly retained: boolean;
}

export interface Namespaces {
  readonly train: NamespacePlan;
  /** undefined where nothing would live in it: proxy mode `in_process`. */
  readonly proxy: NamespacePlan | undefined;
  readonly sandbox: NamespacePlan;
}

export function planNamespaces(
  { namespaces }: Names,
  parts: {
    storage: Storage;
    proxy: { mode: "litellm" | "in_process" };
    sandboxSecurity: PodSecurity;
  },
): Namespaces {
  const { volumes } = parts.storage;
  const plan = (namespaceRole: NamespaceRole, podSecurity: PodSecurity): NamespacePlan => ({
    namespaceRole,
    namespace: namespaces[namespaceRole],
    podSecurity,
    retained: namespaceRole === "train" && volumes.some(({ removal }) => removal === "retain"),
  });
  return {
    train: plan("train", "baseline"),
    proxy: parts.proxy.mode === "litellm" ? plan("proxy", "restricted") : undefined,
    sandbox: plan("sandbox", parts.sandboxSecurity),
  };
}
