import { describe, expect, it } from "vitest";
import { experimentNames, type Settings } from "../../../config/load/load.ts";
import { experiment } from "../../../config/schema/experiment.ts";
import { kubernetesSite } from "../../../config/schema/site.ts";
import type { RuleId } from "../../../rules/index.ts";
import { Random } from "../../support/fuzz/random.ts";
import { judge, projectRoot, settingsWith } from "../../support/settings.ts";
import { complete, overlay } from "../../support/variants/settings.ts";
import { variantsOf } from "../../support/variants/walk.ts";

/** Why a value that the schema admits is rightly refused where it meets the other settings. Each was looked at once. */
const right: Partial<Record<RuleId, string>> = {
  "C-01": "5 GPUs a server, and a model with 2 or 4 KV heads",
  "C-02": "5 GPUs a server of 8, or 4 of 9",
  "C-06": "the same port twice",
  "C-07": "a directory of trials beside the volume of trials",
  "C-11": "another number of nodes than the stack has",
  "C-12": "5 GPUs to a sequence of 8 or 16",
  "C-13": "shared sequences of a hybrid model on FSDP",
  "C-14": "VeOmni with the offload of activations that the dense example has",
  "C-15": "router replay of a dense model, beside shared sequences, or of what the trainer chose",
  "C-22": "another scaffold or parser than the model's",
  "C-23": "an agent's name that Harbor's registry would prefer",
  "C-24": "servers with a window of one token",
  "C-29": "an in-pod firewall without an image",
  "batch-workers": "17 workers for 512 trials",
  "concurrent-samples": "a number that the release derives itself",
  "checkpoint-size": "512Gi, of which a checkpoint takes 306Gi and more",
  "engine-settings": "Megatron's sizes on FSDP, and the other way round",
  "gpu-claim-size": "one claimed node for a stack of several",
  "gpu-memory": "windows, losses and engines that take half as much again as the GPU has, or more",
  "host-memory": "nodes of 512Gi for what the trainer offloads",
  "inline-build": "images built from sandboxes on a cluster",
  "mini-batch": "64 prompts in updates of 65, and the other way round",
  "mini-batch-ranks": "updates whose trials the ranks cannot share",
  "no-reward": "trials without a verifier",
  "override-key": "a key of the fork, or of another engine",
  "node-split": "nodes for rollout alone on the synchronous tier",
  "policy-loss": "a loss that only a newer verl has",
  rehearsal: "a rehearsal with the fork's image",
  "sandbox-deadline": "sandboxes that live for a second",
  "sandbox-host-path": "directories of the node in sandboxes",
  "sandbox-quota": "fewer sandboxes than trials at once",
  "scaffold-custom": "a scaffold of one's own without its image",
  "shared-volume": "a volume of one node for a stack of several",
  "stock-loop": "the released verl with what only the fork's agent loop does",
  "sync-step": "65 prompts in steps of 64",
  "tool-parser-known": "a parser by the name of variant",
  "trajectory-filter": "dropping every trial that ends by itself",
  "verl-configuration": "a configuration of the fork for the released verl",
};

const draws = 200;

describe(`${draws} settings drawn from the schemas`, () => {
  const random = new Random(20_261_130);
  const bases = experimentNames(projectRoot).map(
    (base) => settingsWith("", { base, secrets: new Set(["wandbApiKey"]) }).settings,
  );
  const judged = Array.from({ length: draws }, () => {
    const settings = drawn(random, random.pick(bases));
    return { settings, problems: judge(settings).problems };
  });

  it("are refused only for reasons that are written down", () => {
    const others = judged
      .flatMap(({ problems }) => problems)
      .filter(({ rule }) => !((rule as RuleId) in right));
    expect(others.map(({ rule, message }) => `${rule}: ${message}`)).toEqual([]);
  });

  it("are sound for the most part, on every tier", () => {
    const sound = judged.filter(({ problems }) => problems.length === 0);
    expect(sound.length).toBeGreaterThan(draws / 2);
    const tiers = new Set(sound.map(({ settings }) => settings.experiment.tier));
    expect([...tiers].sort()).toEqual(["single-node", "three-node", "two-node"]);
  });
});

/** A shipped experiment with one to six settings changed, as the schemas complete it. */
function drawn(random: Random, base: Settings): Settings {
  const layers = {
    experiment: variantsOf(experiment, base.experiment),
    site: variantsOf(kubernetesSite, base.site, "site"),
  };
  for (;;) {
    let settings: Settings = base;
    for (let left = 1 + random.below(6); left > 0; left--) {
      const layer = random.chance(0.6) ? "experiment" : "site";
      const variant = random.pick(layers[layer]);
      const changed = overlay(settings[layer], base[layer], variant.settings);
      settings = { ...settings, [layer]: changed };
    }
    const whole = complete(settings);
    if (whole) return whole;
  }
}
