import { describe, expect, it } from "vitest";
import type { NodeFact } from "../../../preflight/facts/facts.ts";
import { isFatal } from "../../../preflight/evaluate.ts";
import type { Fact } from "../../../preflight/facts/fact.ts";
import { unproven } from "../../../preflight/unproven.ts";
import { egressProof } from "../../../rules/cluster/egress-proof.ts";
import { findingOf } from "../../../rules/finding.ts";
import type { Subject } from "../../../rules/rule.ts";
import { judge, settingsWith } from "../../support/settings.ts";

const node = (simulated: boolean) => ({ simulated }) as NodeFact;
const nodes = (...simulated: boolean[]): Fact<NodeFact[]> => ({
  known: true,
  value: simulated.map(node),
});
const unread: Fact<NodeFact[]> = { known: false, reason: "this user may not read it (403)" };

function findings(known: Fact<NodeFact[]>, requireProof: boolean) {
  const { settings: shipped } = settingsWith("");
  const isolation = { ...shipped.site.isolation, require_proof: requireProof };
  const settings = { ...shipped, site: { ...shipped.site, isolation } };
  const subject = { settings, plan: judge(settings).plan, facts: { nodes: known } };
  return Array.from(egressProof.check(subject as unknown as Subject), (verdict) =>
    findingOf(egressProof, verdict),
  );
}

describe("the demand for a proof", () => {
  it.each([
    [true, nodes(false, false), "ok"],
    [true, nodes(false, true), "fatal"],
    [true, nodes(true), "fatal"],
    [true, unread, "unknown"],
    [false, nodes(false), "warn"],
    [false, unread, undefined],
    [false, nodes(true), undefined],
  ])("required %s, nodes %j: %s", (required, known, severity) => {
    const [finding] = findings(known, required);
    expect(finding?.severity).toBe(severity);
    expect(finding ? isFatal(finding) : false).toBe(severity === "fatal");
  });

  it.each([
    [true, nodes(false), undefined],
    [true, nodes(false, true), "unproven: simulated nodes"],
    [false, nodes(true), "unproven: simulated nodes"],
    [false, nodes(false), "unproven: isolation.require_proof is false"],
    [true, unread, "unproven: the nodes could not be read"],
  ])("required %s, nodes %j is said to be: %s", (required, known, said) => {
    const told = unproven(required, known);
    if (said === undefined) expect(told).toBeUndefined();
    else expect(told).toContain(said);
  });
});
