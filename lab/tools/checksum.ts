/** What a vendor says that a file must hash to. */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { pipeline } from "node:stream/promises";

export interface Checksum {
  readonly algorithm: "sha1" | "sha256" | "sha512";
  /** In lower-case hexadecimal digits. */
  readonly digest: string;
}

/** Vendors do not name the algorithm; the length tells it. Pulumi's plugins still come with SHA-1. */
const algorithms: Partial<Record<number, Checksum["algorithm"]>> = {
  40: "sha1",
  64: "sha256",
  128: "sha512",
};

/** Reads a text that is one hash alone, or has lines of hash and file name as `sha256sum` writes them. */
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

/** Reads what GitHub's interface says about a release, and finds the digest of one of its files. */
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

export async function hashFile(file: string, algorithm: Checksum["algorithm"]): Promise<string> {
  const hash = createHash(algorithm);
  await pipeline(createReadStream(file), hash);
  return hash.digest("hex");
}
