/** Whether the API server can complete sandboxes, and run them as their profile says. */
import type { Facts } from "../../preflight/facts/facts.ts";
import { defineClusterRule, met, notRead, type Verdict } from "../rule.ts";

/** What Harbor's pods must carry by themselves where nothing completes them. */
const bringYourself =
  "Harbor's pods must bring the entry gate as their first init container, the node selector and tolerations of the site, activeDeadlineSeconds, restartPolicy Never and the label harbor-run; docs/sandboxes.md has the rules. If yours do, waive this rule and say so";

export const mutatingAdmission = defineClusterRule({
  id: "mutating-admission",
  title: "the API server completes Harbor's pods as the site says (cluster.mutating_admission)",
  severity: "fatal",
  consequence:
    "every sandbox would be refused: it lacks the entry gate, the nodes, the deadline or the labels that admission demands",
  remedy:
    "set cluster.mutating_admission to a version that is served, or have the API server serve it (feature gate MutatingAdmissionPolicy and, before Kubernetes 1.36, --runtime-config=admissionregistration.k8s.io/v1beta1=true)",
  source: "docs/sandboxes.md",
  check: ({ plan, facts: { features } }) => {
    const { mutation } = plan.admission;
    const path = ["site", "cluster", "mutating_admission"];
    if (mutation === "none") {
      return [{ found: "none: nothing completes them", remedy: bringYourself, path }];
    }
    if (!features.known) return [notRead(features.reason)];
    const { mutatingAdmissionPolicy: served } = features.value;
    if (served.includes(mutation)) return [met(`MutatingAdmissionPolicy ${mutation}`)];
    const found =
      served.length > 0
        ? `it serves only ${served.join(", ")}`
        : "it serves no MutatingAdmissionPolicy";
    return [{ found: `${mutation} is wanted; ${found}`, path }];
  },
});

/** Only for the profiles that need more than every cluster has. */
export const runtimeClass = defineClusterRule({
  id: "runtime-class",
  title: "the RuntimeClass and the features that the sandbox profile needs",
  severity: "fatal",
  consequence: "the API server refuses every sandbox, or runs it without what the profile is for",
  remedy:
    "install the runtime on the sandbox nodes and create its RuntimeClass, or name it in sandbox_nodes.runtime_classes of the site file: kubectl get runtimeclasses",
  source: "docs/sandboxes.md",
  check: ({ plan, facts: { runtimeClasses, features } }) => {
    const { profile, runtimeClass: name } = plan.admission;
    if (name !== undefined) return [classThere(name, profile, runtimeClasses)];
    if (profile !== "user_namespaces") return [];
    if (!features.known) return [notRead(features.reason)];
    if (features.value.userNamespaces) return [met("user namespaces")];
    return [
      {
        found: `Kubernetes 1.${features.value.minor}, which has user namespaces off`,
        remedy: "Kubernetes 1.33 or newer, or another sandbox.profile",
      },
    ];
  },
});

function classThere(name: string, profile: string, classes: Facts["runtimeClasses"]): Verdict {
  const expected = `RuntimeClass ${name}, which sandbox.profile ${profile} needs`;
  if (!classes.known) return notRead(classes.reason, expected);
  if (classes.value.includes(name)) return met(`RuntimeClass ${name}`);
  return { found: `only ${classes.value.join(", ") || "none"}`, expected };
}
