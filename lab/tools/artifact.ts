/** A downloaded file: the checksum that its vendor publishes, the check, and what is done with it then. */
import { createHash } from "node:crypto";
import { chmodSync, createReadStream, renameSync } from "node:fs";
import { basename } from "node:path";
import { pipeline } from "node:stream/promises";
import { run } from "../run.ts";
import { DownloadFailed } from "./network.ts";

export interface Checksum {
  readonly algorithm: "sha1" | "sha256" | "sha512";
  /** In lower-case hexadecimal digits. */
  readonly digest: string;
}

/** Algorithms by length of the digest, since vendors do not name them. Pulumi's plugins still use SHA-1. */
const algorithms: Partial<Record<number, Checksum["algorithm"]>> = {
  40: "sha1",
  64: "sha256",
  128: "sha512",
};

/** Parses a single hash, or lines of hash and file name in the format of `sha256sum`. */
export function parseChecksums(text: string, file: string): Checksum | undefined {
  const lines = text.split("\n").map((line) => line.trim());
  for (const line of lines) {
    const [digest = "", name] = line.split(/\s+/, 2);
    const isOurs =
      name === undefined
        ? lines.filter(Boolean).length === 1
        : name.replace(/^\*?(\.\/)?/, "") === file;
    const checksum = isOurs ? checksumOf(digest) : undefined;
    if (checksum) return checksum;
  }
  return undefined;
}

/** Finds the digest of a file in GitHub's API response about a release. */
export function parseGithubRelease(text: string, file: string): Checksum | undefined {
  const release = JSON.parse(text) as { assets?: { name: string; digest?: string | null }[] };
  const digest = release.assets?.find(({ name }) => name === file)?.digest;
  return checksumOf(/^sha256:(.*)$/.exec(digest ?? "")?.[1] ?? "");
}

export function checksumOf(digest: string): Checksum | undefined {
  const algorithm = algorithms[digest.length];
  return algorithm && /^[0-9a-f]+$/i.test(digest)
    ? { algorithm, digest: digest.toLowerCase() }
    : undefined;
}

/** @throws {DownloadFailed} If the file does not match its checksum. */
export async function verify(file: string, checksum: Checksum): Promise<void> {
  const hash = createHash(checksum.algorithm);
  await pipeline(createReadStream(file), hash);
  const digest = hash.digest("hex");
  if (digest === checksum.digest) return;
  throw new DownloadFailed(
    `${basename(file)} has the ${checksum.algorithm} checksum ${digest}, but its vendor publishes ${checksum.digest}; the file is deleted`,
  );
}

/** @throws {DownloadFailed} If the archive lacks a member. */
export async function unpack(
  archive: string,
  to: string,
  members: readonly string[] = [],
): Promise<void> {
  const { code, stderr } = await run("tar", ["-xf", archive, "-C", to, ...members]);
  if (code !== 0) {
    throw new DownloadFailed(`${basename(archive)} cannot be unpacked: ${stderr.trim()}`);
  }
}

/** Makes a file an executable of a directory. */
export function install(file: string, to: string): void {
  chmodSync(file, 0o755);
  renameSync(file, to);
}
