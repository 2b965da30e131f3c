import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type Image, writeLayout } from "../../../lab/node/image.ts";
import { run } from "../../../lab/run.ts";

let scratch = "";

beforeEach(() => {
  scratch = mkdtempSync(join(tmpdir(), "swe-rl-oci-"));
});

afterEach(() => {
  rmSync(scratch, { recursive: true, force: true });
});

interface Descriptor {
  readonly digest: string;
  readonly size: number;
}

interface Manifest {
  readonly config: Descriptor;
  readonly layers: readonly Descriptor[];
}

/** Reads what a descriptor points at, and checks that it is that. */
function blob({ digest, size }: Descriptor, layout: string): Buffer {
  const content = readFileSync(join(layout, "blobs", ...digest.split(":")));
  expect(digest).toBe(`sha256:${createHash("sha256").update(content).digest("hex")}`);
  expect(size).toBe(content.length);
  return content;
}

async function pack(layers: Image["layers"], name: string) {
  const layout = join(scratch, name);
  mkdirSync(layout);
  await writeLayout({ name: "swe-rl.invalid/x:1", layers, config: { Cmd: ["/x"] } }, layout);
  const index = JSON.parse(readFileSync(join(layout, "index.json"), "utf8")) as {
    manifests: (Descriptor & { annotations: Record<string, string> })[];
  };
  const [described] = index.manifests;
  if (!described) throw new Error("no manifest");
  const manifest = JSON.parse(blob(described, layout).toString()) as Manifest;
  const config = JSON.parse(blob(manifest.config, layout).toString()) as {
    config: object;
    rootfs: { diff_ids: string[] };
  };
  return { layout, described, manifest, config };
}

function root(name: string): string {
  const folder = join(scratch, name);
  mkdirSync(join(folder, "bin"), { recursive: true });
  writeFileSync(join(folder, "bin", "x"), "#!/bin/sh\n", { mode: 0o755 });
  return folder;
}

describe("an OCI image", () => {
  it("has the folder as its layer, and its name for containerd", async () => {
    const { layout, described, manifest, config } = await pack([{ folder: root("a") }], "layout");
    expect(described.annotations).toEqual({ "io.containerd.image.name": "swe-rl.invalid/x:1" });
    expect(config.config).toEqual({ Cmd: ["/x"] });
    const [layer] = manifest.layers;
    if (!layer) throw new Error("no layer");
    blob(layer, layout);
    expect(config.rootfs.diff_ids).toEqual([layer.digest]);
    const file = join(layout, "blobs", ...layer.digest.split(":"));
    const { stdout } = await run("tar", ["--list", "--verbose", "--numeric-owner", "-f", file]);
    expect(stdout).toMatch(/^-rwxr-xr-x .* 1970-01-01 00:00 \.\/bin\/x$/m);
  });

  it("is the same for the same files", async () => {
    const first = await pack([{ folder: root("a") }], "first");
    const other = root("b");
    utimesSync(join(other, "bin", "x"), new Date(0), new Date(86_400_000));
    const second = await pack([{ folder: other }], "second");
    expect(second.described.digest).toBe(first.described.digest);
  });

  it("takes archives as layers, in their order", async () => {
    const archive = join(scratch, "layer.tar");
    await run("tar", ["--create", "--file", archive, "--directory", root("a"), "bin"]);
    const { layout, manifest } = await pack([{ folder: root("b") }, { archive }], "layout");
    const upper = manifest.layers.at(-1);
    if (!upper) throw new Error("no layer");
    expect(blob(upper, layout)).toEqual(readFileSync(archive));
    expect(manifest.layers).toHaveLength(2);
  });
});
