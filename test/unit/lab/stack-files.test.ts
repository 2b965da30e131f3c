import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { labPaths, type LabPaths } from "../../../lab/paths.ts";
import {
  cleanStackFiles,
  demandOwnStack,
  readEncryption,
  withoutSecrets,
} from "../../../lab/pulumi/stack-files.ts";

/** As Pulumi 3.230 writes it. */
const salt = "v1:0vptORCn3A4=:v1:1ha2+gRwximgAQPr:3c4W4OhOpEIkrIU/CyUHv+vPeoK3fQ==";

let paths: LabPaths;

beforeEach(() => {
  paths = labPaths(mkdtempSync(join(tmpdir(), "lab-stacks-")), "test");
});
afterEach(() => {
  rmSync(paths.root, { recursive: true });
});

function write(file: string, content: string | Buffer): void {
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, content);
}

/** The state that `pulumi stack init` writes. */
function stateWith(encryptionSalt: string): string {
  const secrets_providers = { type: "passphrase", state: { salt: encryptionSalt } };
  return JSON.stringify({ version: 3, checkpoint: { latest: { secrets_providers } } }, null, 4);
}

describe("stack files and the lab", () => {
  const file = (stack: string) => join(paths.root, "stacks", `Pulumi.${stack}.yaml`);
  const state = (name: string) => join(paths.pulumiState, ".pulumi/stacks/swe-rl", name);

  it.each([
    ["the state", "mine.json", (text: string) => text],
    ["a compressed state", "mine.json.gz", gzipSync],
    ["the backup of a removed stack", "mine.json.bak", (text: string) => text],
  ])("belong to the lab if %s has their salt", (_, name, encode) => {
    write(state(name), encode(stateWith(salt)));
    write(file("mine"), `encryptionsalt: ${salt}\n`);
    write(file("mine-too"), `encryptionsalt: ${salt}\nconfig:\n  a:b: c\n`);
    expect(() => {
      demandOwnStack(paths, "mine");
    }).not.toThrow();
    expect(cleanStackFiles(paths)).toEqual([
      { file: "stacks/Pulumi.mine-too.yaml", removed: false },
      { file: "stacks/Pulumi.mine.yaml", removed: true },
    ]);
    expect(existsSync(file("mine"))).toBe(false);
    expect(readFileSync(file("mine-too"), "utf8")).toBe("config:\n  a:b: c\n");
  });

  it.each([
    ["another salt", `encryptionsalt: ${salt.replace("v1:0", "v1:1")}\n`, /its encryptionsalt/],
    ["a part of the salt", `encryptionsalt: ${salt.slice(0, -4)}\n`, /its encryptionsalt/],
    ["another kind of salt", "encryptionsalt: v2:something:else\n", /its encryptionsalt/],
    ["another provider", "secretsprovider: awskms://alias/x\n", /its secretsprovider/],
  ])("belong to another backend if they have %s", (_, text, message) => {
    write(state("mine.json"), stateWith(salt));
    write(file("mine"), text);
    expect(() => {
      demandOwnStack(paths, "mine");
    }).toThrow(message);
    expect(cleanStackFiles(paths)).toEqual([]);
    expect(readFileSync(file("mine"), "utf8")).toBe(text);
  });

  it("are used as they are without a salt, or if there is no file", () => {
    write(file("plain"), "config:\n  a:b: c\n");
    demandOwnStack(paths, "plain");
    demandOwnStack(paths, "none");
    expect(cleanStackFiles(paths)).toEqual([]);
  });
});

describe("encryption salt of a stack", () => {
  it("is read from the stack's file, like the secrets provider", () => {
    expect(readEncryption(`encryptionsalt: ${salt}\n`)).toEqual({ salt, provider: undefined });
    const cloud = "secretsprovider: awskms://alias/x\nencryptedkey: abc\n";
    expect(readEncryption(cloud)).toEqual({ salt: undefined, provider: "awskms://alias/x" });
    expect(readEncryption("")).toEqual({ salt: undefined, provider: undefined });
  });

  it("is removed, with the file if nothing else is in it", () => {
    expect(withoutSecrets(`encryptionsalt: ${salt}\n`)).toBeUndefined();
    const secrets = `encryptionsalt: ${salt}\nconfig:\n  swe-rl:token:\n    secure: v1:abc\n`;
    expect(withoutSecrets(secrets)).toBeUndefined();
  });

  it("is removed with the values encrypted under it; every other line stays", () => {
    const before = `# Our favourite experiment.
encryptionsalt: ${salt}
config:
  swe-rl:site: lab # for now
  # The key of the tracker.
  swe-rl:wandbApiKey:
    secure: v1:abc
  swe-rl:nested:
    keep: "1"
    drop:
      secure: v1:def
  swe-rl:onlySecrets:
    a:
      secure: v1:ghi
    b:
      secure: v1:jkl

  swe-rl:empty: {}
environment:
  - mine
`;
    expect(withoutSecrets(before)).toBe(`# Our favourite experiment.
config:
  swe-rl:site: lab # for now
  # The key of the tracker.
  swe-rl:nested:
    keep: "1"

  swe-rl:empty: {}
environment:
  - mine
`);
  });

  it.each([
    ["a comment", `# Kept for a reason.\nencryptionsalt: ${salt}\n`, "# Kept for a reason.\n"],
    ["no newline at the end", `config:\n  a:b: c\nencryptionsalt: ${salt}`, "config:\n  a:b: c\n"],
    ["neither salt nor secrets", "config:\n  a:b: c\n", "config:\n  a:b: c\n"],
  ])("keeps what the user wrote: %s", (_, before, after) => {
    expect(withoutSecrets(before)).toBe(after);
  });
});
