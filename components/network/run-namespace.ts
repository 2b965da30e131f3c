import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import {
  type NamespacePlan,
  type PodSecurity,
  type Flow,
  policiesOf,
} from "../../plan/network/index.ts";
import type { Names } from "../../plan/names.ts";
import { type Labels, labelsOf, deletedInBackground } from "../metadata.ts";
import { egressRule, ingressRule, selectorOf } from "./network-rules.ts";

export interface RunNamespaceArgs {
  plan: NamespacePlan;
  names: Pick<Names, "namespaces" | "defaultDeny">;
  /** Every flow of the stack; those that begin or end here become policies. */
  flows: readonly Flow[];
  labels: Labels;
  /** Provider that adopts a namespace retained by an earlier destroy. */
  adoptWith: k8s.Provider;
}

/** A namespace that denies all traffic but the flows that the Plan lists. */
export class RunNamespace extends pulumi.ComponentResource {
  /** Name of the namespace, known once it exists. */
  public readonly namespace: pulumi.Output<string>;
  /** The namespace itself, for options such as `deletedWith`. */
  public readonly resource: k8s.core.v1.Namespace;

  constructor(name: string, args: RunNamespaceArgs, opts?: pulumi.ComponentResourceOptions) {
    // Until 0.1 this was a Compartment: without the alias an update would replace the namespace with all that it holds.
    const aliases = [{ type: "swe-rl:isolation:Compartment" }];
    super("swe-rl:network:RunNamespace", name, args, pulumi.mergeOptions(opts, { aliases }));
    const { namespaceRole, podSecurity, retained } = args.plan;
    const identity = { labels: args.labels, app: "namespace", component: namespaceRole };
    const namespace = new k8s.core.v1.Namespace(
      name,
      {
        metadata: {
          name: args.plan.namespace,
          labels: { ...labelsOf(identity), ...podSecurityLabels(podSecurity) },
        },
      },
      {
        parent: this,
        // Kubernetes deletes a kept claim together with its namespace, so both are kept.
        ...(retained ? { provider: args.adoptWith, retainOnDelete: true } : {}),
      },
    );
    this.resource = namespace;
    this.namespace = namespace.metadata.name;
    // Where the namespace goes, its leaves go with it; where it stays, each is deleted by itself.
    const options = { parent: this, ...(retained ? {} : { deletedWith: namespace }) };
    const policyIdentity = { ...identity, app: "network-policy", namespace: this.namespace };

    new k8s.networking.v1.NetworkPolicy(
      `${name}-default-deny`,
      {
        metadata: deletedInBackground(policyIdentity, args.names.defaultDeny),
        spec: { podSelector: {}, policyTypes: ["Ingress", "Egress"] },
      },
      options,
    );
    for (const flow of args.flows) {
      for (const end of policiesOf(flow, namespaceRole)) {
        const { enters, leaves } = end;
        new k8s.networking.v1.NetworkPolicy(
          `${name}-${end.name}`,
          {
            metadata: deletedInBackground(policyIdentity, end.name, {
              annotations: { "swe-rl.dev/reason": flow.reason },
            }),
            spec: {
              podSelector: selectorOf(end.peer),
              policyTypes: [...(enters ? ["Ingress"] : []), ...(leaves ? ["Egress"] : [])],
              ...(enters ? { ingress: [ingressRule(flow, args.names.namespaces)] } : {}),
              ...(leaves ? { egress: [egressRule(flow, args.names.namespaces)] } : {}),
            },
          },
          options,
        );
      }
    }
    this.registerOutputs({ namespace: this.namespace });
  }
}

function podSecurityLabels(enforce: PodSecurity): Record<string, string> {
  return {
    "pod-security.kubernetes.io/enforce": enforce,
    "pod-security.kubernetes.io/warn": "restricted",
    "pod-security.kubernetes.io/audit": "restricted",
  };
}
