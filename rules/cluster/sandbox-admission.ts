/** Whether the API server can complete sandboxes, and run them as their profile says. */
import { broken, type Finding, met, unknown } from "../finding.ts";
import type { Rule } from "./rule.ts";

/** What Harbor's pods must carry by themselves where nothing completes them. */
const bringYourself =
  "Harbor's pods must bring the entry gate as their first init container, the node selector and tolerations of the site, activeDeadlineSeconds, restartPolicy Never and the label harbor-run; docs/sandboxes.md has the rules. If yours do, waive this rule and say so";

export const mutatingAdmission: Rule = ({ plan, facts: { features } }) => {
  const id = "mutating-admission";
  const { mutation } = plan.admission;
  const path = ["site", "cluster", "mutating_admission"];
  if (mutation === "none") {
    return [broken(id, { found: "none: nothing completes them", remedy: bringYourself, path })];
  }
  if (!features.known) return [unknown(id, features.reason)];
  const { mutatingAdmissionPolicy: served } = features.value;
  if (served.includes(mutation)) return [met(id, `MutatingAdmissionPolicy ${mutation}`)];
  const found =
    served.length > 0
      ? `it serves only ${served.join(", ")}`
      : "it serves no MutatingAdmissionPolicy";
  return [broken(id, { found: `${mutation} is wanted; ${found}`, path })];
};

/** Only for the profiles that need more than every cluster has. */
export const runtimeClass: Rule = ({ plan, facts: { runtimeClasses, features } }) => {
  const id = "runtime-class";
  const { profile, runtimeClass: name } = plan.admission;
  if (name !== undefined) return [classThere(name, profile, runtimeClasses)];
  if (profile !== "user_namespaces") return [];
  if (!features.known) return [unknown(id, features.reason)];
  if (features.value.userNamespaces) return [met(id, "user namespaces")];
  return [
    broken(id, {
      found: `Kubernetes 1.${features.value.minor}, which has user namespaces off`,
      remedy: "Kubernetes 1.33 or newer, or another sandbox.profile",
    }),
  ];
};

function classThere(
  name: string,
  profile: string,
  classes: Parameters<Rule>[0]["facts"]["runtimeClasses"],
): Finding {
  const id = "runtime-class";
  const expected = `RuntimeClass ${name}, which sandbox.profile ${profile} needs`;
  if (!classes.known) return unknown(id, classes.reason, expected);
  if (classes.value.includes(name)) return met(id, `RuntimeClass ${name}`);
  return broken(id, { found: `only ${classes.value.join(", ") || "none"}`, expected });
}
