import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { parts, toolOf } from "../../../lab/control-plane/parts.ts";
import { catalogue } from "../../../lab/tools/catalogue.ts";
import { hostsOf } from "../../../lab/tools/download.ts";
import { buildKey, estimateSeconds } from "../../../lab/tools/go.ts";
import { platformOf } from "../../../lab/tools/tool.ts";
import { findVersion, isWithin } from "../../../lab/tools/version.ts";

const root = join(import.meta.dirname, "../../..");
const platforms = [
  platformOf("linux", "x64"),
  platformOf("linux", "arm64"),
  platformOf("darwin", "x64"),
  platformOf("darwin", "arm64"),
];

describe("catalogue of tools", () => {
  it("contains all programs that the lab runs", () => {
    const names = catalogue.map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
    expect(names).toEqual(expect.arrayContaining(parts.map(toolOf)));
    expect(names).toEqual(expect.arrayContaining(["pulumi", "kubectl", "kwokctl"]));
  });

  it("can provide every tool without a download, on every platform", () => {
    const without = catalogue.filter(({ build, standIn }) => !build && !standIn);
    expect(without).toEqual([]);
  });

  it.each(platforms)(
    "downloads and builds versions that it would also accept: $os $arch",
    (platform) => {
      for (const { name, range, build, download } of catalogue) {
        const versions = [build?.version, download?.(platform)?.version].filter(
          (v) => v !== undefined,
        );
        const refused = versions.filter((version) => !isWithin(version, range));
        expect(refused, name).toEqual([]);
      }
    },
  );

  it("takes downloads from vendors over TLS, each with a published checksum", () => {
    const urls = platforms.flatMap((platform) =>
      catalogue.flatMap(({ download }) => {
        const wanted = download?.(platform);
        return wanted ? hostsOf(wanted) : [];
      }),
    );
    expect(new Set(urls.map((url) => new URL(url).host))).toEqual(
      new Set([
        "get.pulumi.com",
        "github.com",
        "api.github.com",
        "dl.k8s.io",
        "quay.io",
        "ray-project.github.io",
      ]),
    );
    expect(urls.filter((url) => !url.startsWith("https://"))).toEqual([]);
  });

  it("downloads plugins of exactly the version of the SDK", () => {
    const [platform] = platforms;
    const pinned = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
      dependencies: Record<string, string>;
    };
    for (const plugin of ["kubernetes", "random"]) {
      const tool = catalogue.find(({ name }) => name === `pulumi-resource-${plugin}`);
      const version = pinned.dependencies[`@pulumi/${plugin}`];
      expect(findVersion(version ?? "")).toBe(version);
      expect(tool?.download?.(platform!)?.version).toBe(version);
    }
  });

  it("builds from committed modules with their lock files", () => {
    for (const { name, build } of catalogue) {
      if (!build) continue;
      const folder = join(root, "lab/tools/go", build.module);
      const module = readFileSync(join(folder, "go.mod"), "utf8");
      expect(module.split("\n")[0]).toBe(`module swe-rl/lab/tools/${build.module}`);
      expect(existsSync(join(folder, "go.sum"))).toBe(true);
      if (build.package !== ".") {
        expect(module, name).toMatch(new RegExp(`^(tool )?\\s*${build.package}$`, "m"));
      }
    }
  });

  it("derives the cache key of a build from tool, platform and lock files", () => {
    const [linux, , , mac] = platforms;
    const keys = catalogue.flatMap(({ name, build }) =>
      build ? [buildKey(name, build, linux!), buildKey(name, build, mac!)] : [],
    );
    expect(new Set(keys).size).toBe(keys.length);
    const { name, build } = catalogue[0]!;
    expect(buildKey(name, build!, linux!)).toBe(buildKey(name, build!, linux!));
    expect(buildKey(name, { ...build!, ldflags: [] }, linux!)).not.toBe(
      buildKey(name, build!, linux!),
    );
  });

  it("expects builds to be faster on more cores", () => {
    const build = catalogue[0]!.build!;
    expect(estimateSeconds(build, 2)).toBe(build.seconds);
    expect(estimateSeconds(build, 8)).toBeLessThan(build.seconds / 2);
  });

  it("rejects other platforms and names the supported ones", () => {
    expect(() => platformOf("win32", "x64")).toThrow(/Linux and macOS/);
    expect(() => platformOf("linux", "riscv64")).toThrow(/riscv64/);
  });
});
