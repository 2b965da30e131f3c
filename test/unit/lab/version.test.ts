import { describe, expect, it } from "vitest";
import {
  compareVersions,
  describeRange,
  findVersion,
  isWithin,
} from "../../../lab/tools/version.ts";

describe("versions of tools", () => {
  it.each([
    ["Kubernetes v1.34.4", "1.34.4"],
    ["v3.230.0\n", "3.230.0"],
    ["kwokctl version v0.8.0 go1.26.8 (linux/amd64)", "0.8.0"],
    ["etcd Version: 3.6.5\nGit SHA: abc\nGo Version: go1.26.8", "3.6.5"],
    ["Client Version: v1.32.4-dispatcher\nKustomize Version: v5.5.0", "1.32.4-dispatcher"],
    ["no version here", undefined],
  ])("finds the first one in %j", (text, version) => {
    expect(findVersion(text)).toBe(version);
  });

  it.each([
    ["1.34.4", "1.34.4", 0],
    ["1.34.10", "1.34.9", 1],
    ["3.9.0", "3.230.0", -1],
    ["v2.0.0", "1.99.99", 1],
    ["1.34.4+k3s1", "1.34.4", 0],
    ["1.0.0-rc.1", "1.0.0", -1],
    ["1.0.0-rc.10", "1.0.0-rc.9", 1],
  ])("orders %s and %s", (a, b, sign) => {
    expect(Math.sign(compareVersions(a, b))).toBe(sign);
    expect(Math.sign(compareVersions(b, a))).toBe(-sign + 0);
  });

  it("tells whether a version is within a range", () => {
    const range = { atLeast: "1.33.0", below: "1.36.0" };
    const within = ["1.33.0", "1.35.99"].map((version) => isWithin(version, range));
    const without = ["1.32.4-dispatcher", "1.36.0", "2.0.0"].map((v) => isWithin(v, range));
    expect(within).toEqual([true, true]);
    expect(without).toEqual([false, false, false]);
    expect(describeRange(range)).toBe("1.33.0 or newer, but older than 1.36.0");
  });
});
