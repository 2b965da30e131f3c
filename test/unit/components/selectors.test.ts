import { describe, expect, it } from "vitest";
import type { Settings } from "../../../config/load/load.ts";
import { tiers } from "../../../config/schema/experiment.ts";
import { resourcesOf } from "../../../plan/resources/index.ts";
import { karpenterSite } from "../../support/karpenter.ts";
import { objectsPlanned } from "../../support/made.ts";
import { podsOf, selectionsOf, selects } from "../../support/selection.ts";
import { settingsWith } from "../../support/settings.ts";
import { recordSettings } from "../../support/tier.ts";
import { judge, tryIt } from "../../support/variants/settings.ts";

const secrets = { wandbApiKey: "w", registryCredentials: "{}" };
const everything = [
  "sandbox: { prepull: { enabled: true } }",
  "serving:",
  "  - { name: judge, model_path: /models/x, gpus: 2, replicas: 2 }",
  "  - { name: critic, model_path: /models/y, gpus: 2 }",
].join("\n");

/** Settings on a site that demands the proof, with every optional feature of Kubernetes' own. */
function given(base: string, yaml: string): Settings {
  const { settings } = settingsWith(yaml, { base, secrets: new Set(Object.keys(secrets)) });
  const { isolation } = settings.site;
  return {
    ...settings,
    site: { ...settings.site, isolation: { ...isolation, require_proof: true } },
  };
}

/** Every tier with either distribution of verl, in each mode of the proxy that it admits, bare and with all that is optional. */
const shipped = tiers
  .flatMap((tier) => [tier, `${tier}-stock`])
  .flatMap((base) =>
    ["litellm", "in_process"].flatMap((mode) =>
      ["", everything].flatMap((more) => {
        const settings = given(base, `${more}\nproxy: { mode: ${mode} }`);
        const what = `${base}, ${mode}${more === "" ? "" : ", everything"}`;
        return "plan" in tryIt(settings) ? [{ what, settings }] : [];
      }),
    ),
  );

/** One variant of the settings for each further list of objects. */
function variants(base: string, yaml: string) {
  const seen = new Set<string>();
  return judge(given(base, yaml)).accepted.flatMap(({ path, value, plan, settings }) => {
    const list = objectsPlanned(resourcesOf(plan).objects).join();
    if (seen.has(list)) return [];
    seen.add(list);
    return [{ what: `${base}, ${path}: ${JSON.stringify(value)}`, settings }];
  });
}

const karpenter = { ...given("single-node", everything), site: karpenterSite() };

const cases = [
  ...shipped,
  ...variants("single-node", everything),
  ...variants("two-node", everything),
  { what: "Karpenter", settings: karpenter },
];

describe("selectors", () => {
  it("are looked at in every kind of stack", () => {
    const whats = cases.map(({ what }) => what).join("; ");
    for (const part of [
      "single-node, litellm",
      "single-node, in_process",
      "two-node, in_process",
      "three-node, litellm",
      "everything",
    ]) {
      expect(whats).toContain(part);
    }
  });

  it.each(cases)("choose the pods of one object and no others: $what", async ({ settings }) => {
    const { recording, plan } = await recordSettings(settings, { secrets: { ...secrets } });
    const pods = podsOf(recording, plan);
    const selections = selectionsOf(recording);
    for (const selection of selections) {
      const chosen = pods.filter((one) => selects(selection, one)).map(({ owner }) => owner);
      expect({ ...selection, chosen: [...new Set(chosen)] }).toEqual({
        ...selection,
        chosen: [selection.owner],
      });
    }
    // The controller gives a Job's pods a label that no others have, unless the Job brings a selector.
    const jobs = recording.objects("Job").map(({ spec }) => spec as object);
    expect(jobs.filter((job) => "selector" in job || "manualSelector" in job)).toEqual([]);
    const kinds = new Set(selections.map(({ what }) => what.split(" ")[0]));
    expect(kinds).toContain("Deployment");
    expect(kinds).toContain("Service");
    expect(kinds).toContain("PodDisruptionBudget");
    expect(kinds).toContain("NetworkPolicy");
  });
});
