/** Official downloads, verified with the checksum that the vendor publishes. */
import { mkdtempSync, rmSync } from "node:fs";
import { basename, join } from "node:path";
import {
  type Checksum,
  install,
  parseChecksums,
  parseGithubRelease,
  unpack,
  verify,
} from "./artifact.ts";
import type { Contents } from "./cache.ts";
import { downloadImage } from "./image.ts";
import { DownloadFailed, type Network } from "./network.ts";
import type { ChecksumSource, Download, FileDownload } from "./tool.ts";

/**
 * Downloads the executables of a tool into a directory.
 * @throws {DownloadFailed}
 */
export async function download(
  name: string,
  wanted: Download,
  to: { readonly directory: string; readonly network: Network },
): Promise<Contents> {
  const scratch = mkdtempSync(join(to.directory, "download-"));
  try {
    const origin =
      wanted.kind === "file"
        ? await downloadFile(name, wanted, { ...to, scratch })
        : await downloadImage(name, wanted, { ...to, scratch });
    return { version: wanted.version, source: "download", origin };
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

/** The first URLs of a download. */
export function hostsOf(wanted: Download): string[] {
  return wanted.kind === "file"
    ? [wanted.url, wanted.checksum.url]
    : [wanted.registry, wanted.chart.index];
}

async function downloadFile(
  name: string,
  wanted: FileDownload,
  to: { readonly directory: string; readonly scratch: string; readonly network: Network },
): Promise<string> {
  const file = join(to.scratch, basename(new URL(wanted.url).pathname));
  await to.network.save(wanted.url, file);
  await verify(file, await readChecksum(wanted.checksum, basename(file), to.network));
  if (!wanted.members) {
    install(file, join(to.directory, name));
    return wanted.url;
  }
  await unpack(file, to.scratch, Object.values(wanted.members));
  for (const [executable, member] of Object.entries(wanted.members)) {
    install(join(to.scratch, member), join(to.directory, executable));
  }
  return wanted.url;
}

async function readChecksum(
  source: ChecksumSource,
  file: string,
  network: Network,
): Promise<Checksum> {
  const text = await network.text(source.url);
  const checksum =
    source.kind === "text" ? parseChecksums(text, file) : parseGithubRelease(text, file);
  if (!checksum) throw new DownloadFailed(`${source.url} has no checksum of ${file}`);
  return checksum;
}
