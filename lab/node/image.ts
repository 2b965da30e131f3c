/** Packs folders as an OCI image and loads it into the node's containerd, without a registry and without a daemon. */
import { createHash } from "node:crypto";
import {
  createReadStream,
  existsSync,
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import type { LabPaths } from "../paths.ts";
import { LabError } from "../problem.ts";
import { run } from "../run.ts";
import { platformOf } from "../tools/tool.ts";
import { containerdSocket, nodeFiles } from "./layout.ts";
import { enter, runInside } from "./namespaces.ts";

/** A folder of files, or a tar archive (not compressed). */
export type Layer = { readonly folder: string } | { readonly archive: string };

export interface Image {
  /** With registry and tag, as pods name it. */
  readonly name: string;
  /** From the lowest to the topmost. */
  readonly layers: readonly Layer[];
  readonly config: ImageConfig;
}

/** What a container of the image runs; the fields are those of the OCI image specification. */
export interface ImageConfig {
  readonly Entrypoint?: readonly string[];
  readonly Cmd?: readonly string[];
  readonly Env?: readonly string[];
  readonly WorkingDir?: string;
  /** `USER`, `UID` or `UID:GID`. */
  readonly User?: string;
  readonly Labels?: Readonly<Record<string, string>>;
}

/** Names of the images that the node has. */
export async function imagesOf(paths: LabPaths, pid: number): Promise<string[]> {
  const { code, stdout, stderr } = await runInside(pid, [...ctr(paths), "images", "ls", "--quiet"]);
  if (code !== 0) throw new LabError(`containerd does not answer: ${stderr.trim()}`);
  return stdout.trim().split("\n");
}

/**
 * Packs an image and loads it.
 * @param pid First process of the node's namespaces.
 */
export async function loadImage(paths: LabPaths, pid: number, image: Image): Promise<void> {
  const { directory } = nodeFiles(paths);
  mkdirSync(directory, { recursive: true });
  const layout = mkdtempSync(join(directory, "image-"));
  try {
    await writeLayout(image, layout);
    // A pipe: an archive in a file would need the space of the image once more.
    const [command, args] = enter(pid, [...ctr(paths), "images", "import", "-"]);
    const archive = 'tar --create --dereference --directory "$1" . | { shift; "$@"; }';
    const { code, stderr } = await run("sh", ["-c", archive, "sh", layout, command, ...args]);
    if (code === 0) return;
    throw new LabError(`The image ${image.name} could not be loaded: ${stderr.trim()}`);
  } finally {
    rmSync(layout, { recursive: true, force: true });
  }
}

/** Writes an image in OCI's layout. An archive among its layers is a link there. */
export async function writeLayout(image: Image, layout: string): Promise<void> {
  const blobs = join(layout, "blobs", "sha256");
  mkdirSync(blobs, { recursive: true });
  const layers: Descriptor[] = [];
  for (const layer of image.layers) layers.push(await addLayer(layer, blobs));
  const { os, arch } = platformOf();
  const config = addJson(blobs, types.config, {
    architecture: arch,
    os,
    config: image.config,
    rootfs: { type: "layers", diff_ids: layers.map(({ digest }) => digest) },
  });
  const manifest = addJson(blobs, types.manifest, {
    schemaVersion: 2,
    mediaType: types.manifest,
    config,
    layers,
  });
  const annotations = { "io.containerd.image.name": image.name };
  const index = { schemaVersion: 2, manifests: [{ ...manifest, annotations }] };
  writeFileSync(join(layout, "index.json"), JSON.stringify(index));
  writeFileSync(join(layout, "oci-layout"), JSON.stringify({ imageLayoutVersion: "1.0.0" }));
}

const types = {
  layer: "application/vnd.oci.image.layer.v1.tar",
  config: "application/vnd.oci.image.config.v1+json",
  manifest: "application/vnd.oci.image.manifest.v1+json",
} as const;

interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
}

async function addLayer(layer: Layer, blobs: string): Promise<Descriptor> {
  const draft = join(blobs, "draft");
  if ("folder" in layer) {
    // Names in order and no times: the same folder gives the same layer.
    const options = ["--sort=name", "--mtime=@0", "--numeric-owner", "--format=pax"];
    const times = "--pax-option=delete=atime,delete=ctime";
    await tar(["--create", "--file", draft, ...options, times, "--directory", layer.folder, "."]);
  }
  const file = "folder" in layer ? draft : layer.archive;
  const hash = createHash("sha256");
  await pipeline(createReadStream(file), hash);
  const digest = hash.digest("hex");
  const blob = join(blobs, digest);
  if (file === draft) renameSync(draft, blob);
  else if (!existsSync(blob)) symlinkSync(file, blob);
  return {
    mediaType: types.layer,
    digest: `sha256:${digest}`,
    size: statSync(blob).size,
  };
}

function addJson(blobs: string, mediaType: string, value: object): Descriptor {
  const text = JSON.stringify(value);
  const digest = createHash("sha256").update(text).digest("hex");
  writeFileSync(join(blobs, digest), text);
  return { mediaType, digest: `sha256:${digest}`, size: Buffer.byteLength(text) };
}

async function tar(args: readonly string[]): Promise<void> {
  const { code, stderr } = await run("tar", args);
  if (code !== 0) throw new LabError(`tar ${args.join(" ")} failed: ${stderr.trim()}`);
}

function ctr(paths: LabPaths): string[] {
  return [join(paths.bin, "ctr"), "--address", containerdSocket, "--namespace", "k8s.io"];
}
