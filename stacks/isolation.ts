/** What shows that the sandboxes are closed: listeners to knock on, the gate of every sandbox, and the proof. */
import * as pulumi from "@pulumi/pulumi";
import { entryGate, gateTargets } from "../components/sandbox/entry-gate.ts";
import { EgressProof } from "../components/sandbox/egress-proof.ts";
import { SandboxAdmission } from "../components/sandbox/sandbox-admission.ts";
import { ProofListener } from "../components/sandbox/proof-listener.ts";
import { exceptAccepted, type ListenerPlan } from "../plan/network/index.ts";
import type { Plan } from "../plan/plan.ts";
import type { Cluster } from "./cluster.ts";
import type { Foundation } from "./foundation.ts";

export interface Closed {
  /** What must be there before training. */
  readonly before: readonly pulumi.Resource[];
  /** The verdict, or why there is none. */
  readonly isolation: pulumi.Output<string>;
}

export function closeSandboxes(
  plan: Plan,
  cluster: Cluster,
  { foundation, proxyUrl }: { foundation: Foundation; proxyUrl?: pulumi.Output<string> },
): Closed {
  const { labels, names, isolation } = plan;
  const { provider, sandbox, secrets } = foundation;
  const listen = (name: string, listener: ListenerPlan) => {
    const compartment = foundation[listener.compartment];
    if (!compartment) throw new Error(`the Plan has a listener in ${listener.compartment}`);
    return new ProofListener(
      name,
      {
        labels,
        object: name,
        listener,
        requests: isolation.listenerRequests,
        image: isolation.image,
        namespace: compartment.namespace,
        sandboxNamespace: sandbox.namespace,
        nodes: plan.ray.head,
        pullSecret: secrets.pull[listener.compartment],
      },
      { provider, dependsOn: [compartment] },
    );
  };
  const door = listen(names.allowedTarget, isolation.door);
  const ray = listen(names.decoy, isolation.standIn);
  const targets = gateTargets(isolation, door.addresses, proxyUrl);
  const gate = targets.apply((all) => entryGate(isolation.gate, all));
  const admission = new SandboxAdmission(
    "sandbox-admission",
    {
      labels,
      admission: plan.admission,
      sandboxes: plan.sandboxes,
      object: names.sandboxAdmission,
      namespace: sandbox.namespace,
      gate,
    },
    { provider },
  );
  if (cluster.unproven !== undefined) {
    return { before: [door, admission], isolation: pulumi.output(cluster.unproven) };
  }
  const proof = new EgressProof(
    names.egressProof,
    {
      labels,
      object: names.egressProof,
      isolation,
      network: cluster.network,
      namespace: sandbox.namespace,
      nodes: plan.sandboxes,
      // The proxy serves only after training has begun; the door stands for it.
      gate: gateTargets(isolation, door.addresses, undefined),
      door: door.addresses,
      ray: ray.addresses,
    },
    {
      provider,
      dependsOn: [...foundation.beforeTraining, door, ray, admission],
      deletedWith: sandbox.resource,
    },
  );
  return {
    before: [door, admission, proof],
    isolation: pulumi.interpolate`proven at ${proof.provenAt}: a sandbox pod reached the proxy and none of ${isolation.targets.length} targets${exceptAccepted(isolation)}; the verdict: kubectl -n ${sandbox.namespace} logs job/${names.egressProof}`,
  };
}
