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
