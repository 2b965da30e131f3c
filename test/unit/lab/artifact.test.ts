import { describe, expect, it } from "vitest";
import { parseChecksums, parseGithubRelease } from "../../../lab/tools/artifact.ts";

const sha256 = "a".repeat(64);
const sha1 = "b".repeat(40);
const sha512 = "C".repeat(128);

describe("published checksums", () => {
  it.each([
    ["a hash alone", `${sha256}\n`, { algorithm: "sha256", digest: sha256 }],
    [
      "lines of sha256sum",
      `${"0".repeat(64)}  other.tgz\n${sha256}  tool.tgz\n`,
      { algorithm: "sha256", digest: sha256 },
    ],
    ["binary mode", `${sha256} *tool.tgz`, { algorithm: "sha256", digest: sha256 }],
    [
      "names with a folder, and SHA-1",
      `${sha1}  ./tool.tgz\n${sha1}  ./other.tgz`,
      { algorithm: "sha1", digest: sha1 },
    ],
    [
      "capital letters, and SHA-512",
      `${sha512}  tool.tgz`,
      { algorithm: "sha512", digest: "c".repeat(128) },
    ],
  ])("are read from %s", (_, text, checksum) => {
    expect(parseChecksums(text, "tool.tgz")).toEqual(checksum);
  });

  it.each([
    ["nothing", ""],
    ["a page of HTML", "<html>\n<body>not found</body>\n</html>"],
    ["the hashes of other files", `${sha256}  tool.tgz.sig\n${sha256}  my-tool.tgz`],
    ["several hashes without names", `${sha256}\n${sha256}\n`],
    ["something of another length", "abcdef  tool.tgz"],
    ["something that is no hash", `${"z".repeat(64)}  tool.tgz`],
  ])("are not found in %s", (_, text) => {
    expect(parseChecksums(text, "tool.tgz")).toBeUndefined();
  });

  it("are read from GitHub's description of a release", () => {
    const text = JSON.stringify({
      assets: [
        { name: "old", digest: null },
        { name: "kwok", digest: `sha256:${sha256}` },
      ],
    });
    expect(parseGithubRelease(text, "kwok")).toEqual({ algorithm: "sha256", digest: sha256 });
    expect(parseGithubRelease(text, "old")).toBeUndefined();
    expect(parseGithubRelease(text, "missing")).toBeUndefined();
    expect(parseGithubRelease("{}", "kwok")).toBeUndefined();
  });
});
