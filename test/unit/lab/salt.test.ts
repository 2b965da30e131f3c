import { describe, expect, it } from "vitest";
import { opens, readEncryption, withoutSecrets } from "../../../lab/pulumi/salt.ts";

/** Written by Pulumi 3.230 for the passphrase "correct horse". */
const salt = "v1:0vptORCn3A4=:v1:1ha2+gRwximgAQPr:3c4W4OhOpEIkrIU/CyUHv+vPeoK3fQ==";

describe("encryption salt of a stack", () => {
  it("is known by its passphrase", async () => {
    expect(await opens(salt, "correct horse")).toBe(true);
    expect(await opens(salt, "battery staple")).toBe(false);
    expect(await opens("v2:something:else", "correct horse")).toBe(false);
    expect(await opens("nonsense", "correct horse")).toBe(false);
  });

  it("is found in the stack's file, as is another provider of secrets", () => {
    expect(readEncryption(`encryptionsalt: ${salt}\n`)).toEqual({ salt, provider: undefined });
    const cloud = "secretsprovider: awskms://alias/x\nencryptedkey: abc\n";
    expect(readEncryption(cloud)).toEqual({ salt: undefined, provider: "awskms://alias/x" });
    expect(readEncryption("")).toEqual({ salt: undefined, provider: undefined });
  });

  it("goes, and with it the file if nothing else was in it", () => {
    expect(withoutSecrets(`encryptionsalt: ${salt}\n`)).toBeUndefined();
    const secrets = `encryptionsalt: ${salt}\nconfig:\n  swe-rl:token:\n    secure: v1:abc\n`;
    expect(withoutSecrets(secrets)).toBeUndefined();
  });

  it("goes, and with it what only its passphrase opens; every other line stays", () => {
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
    ["nothing to take", "config:\n  a:b: c\n", "config:\n  a:b: c\n"],
  ])("leaves what somebody wrote: %s", (_, before, after) => {
    expect(withoutSecrets(before)).toBe(after);
  });
});
