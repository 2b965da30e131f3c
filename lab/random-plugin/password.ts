/** Passwords as the official random plugin makes them: the same inputs, defaults and characters. */
import { randomInt } from "node:crypto";

export interface PasswordSpec {
  readonly length: number;
  readonly upper: boolean;
  readonly lower: boolean;
  readonly numeric: boolean;
  readonly special: boolean;
  readonly minUpper: number;
  readonly minLower: number;
  readonly minNumeric: number;
  readonly minSpecial: number;
  /** The special characters to choose from; empty for the usual ones. */
  readonly overrideSpecial: string;
}

export const upperCase = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
export const lowerCase = "abcdefghijklmnopqrstuvwxyz";
export const digits = "0123456789";
export const specialCharacters = "!@#$%&*()-_=+[]{}<>:?";

/** The invalid inputs of a specification, with reasons. */
export function problemsOf(spec: PasswordSpec): { property: string; reason: string }[] {
  const problems: { property: string; reason: string }[] = [];
  const counts = ["length", "minUpper", "minLower", "minNumeric", "minSpecial"] as const;
  for (const property of counts) {
    const least = property === "length" ? 1 : 0;
    if (!Number.isInteger(spec[property]) || spec[property] < least) {
      problems.push({ property, reason: `must be a whole number of at least ${least}` });
    }
  }
  const minimum = spec.minUpper + spec.minLower + spec.minNumeric + spec.minSpecial;
  if (spec.length < minimum) {
    problems.push({
      property: "length",
      reason: `is ${spec.length}, less than the ${minimum} characters that minUpper, minLower, minNumeric and minSpecial demand together`,
    });
  }
  if (problems.length === 0 && spec.length > minimum && allowed(spec) === "") {
    problems.push({
      property: "length",
      reason: "leaves characters to choose, but no kind is allowed",
    });
  }
  return problems;
}

/** The probability of each password is the same as with the official plugin. */
export function makePassword(spec: PasswordSpec): string {
  const all = allowed(spec);
  const minimum = spec.minUpper + spec.minLower + spec.minNumeric + spec.minSpecial;
  const characters = [
    ...pick(upperCase, spec.minUpper),
    ...pick(lowerCase, spec.minLower),
    ...pick(digits, spec.minNumeric),
    ...pick(specialOf(spec), spec.minSpecial),
    ...pick(all, spec.length - minimum),
  ];
  return shuffle(characters).join("");
}

function allowed(spec: PasswordSpec): string {
  return [
    spec.upper ? upperCase : "",
    spec.lower ? lowerCase : "",
    spec.numeric ? digits : "",
    spec.special ? specialOf(spec) : "",
  ].join("");
}

function specialOf({ overrideSpecial }: PasswordSpec): string {
  return overrideSpecial === "" ? specialCharacters : overrideSpecial;
}

/** `randomInt` is cryptographically secure and uniform. */
function pick(from: string, count: number): string[] {
  return Array.from({ length: count }, () => from.charAt(randomInt(from.length)));
}

/** Fisher-Yates shuffle, so that the minimum characters are not always first. */
function shuffle(characters: string[]): string[] {
  for (let i = characters.length - 1; i > 0; i--) {
    const j = randomInt(i + 1);
    [characters[i], characters[j]] = [characters[j] ?? "", characters[i] ?? ""];
  }
  return characters;
}
