import { claimKey } from "../../plan/nodes/index.ts";
import { claimOf } from "../../preflight/facts/placement.ts";
import { defineClusterRule, met, notRead, type Verdict } from "../rule.ts";

/** Claimed nodes are there, are not another stack's, and have no taint but ours. */
export const gpuNodeClaim = defineClusterRule({
  id: "gpu-node-claim",
  standsOn: ["names", "gpu pods"],
  title: "claimed nodes are there, claimed by no other stack, and without other taints",
  severity: "fatal",
  consequence: "two runs would take the same GPUs, or the claim would be refused",
  remedy: "correct gpu_nodes.claim in the site file: kubectl get nodes",
  source: "docs/decisions.md#c-04",
  check: ({ plan, facts: { nodes } }) => {
    const { nodeClaim: claim, names } = plan;
    if (!claim) return [];
    const expected = `nodes ${claim.nodes.join(", ")}, claimed by no other stack and without other taints`;
    if (!nodes.known) return [notRead(nodes.reason, expected)];
    const refuse = (found: string, consequence: string, remedy: string): Verdict[] => [
      { found, expected, consequence, remedy },
    ];
    const findings = claim.nodes.flatMap((name): Verdict[] => {
      const node = nodes.value.find((candidate) => candidate.name === name);
      if (!node) {
        return refuse(
          `there is no node ${name}`,
          "it could not be reserved",
          "correct gpu_nodes.claim in the site file: kubectl get nodes",
        );
      }
      const owner = claimOf(node);
      if (owner !== undefined && owner !== names.stack) {
        return refuse(
          `node ${name} is claimed by stack ${owner}`,
          "two runs would take the same GPUs",
          `name another node in gpu_nodes.claim of the site file, or end the other run: pulumi destroy -s ${owner}`,
        );
      }
      const foreign = node.taints.filter(({ key }) => key !== claimKey);
      if (foreign.length > 0) {
        return refuse(
          `node ${name} has the taint ${foreign.map(({ key }) => key).join(", ")}`,
          "the API server would refuse the claim: a node's taints have one owner",
          `kubectl taint nodes ${name} ${foreign.map(({ key }) => `${key}-`).join(" ")}; or leave gpu_nodes.claim out, and tolerate the taint`,
        );
      }
      return [];
    });
    return findings.length > 0 ? findings : [met(claim.nodes.join(", "))];
  },
});
