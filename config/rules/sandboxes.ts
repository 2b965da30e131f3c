import type { RuleText } from "./rule.ts";

/** Rules about the sandboxes' isolation. */
export const sandboxRules = {
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
} as const satisfies Record<string, RuleText>;
