import { expect, it } from "vitest";
import { amountOf, inGiB } from "../../../preflight/facts/quantity.ts";

it.each<[string | number | undefined, number]>([
  ["8", 8],
  [8, 8],
  ["100m", 0.1],
  ["1400Gi", 1400 * 2 ** 30],
  ["1e9", 1e9],
  ["1.5Ti", 1.5 * 2 ** 40],
  ["2G", 2e9],
  ["128974848", 128974848],
  ["0", 0],
  [undefined, 0],
  ["", 0],
  ["much", 0],
])("the amount of %s is %d", (quantity, amount) => {
  expect(amountOf(quantity)).toBeCloseTo(amount, 6);
});

it.each([
  [1400 * 2 ** 30, "1400Gi"],
  [1.55 * 2 ** 30, "1.5Gi"],
  [0, "0Gi"],
])("%d bytes are shown as %s", (bytes, shown) => {
  expect(inGiB(bytes)).toBe(shown);
});
