import { describe, expect, it } from "vitest";
import {
  digits,
  lowerCase,
  makePassword,
  type PasswordSpec,
  problemsOf,
  specialCharacters,
  upperCase,
} from "../../../lab/random-plugin/password.ts";
import { RandomStandIn } from "../../../lab/random-plugin/provider.ts";
import { asSecret, isUnknown, plain } from "../../../lab/random-plugin/values.ts";

const standard: PasswordSpec = {
  length: 32,
  upper: true,
  lower: true,
  numeric: true,
  special: true,
  minUpper: 0,
  minLower: 0,
  minNumeric: 0,
  minSpecial: 0,
  overrideSpecial: "",
};
const count = (text: string, kind: string) => text.split("").filter((c) => kind.includes(c)).length;

describe("passwords of the stand-in", () => {
  it("have the length and the kinds of characters that are asked for", () => {
    const lower = makePassword({ ...standard, upper: false, numeric: false, special: false });
    expect(lower).toMatch(/^[a-z]{32}$/);
    expect(makePassword({ ...standard, special: false })).toMatch(/^[A-Za-z0-9]{32}$/);
    expect(makePassword({ ...standard, length: 1 })).toHaveLength(1);
  });

  it("contain every minimum, at random positions", () => {
    const spec = {
      ...standard,
      length: 10,
      minUpper: 2,
      minLower: 1,
      minNumeric: 3,
      minSpecial: 1,
    };
    const firsts = new Set<string>();
    for (let i = 0; i < 300; i++) {
      const password = makePassword(spec);
      expect(password).toHaveLength(10);
      expect(count(password, upperCase)).toBeGreaterThanOrEqual(2);
      expect(count(password, lowerCase)).toBeGreaterThanOrEqual(1);
      expect(count(password, digits)).toBeGreaterThanOrEqual(3);
      expect(count(password, specialCharacters)).toBeGreaterThanOrEqual(1);
      firsts.add(
        [upperCase, lowerCase, digits].findIndex((kind) => kind.includes(password[0]!)).toString(),
      );
    }
    expect(firsts.size).toBe(4);
  });

  it("contain the minimum of a kind that is otherwise excluded", () => {
    const spec = { ...standard, length: 8, special: false, minSpecial: 3, overrideSpecial: "~" };
    expect(count(makePassword(spec), "~")).toBe(3);
  });

  it("use each character about equally often", () => {
    const total = 60_000;
    const characters = upperCase + lowerCase + digits + specialCharacters;
    const text = makePassword({ ...standard, length: total });
    const expected = total / characters.length;
    // Chi-squared with 82 degrees of freedom: above 160 in fewer than one of a million runs.
    const distance = characters
      .split("")
      .map((c) => (count(text, c) - expected) ** 2 / expected)
      .reduce((sum, part) => sum + part, 0);
    expect(distance).toBeLessThan(160);
  });

  it("differ each time", () => {
    const made = Array.from({ length: 500 }, () => makePassword(standard));
    expect(new Set(made).size).toBe(500);
  });

  it.each([
    [{ length: 0 }, "length"],
    [{ length: 2.5 }, "length"],
    [{ minUpper: -1 }, "minUpper"],
    [{ length: 3, minUpper: 2, minSpecial: 2 }, "length"],
    [{ upper: false, lower: false, numeric: false, special: false }, "length"],
  ])("are refused for %j", (change, property) => {
    expect(problemsOf({ ...standard, ...change }).map((problem) => problem.property)).toEqual([
      property,
    ]);
  });
});

describe("stand-in for the random plugin", () => {
  const urn = "urn:pulumi:dev::swe-rl::swe-rl:x:Y$random:index/randomPassword:RandomPassword::key";
  const plugin = new RandomStandIn("4.21.2");

  it("marks its version, which stays equal to that of the SDK", () => {
    expect(plugin.version).toBe("4.21.2+stand-in");
  });

  it("writes the same state as the official plugin, with the result as a secret", async () => {
    const created = await plugin.create(urn, {
      length: 12,
      special: false,
      keepers: { a: "1" },
    });
    const { result, ...rest } = created.outs as Record<string, unknown>;
    expect(created.id).toBe("none");
    expect(rest).toEqual({
      length: 12,
      upper: true,
      lower: true,
      numeric: true,
      number: true,
      special: false,
      minUpper: 0,
      minLower: 0,
      minNumeric: 0,
      minSpecial: 0,
      keepers: { a: "1" },
    });
    expect(result).not.toBeTypeOf("string");
    expect(plain(result)).toMatch(/^[A-Za-z0-9]{12}$/);
  });

  it("replaces on every change of the password, and only then", async () => {
    const created = await plugin.create(urn, { length: 12, keepers: { a: "1", b: "2" } });
    const olds = created.outs as Record<string, unknown>;
    const diff = (news: Record<string, unknown>) => plugin.diff("none", urn, olds, news);
    const same = { length: 12, keepers: { b: asSecret("2"), a: "1" } };
    expect(await diff(same)).toEqual({ changes: false, replaces: [] });
    expect(await diff({ ...same, upper: true })).toEqual({ changes: false, replaces: [] });
    expect(await diff({ ...same, length: 13 })).toEqual({ changes: true, replaces: ["length"] });
    expect(await diff({ length: 12, keepers: { a: "2", b: "2" } })).toEqual({
      changes: true,
      replaces: ["keepers"],
    });
    expect(await diff({ length: 12 })).toEqual({ changes: true, replaces: ["keepers"] });
    expect(await diff({ ...same, number: false })).toEqual({
      changes: true,
      replaces: ["numeric"],
    });
  });

  it("checks only known inputs", async () => {
    const unknown = "04da6b54-80e4-46f7-96ec-b56ff0331ba9";
    const preview = await plugin.check(urn, {}, { length: unknown });
    expect(preview.failures).toEqual([]);
    const wrong = await plugin.check(urn, {}, { length: 1, minLower: 2 });
    expect(wrong.failures).toHaveLength(1);
    expect(isUnknown({ a: [unknown] })).toBe(true);
    expect(isUnknown(undefined)).toBe(false);
  });

  it("rejects other resources and names the remedy", async () => {
    const other = "urn:pulumi:dev::swe-rl::random:index/randomPet:RandomPet::pet";
    await expect(async () => plugin.check(other, {}, {})).rejects.toThrow(
      /does not support random:index\/randomPet:RandomPet/,
    );
    await expect(plugin.invoke("random:x:y")).rejects.toThrow(/To use the official plugin/);
  });
});
