import type { RuleText } from "./text.ts";

/** Rules about the isolation of the sandboxes. */
export const sandboxRules = {
  "accepted-target": {
    title: "holes that the site accepts are targets of the egress proof",
    severity: "fatal",
    consequence: "a misspelt name would accept nothing, or seem to",
    remedy: "write the name as the proof's verdict does",
    source: "docs/isolation.md",
    checkedBy: "plan",
  },
  "egress-proof": {
    title: "a pod shows that sandboxes reach the proxy and nothing else, before training starts",
    severity: "fatal",
    consequence:
      "code that a model wrote would run where nobody knows what it can reach: the internet, the API server, Ray's job API",
    remedy:
      "run on real nodes; or write isolation: { require_proof: false } into the site file, and the stack says that it is unproven",
    source: "practice 5.2: enforcement is proven, not declared",
    checkedBy: "preflight",
  },
  "C-29": {
    title: "an image of the in-pod firewall where the sandbox profile has it",
    severity: "fatal",
    consequence: "Harbor raises for every pod",
    remedy: "name harbor.netadmin_image in the site file, or leave sandbox.profile at standard",
    source: "C-29",
    checkedBy: "plan",
  },
  "sandbox-profile": {
    title: "sandboxes without capabilities beyond the container runtime's own",
    severity: "warn",
    consequence: "whoever takes over the firewall's container commands the pod's network",
    remedy: "leave sandbox.profile at standard",
    source: "Kubernetes pod security standards, practice 5.1",
    checkedBy: "plan",
  },
  "mutating-admission": {
    title: "the API server completes Harbor's pods as the site says (cluster.mutating_admission)",
    severity: "fatal",
    consequence:
      "every sandbox would be refused: it lacks the entry gate, the nodes, the deadline or the labels that admission demands",
    remedy:
      "set cluster.mutating_admission to a version that is served, or have the API server serve it (feature gate MutatingAdmissionPolicy and, before Kubernetes 1.36, --runtime-config=admissionregistration.k8s.io/v1beta1=true)",
    source: "practice 5.1: Harbor creates pods at run time, so only admission can bind them",
    checkedBy: "preflight",
  },
  "runtime-class": {
    title: "the RuntimeClass and the features that the sandbox profile needs",
    severity: "fatal",
    consequence: "the API server refuses every sandbox, or runs it without what the profile is for",
    remedy:
      "install the runtime on the sandbox nodes and create its RuntimeClass, or name it in sandbox_nodes.runtime_classes of the site file: kubectl get runtimeclasses",
    source: "practice 5.1",
    checkedBy: "preflight",
  },
} as const satisfies Record<string, RuleText>;
