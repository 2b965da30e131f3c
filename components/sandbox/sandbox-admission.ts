import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import { namespaceName } from "../../plan/network/index.ts";
import type { Admission, Sandboxes } from "../../plan/sandbox/index.ts";
import { type Labels, deletedInBackground } from "../metadata.ts";
import { type Gate, gateRule } from "./admission/gate.ts";
import { sandboxPatches } from "./admission/mutation.ts";

export interface SandboxAdmissionArgs {
  admission: Admission;
  sandboxes: Sandboxes;
  /** Name of the cluster-wide objects. */
  object: string;
  namespace: pulumi.Input<string>;
  /** The entry gate's container, whole. */
  gate: pulumi.OutputInstance<Gate>;
  labels: Labels;
}

type Constraints = k8s.types.input.admissionregistration.v1.MatchResources;

/**
 * What the API server completes and refuses in the sandbox namespace. Harbor makes its pods while the run goes on, and
 * Pulumi never sees them. The objects belong to the whole cluster, and bind one namespace.
 */
export class SandboxAdmission extends pulumi.ComponentResource {
  public readonly policy: k8s.admissionregistration.v1.ValidatingAdmissionPolicy;
  /** Adds what Harbor's pods leave out; undefined where the cluster has no mutating policies. */
  public readonly completion: k8s.apiextensions.CustomResource | undefined;

  constructor(name: string, args: SandboxAdmissionArgs, opts?: pulumi.ComponentResourceOptions) {
    super("swe-rl:sandbox:SandboxAdmission", name, args, opts);
    const { admission, object } = args;
    const metadata = deletedInBackground(
      { labels: args.labels, app: "sandbox-admission", component: "sandbox" },
      object,
    );
    const rules = args.gate.apply((gate) => [...admission.rules, gateRule(gate)]);
    this.policy = new k8s.admissionregistration.v1.ValidatingAdmissionPolicy(
      `${name}-policy`,
      {
        metadata,
        spec: {
          failurePolicy: "Fail",
          matchConstraints: podsOf(args.namespace, [
            { resources: ["pods"], operations: ["CREATE"] },
            { resources: ["pods/ephemeralcontainers"], operations: ["UPDATE"] },
          ]),
          variables: admission.variables.map((variable) => ({ ...variable })),
          validations: rules.apply((all) =>
            all.map(({ expression, message, messageExpression }) => ({
              expression,
              message,
              reason: "Forbidden",
              ...(messageExpression === undefined ? {} : { messageExpression }),
            })),
          ),
        },
      },
      { parent: this },
    );
    new k8s.admissionregistration.v1.ValidatingAdmissionPolicyBinding(
      `${name}-binding`,
      {
        metadata,
        spec: {
          policyName: this.policy.metadata.name,
          validationActions: ["Deny"],
          matchResources: { namespaceSelector: only(args.namespace) },
        },
      },
      { parent: this },
    );
    this.completion =
      admission.mutation === "none" ? undefined : this.#complete(name, admission.mutation, args);
    this.registerOutputs({ policy: this.policy.metadata.name });
  }

  #complete(
    name: string,
    version: "v1" | "v1beta1",
    args: SandboxAdmissionArgs,
  ): k8s.apiextensions.CustomResource {
    const { admission, sandboxes, object, labels } = args;
    const metadata = deletedInBackground(
      { labels, app: "sandbox-admission", component: "sandbox" },
      object,
    );
    // The SDK has no class of v1 yet; fields and kind are the same.
    const apiVersion = `admissionregistration.k8s.io/${version}`;
    const expression = args.gate.apply((gate) =>
      sandboxPatches({ admission, sandboxes, labels, gate }),
    );
    const completion = new k8s.apiextensions.CustomResource(
      `${name}-completion`,
      {
        apiVersion,
        kind: "MutatingAdmissionPolicy",
        metadata,
        spec: {
          failurePolicy: "Fail",
          reinvocationPolicy: "Never",
          matchConstraints: podsOf(args.namespace, [
            { resources: ["pods"], operations: ["CREATE"] },
          ]),
          matchConditions: [
            {
              name: "by-trainer",
              expression: `request.userInfo.username == "${admission.creator}"`,
            },
          ],
          mutations: [{ patchType: "JSONPatch", jsonPatch: { expression } }],
        },
      },
      { parent: this },
    );
    new k8s.apiextensions.CustomResource(
      `${name}-completion-binding`,
      {
        apiVersion,
        kind: "MutatingAdmissionPolicyBinding",
        metadata,
        spec: {
          policyName: object,
          matchResources: { namespaceSelector: only(args.namespace) },
        },
      },
      { parent: this },
    );
    return completion;
  }
}

function only(namespace: pulumi.Input<string>) {
  return { matchLabels: { [namespaceName]: namespace } };
}

function podsOf(
  namespace: pulumi.Input<string>,
  rules: readonly { resources: string[]; operations: string[] }[],
): Constraints {
  return {
    matchPolicy: "Equivalent",
    namespaceSelector: only(namespace),
    resourceRules: rules.map((rule) => ({ apiGroups: [""], apiVersions: ["v1"], ...rule })),
  };
}
