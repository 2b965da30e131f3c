import { expect, it } from "vitest";
import { fuzz } from "../../support/fuzz/fuzz.ts";

it("a damaged file yields settings or located problems: no stack trace, no hang", async () => {
  const { failures, refused, accepted } = await fuzz({ first: 1, count: 1500 });
  expect(failures).toEqual([]);
  expect(refused + accepted).toBe(1500);
  // Both outcomes must be reached, or nothing was shown of one of them.
  expect(accepted).toBeGreaterThan(50);
}, 300_000);
