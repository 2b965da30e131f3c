import { describe, expect, it } from "vitest";
import { flawOfSecret, type UserSecret } from "../../../config/schema/secret-form.ts";
import { evaluate, isFatal } from "../../../preflight/evaluate.ts";
import { describe as describeFinding } from "../../../preflight/report.ts";
import { settingsWith } from "../../support/settings.ts";

const registry = (auths: unknown) => JSON.stringify({ auths });

describe("the form of a secret", () => {
  it.each<[UserSecret, string, string]>([
    ["wandbApiKey", "abc def", "white space"],
    ["wandbApiKey", "abcdef\n", "white space"],
    ["wandbApiKey", " ", "empty"],
    ["registryCredentials", "user:password", "no JSON"],
    ["registryCredentials", registry("x"), "no mapping auths"],
    ["registryCredentials", registry({}), "no registry"],
    ["registryCredentials", registry({ "x.io": "secret" }), "without auth"],
    ["registryCredentials", registry({ "x.io": { username: "a" } }), "without auth"],
    ["dockerCert", "MIIB", "PEM"],
  ])("of %s is wrong, and the text shows nothing of it: %j", (name, value, flaw) => {
    const found = flawOfSecret(name, value);
    expect(found).toContain(flaw);
    if (value.trim() !== "") expect(found).not.toContain(value);
  });

  it.each<[UserSecret, string]>([
    ["wandbApiKey", "0123456789abcdef"],
    ["registryCredentials", registry({ "x.io": { auth: "YTpi" } })],
    ["registryCredentials", registry({ "x.io": { username: "a", password: "b" } })],
    ["dockerKey", "-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----\n"],
  ])("of %s is right", (name, value) => {
    expect(flawOfSecret(name, value)).toBeUndefined();
  });

  it("is a rule: a wrong one ends the command", () => {
    const loaded = settingsWith("", {
      secretFlaws: [{ name: "wandbApiKey", flaw: "has white space in it" }],
    });
    const found = evaluate(loaded).findings.filter(isFatal);
    expect(found.map(describeFinding)).toEqual([
      "the stack secret wandbApiKey has white space in it: the tracker, the registry or the daemon refuses it, after the GPUs are taken. Store it anew: pulumi config set --secret swe-rl:wandbApiKey < FILE.",
    ]);
  });
});
