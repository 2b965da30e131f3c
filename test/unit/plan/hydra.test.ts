import { describe, expect, it } from "vitest";
import { addableKeys, formatOverride } from "../../../plan/verl/index.ts";
import { planWith } from "../../support/settings.ts";

const format = (value: Parameters<typeof formatOverride>[0]["value"]) =>
  formatOverride({ key: "k", value, prefix: "", source: "" });

/** What Hydra reads back is tested with Hydra itself, in test/runtime. */
describe("an override on the command line", () => {
  it.each([
    [64, "k=64"],
    [1e-6, "k=0.000001"],
    [1e-7, "k=1e-7"],
    [true, "k=true"],
    [null, "k=null"],
    ["qwen3_coder", "k=qwen3_coder"],
    ["/models/Qwen3-30B", "k=/models/Qwen3-30B"],
    ["true", "k='true'"],
    ["1e-6", "k='1e-6'"],
    ["a,b", "k='a,b'"],
    ["a=b", "k='a=b'"],
    ["it's", "k='it\\'s'"],
    ["${x}", "k='\\${x}'"],
    ["", "k=''"],
    [["console", "wandb"], "k=[console,wandb]"],
  ])("writes %j as %s", (value, expected) => {
    expect(format(value)).toBe(expected);
  });

  it("adds only keys that verl is known to read", () => {
    const added = planWith().plan.trainer.overrides.filter(({ prefix }) => prefix === "++");
    expect(added.length).toBeGreaterThan(0);
    for (const { key } of added) {
      expect(addableKeys.some((pattern) => pattern.test(key))).toBe(true);
    }
  });
});
