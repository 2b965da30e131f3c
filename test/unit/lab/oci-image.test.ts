import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { writeLayout } from "../../../lab/node/image.ts";

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

async function write(name: string) {
  const layout = join(scratch, name);
  mkdirSync(layout);
  const image = { name: "swe-rl.invalid/x:1", parts: [], config: { Cmd: ["/x"] } };
  const snapshot = await writeLayout(image, layout);
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
  for (const layer of manifest.layers) blob(layer, layout);
  return { described, manifest, config, snapshot };
}

describe("an OCI image", () => {
  it("has its name for containerd, and its snapshot as the one layer", async () => {
    const { described, manifest, config, snapshot } = await write("layout");
    expect(described.annotations).toEqual({ "io.containerd.image.name": "swe-rl.invalid/x:1" });
    expect(config.config).toEqual({ Cmd: ["/x"] });
    expect(manifest.layers.map(({ digest }) => digest)).toEqual([snapshot]);
    expect(config.rootfs.diff_ids).toEqual([snapshot]);
  });

  it("never has the snapshot of another image", async () => {
    const first = await write("first");
    const second = await write("second");
    expect(second.snapshot).not.toBe(first.snapshot);
  });
});
