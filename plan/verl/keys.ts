import type { Experiment } from "../../config/schema/experiment.ts";
import v080 from "./keys/0.8.0.json" with { type: "json" };
import v091 from "./keys/0.9.1.json" with { type: "json" };

/**
 * Keys of the configuration that a release of verl composes, by where they are; `test/runtime/test_verl_keys.py` writes
 * them. A key that ends in `.*` is a map to which anything can be added.
 */
const keysOfRelease = { "0.8.0": v080, "0.9.1": v091 } as const;

/**
 * `there`: verl's configuration has the key. `open`: it has a map that takes any key there. `foreign`: another engine's,
 * or asynchronous training's. `unknown`: no configuration of the release has it.
 */
export type KeyStanding = "there" | "open" | "foreign" | "unknown";

/** How a dotted key stands to the configuration that the experiment's run composes. */
export function keyStanding(key: string, experiment: Experiment): KeyStanding {
  const composed = composedKeys(experiment);
  if (composed.includes(key) || composed.some((other) => other.startsWith(`${key}.`))) {
    return "there";
  }
  const isOpen = (map: string) => map.endsWith(".*") && key.startsWith(map.slice(0, -1));
  if (composed.some(isOpen)) return "open";
  const all = Object.values(keysOfRelease[experiment.verl.version]).flat();
  return all.includes(key) || all.some(isOpen) ? "foreign" : "unknown";
}

/** Keys of the configuration that the experiment's run composes. */
export function composedKeys({ verl, tier }: Experiment): readonly string[] {
  const { everywhere, async: asynchronous, ...engines } = keysOfRelease[verl.version];
  return [...everywhere, ...engines[verl.engine], ...(tier === "single-node" ? [] : asynchronous)];
}
