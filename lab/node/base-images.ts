/** The images that the node always has, made from what is in the cache. */
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { readIfThere, writeWhole } from "../files.ts";
import type { LabPaths } from "../paths.ts";
import { formatCount } from "../progress.ts";
import { run } from "../run.ts";
import type { ObtainedTool } from "../tools/tool.ts";
import { obtainRoot, type Packages } from "./debian.ts";
import { type Image, imagesOf, loadImage } from "./image.ts";
import { imageNames, nodeFiles } from "./layout.ts";

/** For pods that run a script, as the programs of `runtime/` do. */
const pythonPackages = ["python3-minimal", "libpython3-stdlib", "busybox-static"];

/**
 * Loads the images that are missing or were made from something else.
 * @returns Descriptions of the changes.
 */
export async function provideBaseImages(
  paths: LabPaths,
  pid: number,
  from: Packages & { readonly tools: readonly ObtainedTool[] },
): Promise<string[]> {
  const python = await obtainRoot(
    { name: "python-image", packages: pythonPackages, closed: true },
    from,
  );
  const pathOf = (name: string) => from.tools.find((tool) => tool.name === name)?.path ?? "";
  const scratch = mkdtempSync(join(nodeFiles(paths).directory, "base-"));
  try {
    const wanted: readonly Wanted[] = [
      program(scratch, imageNames.pause, [pathOf("catatonit"), "-P"]),
      program(scratch, imageNames.coredns, [pathOf("coredns"), "-conf", "/etc/coredns/Corefile"]),
      {
        name: imageNames.python,
        source: python.directory,
        make: async () => ({
          name: imageNames.python,
          parts: [
            { folder: join(python.directory, "root") },
            { folder: await commands(scratch, join(python.directory, "root")) },
          ],
          config: {
            Env: ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
            Cmd: ["python3"],
          },
        }),
      },
    ];
    return await provideImages(paths, pid, wanted);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

export interface Wanted {
  readonly name: string;
  /** Identifies the contents: the image is loaded again when this changes. */
  readonly source: string;
  readonly make: () => Promise<Image> | Image;
}

/** Loads images that the node does not have, or has from another source. */
export async function provideImages(
  paths: LabPaths,
  pid: number,
  wanted: readonly Wanted[],
): Promise<string[]> {
  const file = join(nodeFiles(paths).directory, "images.json");
  const loaded = JSON.parse(readIfThere(file) ?? "{}") as Record<string, string>;
  const there = await imagesOf(paths, pid);
  const missing = wanted.filter(
    ({ name, source }) => loaded[name] !== source || !there.includes(name),
  );
  for (const { name, source, make } of missing) {
    await loadImage(paths, pid, await make());
    loaded[name] = source;
    writeWhole(file, JSON.stringify(loaded, undefined, 2));
  }
  return missing.length > 0 ? [`${formatCount(missing.length, "image")} loaded`] : [];
}

/** An image with one static program and nothing else. */
function program(
  scratch: string,
  name: string,
  [path, ...args]: readonly [string, ...string[]],
): Wanted {
  return {
    name,
    source: path,
    make: () => {
      const folder = mkdtempSync(join(scratch, "program-"));
      copyFileSync(path, join(folder, "program"));
      return {
        name,
        parts: [{ folder }],
        config: { Entrypoint: ["/program", ...args], WorkingDir: "/" },
      };
    },
  };
}

/** A layer with what the packages' own scripts would have made: busybox's commands, users, folders. */
async function commands(scratch: string, root: string): Promise<string> {
  const layer = mkdtempSync(join(scratch, "commands-"));
  for (const folder of ["bin", "etc", "tmp", "root"]) mkdirSync(join(layer, folder));
  chmodSync(join(layer, "tmp"), 0o1777);
  const busybox = join(root, "bin", "busybox");
  const { stdout } = await run(busybox, ["--list"]);
  const isThere = (name: string) =>
    ["bin", "sbin", "usr/bin", "usr/sbin"].some((folder) => existsSync(join(root, folder, name)));
  for (const name of stdout
    .trim()
    .split("\n")
    .filter((name) => !isThere(name))) {
    symlinkSync("busybox", join(layer, "bin", name));
  }
  const users = ["root:x:0:0:root:/root:/bin/sh", "nobody:x:65534:65534:nobody:/:/bin/sh"];
  writeFileSync(join(layer, "etc", "passwd"), `${users.join("\n")}\n`);
  writeFileSync(join(layer, "etc", "group"), "root:x:0:\nnogroup:x:65534:\n");
  return layer;
}
