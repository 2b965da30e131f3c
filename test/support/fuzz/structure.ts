/** Changes of what a YAML file says: it stays valid YAML, mostly. */
import { parse, stringify } from "yaml";
import type { Random } from "./random.ts";

type Container = Record<string, unknown> | unknown[];

/** Values of every kind that YAML can write, wrong in most places. */
const values: readonly unknown[] = [
  null,
  true,
  false,
  0,
  -0,
  -1,
  1,
  2,
  3,
  7,
  16,
  0.5,
  1e308,
  Infinity,
  -Infinity,
  NaN,
  2 ** 53,
  -(2 ** 63),
  65536,
  "",
  " ",
  "x",
  "0",
  "true",
  "null",
  "/",
  "/a/../b",
  "/models/../etc",
  "../single-node.yaml",
  "${oc.env:HOME}",
  "a\nb",
  "\u0000",
  "x".repeat(5000),
  "é".repeat(70),
  "megatron",
  "veomni",
  "two-node",
  "in_process",
  [],
  {},
  [[]],
  [{}],
  [null],
  ["a", "a"],
  { kind: "nope" },
  { kind: "claim" },
  new Date(0),
  { a: { b: { c: {} } } },
];

const keys = ["__proto__", "constructor", "toString", "extends", "tier", "kind", "0", "", "ünï"];

/** @param others Further files whose keys and values may be put in. */
export function mutateStructure(text: string, random: Random, others: readonly string[]): string {
  const root = parse(text) as Record<string, unknown>;
  for (let left = 1 + random.below(4); left > 0; left--) {
    const spot = randomSpot(root, random);
    change(spot, random, others);
  }
  return stringify(root, { aliasDuplicateObjects: random.chance(0.5) });
}

interface Spot {
  readonly container: Container;
  readonly key: string | number;
}

function randomSpot(root: Container, random: Random): Spot {
  let container = root;
  for (;;) {
    const entries = Object.keys(container);
    if (entries.length === 0) return { container, key: Array.isArray(container) ? 0 : "x" };
    const chosen = random.pick(entries);
    const key = Array.isArray(container) ? Number(chosen) : chosen;
    const inner = get({ container, key });
    if (typeof inner !== "object" || inner === null || inner instanceof Date || random.chance(0.2))
      return { container, key };
    container = inner as Container;
  }
}

function change(spot: Spot, random: Random, others: readonly string[]): void {
  const { container } = spot;
  switch (random.below(7)) {
    case 0:
      Reflect.deleteProperty(container, spot.key);
      break;
    case 1:
      put({ container, key: random.pick(keys) }, randomValue(random));
      break;
    case 2: {
      // What stands elsewhere, here.
      const other = parse(random.pick(others)) as Container;
      const there = randomSpot(other, random);
      put({ container, key: there.key }, get(there));
      break;
    }
    case 3: {
      const other = parse(random.pick(others)) as Container;
      put(spot, get(randomSpot(other, random)));
      break;
    }
    case 4: {
      const value = get(spot);
      if (typeof value === "number") {
        put(spot, random.pick([value + 1, value - 1, value * 2, value / 3, -value, String(value)]));
      } else put(spot, [value]);
      break;
    }
    default:
      put(spot, randomValue(random));
  }
}

/** A copy, so that no change reaches the next file. */
function randomValue(random: Random): unknown {
  return structuredClone(random.pick(values));
}

function get({ container, key }: Spot): unknown {
  return (container as Record<string | number, unknown>)[key];
}

function put({ container, key }: Spot, value: unknown): void {
  Object.defineProperty(container, Array.isArray(container) ? Number(key) || 0 : key, {
    value,
    enumerable: true,
    configurable: true,
    writable: true,
  });
}
