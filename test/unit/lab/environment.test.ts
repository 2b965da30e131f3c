import { execFileSync } from "node:child_process";
import { describe, expect, it } from "vitest";
import { type Place, placeOf } from "../../../lab/place.ts";
import { exportLines, labEnvironment, quote } from "../../../lab/pulumi/environment.ts";

const odd = `/tmp/a b'c"d$(touch x)\`e\`\\f\n*`;
const place: Place = {
  ...placeOf("/tmp", "test"),
  bin: `${odd}/bin`,
  kubeconfig: `${odd}/kubeconfig`,
  pulumiState: "/tmp/a b/state",
};

describe("environment of a lab", () => {
  it("survives a shell, whatever the directory is called", () => {
    const script = `${exportLines(place).join("\n")}\nprintf '%s|%s|%s' "$PATH" "$KUBECONFIG" "\${PULUMI_ACCESS_TOKEN-unset}"`;
    const shown = execFileSync("/bin/sh", ["-c", script], {
      encoding: "utf8",
      env: { PATH: "/usr/bin:/bin", PULUMI_ACCESS_TOKEN: "mine" },
    });
    expect(shown).toBe(`${place.bin}:/usr/bin:/bin|${place.kubeconfig}|unset`);
  });

  it("quotes for POSIX shells", () => {
    expect(quote("it's")).toBe(String.raw`'it'\''s'`);
  });

  it("leads Pulumi to the lab and takes away what would lead elsewhere", () => {
    const environment = labEnvironment(place, {
      HOME: "/home/me",
      PATH: `/usr/bin:${place.bin}:/bin`,
      KUBECONFIG: "/home/me/.kube/config",
      PULUMI_ACCESS_TOKEN: "mine",
      PULUMI_CONFIG_PASSPHRASE: "",
      PULUMI_IGNORE_AMBIENT_PLUGINS: "true",
      PULUMI_BACKEND_URL: "s3://mine",
    });
    expect(environment).toEqual({
      HOME: "/home/me",
      PATH: `${place.bin}:/usr/bin:/bin`,
      KUBECONFIG: place.kubeconfig,
      PULUMI_HOME: place.pulumiHome,
      PULUMI_BACKEND_URL: "file:///tmp/a%20b/state",
      PULUMI_CONFIG_PASSPHRASE_FILE: place.passphrase,
      PULUMI_SKIP_UPDATE_CHECK: "true",
    });
  });
});
