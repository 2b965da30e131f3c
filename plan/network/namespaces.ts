import type { Compartment, Names } from "../names.ts";
import type { Storage } from "../storage/index.ts";

/** A level of Kubernetes' pod security standards. */
export type PodSecurity = "privileged" | "baseline" | "restricted";

export interface CompartmentPlan {
  readonly compartment: Compartment;
  readonly namespace: string;
  /** Enforced level: Harbor's pods run as root in the task container, LiteLLM's need nothing. */
  readonly podSecurity: PodSecurity;
  /** Whether the namespace outlives the stack, since it holds claims that do. */
  readonly retained: boolean;
}

export interface Compartments {
  readonly train: CompartmentPlan;
  /** undefined where nothing would live in it: proxy mode `in_process`. */
  readonly proxy: CompartmentPlan | undefined;
  readonly sandbox: CompartmentPlan;
}

export function planCompartments(
  { namespaces }: Names,
  parts: {
    storage: Storage;
    proxy: { mode: "litellm" | "in_process" };
    sandboxSecurity: PodSecurity;
  },
): Compartments {
  const { volumes } = parts.storage;
  const plan = (compartment: Compartment, podSecurity: PodSecurity): CompartmentPlan => ({
    compartment,
    namespace: namespaces[compartment],
    podSecurity,
    retained: compartment === "train" && volumes.some(({ removal }) => removal === "retain"),
  });
  return {
    train: plan("train", "baseline"),
    proxy: parts.proxy.mode === "litellm" ? plan("proxy", "restricted") : undefined,
    sandbox: plan("sandbox", parts.sandboxSecurity),
  };
}
