import type { Compartment, Names } from "./names.ts";
import type { Storage } from "./storage.ts";

/** A level of Kubernetes' pod security standards. */
export type PodSecurity = "baseline" | "restricted";

export interface CompartmentPlan {
  readonly compartment: Compartment;
  readonly namespace: string;
  /** Enforced level: Harbor's pods run as root in the task container, LiteLLM's need nothing. */
  readonly podSecurity: PodSecurity;
  /** Whether the namespace outlives the stack, since it holds claims that do. */
  readonly retained: boolean;
}

export type Compartments = Readonly<Record<Compartment, CompartmentPlan>>;

export function planCompartments({ namespaces }: Names, { volumes }: Storage): Compartments {
  const plan = (compartment: Compartment, podSecurity: PodSecurity): CompartmentPlan => ({
    compartment,
    namespace: namespaces[compartment],
    podSecurity,
    retained: compartment === "train" && volumes.some(({ removal }) => removal === "retain"),
  });
  return {
    train: plan("train", "baseline"),
    proxy: plan("proxy", "restricted"),
    sandbox: plan("sandbox", "baseline"),
  };
}
