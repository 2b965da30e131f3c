/**
 * Makes images of folders and gives them to the node's containerd, without a registry, without a daemon and without a copy:
 * the files of an image are hard links to those of the folders. Its one layer is a snapshot that is filled here; the layer's
 * archive, which containerd would have unpacked, holds only a mark.
 */
import { createHash, randomUUID } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { LabPaths } from "../paths.ts";
import { LabError } from "../problem.ts";
import { run } from "../run.ts";
import { platformOf } from "../tools/tool.ts";
import { containerdSocket, nodeFiles } from "./layout.ts";
import { enter, runInside } from "./namespaces.ts";

/** What goes into an image. */
export interface Part {
  /** A folder, whose contents are taken. They must not change while the node lives. */
  readonly folder: string;
  /**
   * Path in the image, without a leading slash.
   * @default the root
   */
  readonly at?: string;
}

export interface Image {
  /** With registry and tag, as pods name it. */
  readonly name: string;
  /** Of several with the same file the last one counts. */
  readonly parts: readonly Part[];
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
 * Makes an image and loads it.
 * @param pid First process of the node's namespaces.
 */
export async function loadImage(paths: LabPaths, pid: number, image: Image): Promise<void> {
  const { directory } = nodeFiles(paths);
  mkdirSync(directory, { recursive: true });
  const layout = mkdtempSync(join(directory, "image-"));
  const snapshot = async (...args: string[]) =>
    demand(image, ...enter(pid, [...ctr(paths), "snapshots", ...args]));
  try {
    const layer = await writeLayout(image, layout);
    const draft = `draft-${randomUUID()}`;
    await snapshot("prepare", draft);
    const root = sourceOf(paths, await snapshot("mounts", "/", draft));
    for (const { folder, at = "" } of image.parts) {
      await demand(image, "sh", ["-c", link, "sh", folder, join(root, at)]);
    }
    await snapshot("commit", layer, draft);
    const [command, args] = enter(pid, [...ctr(paths), "images", "import", "-"]);
    const archive = 'tar --create --directory "$1" . | { shift; "$@"; }';
    await demand(image, "sh", ["-c", archive, "sh", layout, command, ...args]);
  } finally {
    rmSync(layout, { recursive: true, force: true });
  }
}

/** Links all of a folder into another. On another file system it is copied. Any user may look into it. */
const link = `
mkdir -p "$2"
cp --archive --link --force "$1/." "$2" 2>/dev/null || cp --archive --force "$1/." "$2" || exit
chmod 755 "$2"
`;

/** Output of a program. @throws {LabError} If it fails. */
async function demand(image: Image, command: string, args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await run(command, args, { cwd: "/" });
  if (code === 0) return stdout;
  throw new LabError(`The image ${image.name} could not be loaded: ${stderr.trim()}`);
}

/** Folder of a new snapshot, as the machine sees it: no link goes from one mount to another. */
function sourceOf(paths: LabPaths, mount: string): string {
  const { inside, directory } = nodeFiles(paths);
  // mount -t bind SOURCE TARGET -o rw,rbind
  const source = /^mount -t bind (\S+) /.exec(mount.trim())?.[1];
  if (source?.startsWith(`${inside}/`)) return join(directory, source.slice(inside.length));
  throw new LabError(`containerd has an unknown kind of snapshot: ${mount.trim()}`);
}

/**
 * Writes an image in OCI's layout.
 * @returns The digest of its layer, by which containerd finds the snapshot.
 */
export async function writeLayout(image: Image, layout: string): Promise<string> {
  const blobs = join(layout, "blobs", "sha256");
  mkdirSync(blobs, { recursive: true });
  const layer = await addMark(layout, blobs);
  const { os, arch } = platformOf();
  const config = addJson(blobs, types.config, {
    architecture: arch,
    os,
    config: image.config,
    rootfs: { type: "layers", diff_ids: [layer.digest] },
  });
  const manifest = addJson(blobs, types.manifest, {
    schemaVersion: 2,
    mediaType: types.manifest,
    config,
    layers: [layer],
  });
  const annotations = { "io.containerd.image.name": image.name };
  const index = { schemaVersion: 2, manifests: [{ ...manifest, annotations }] };
  writeFileSync(join(layout, "index.json"), JSON.stringify(index));
  writeFileSync(join(layout, "oci-layout"), JSON.stringify({ imageLayoutVersion: "1.0.0" }));
  return layer.digest;
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

/** Adds a layer that no other image has. */
async function addMark(layout: string, blobs: string): Promise<Descriptor> {
  const name = `mark-${randomUUID()}`;
  const archive = join(layout, "layer");
  writeFileSync(join(layout, name), "");
  const options = ["--create", "--file", archive, "--directory", layout];
  const { code, stderr } = await run("tar", [...options, name]);
  if (code !== 0) throw new LabError(`tar failed: ${stderr.trim()}`);
  rmSync(join(layout, name));
  const content = readFileSync(archive);
  rmSync(archive);
  return addBlob(blobs, types.layer, content);
}

function addJson(blobs: string, mediaType: string, value: object): Descriptor {
  return addBlob(blobs, mediaType, Buffer.from(JSON.stringify(value)));
}

function addBlob(blobs: string, mediaType: string, content: Buffer): Descriptor {
  const digest = createHash("sha256").update(content).digest("hex");
  writeFileSync(join(blobs, digest), content);
  return { mediaType, digest: `sha256:${digest}`, size: content.length };
}

function ctr(paths: LabPaths): string[] {
  return [join(paths.bin, "ctr"), "--address", containerdSocket, "--namespace", "k8s.io"];
}
