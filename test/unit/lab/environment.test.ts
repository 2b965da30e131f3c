import { execFileSync } from "node:child_process";
import { describe, expect, it } from "vitest";
import { type LabPaths, labPaths } from "../../../lab/paths.ts";
import { exportLines, labEnvironment, quote } from "../../../lab/pulumi/environment.ts";

const odd = `/tmp/a b'c"d$(touch x)\`e\`\\f\n*`;
const paths: LabPaths = {
  ...labPaths("/tmp", "test"),
  bin: `${odd}/bin`,
  kubeconfig: `${odd}/kubeconfig`,
  pulumiState: "/tmp/a b/state",
};

describe("environment of a lab", () => {
  it("is quoted for a shell, with any directory name", () => {
    const script = `${exportLines(paths).join("\n")}\nprintf '%s|%s|%s' "$PATH" "$KUBECONFIG" "\${PULUMI_ACCESS_TOKEN-unset}"`;
    const shown = execFileSync("/bin/sh", ["-c", script], {
      encoding: "utf8",
      env: { PATH: "/usr/bin:/bin", PULUMI_ACCESS_TOKEN: "mine" },
    });
    expect(shown).toBe(`${paths.bin}:/usr/bin:/bin|${paths.kubeconfig}|unset`);
  });

  it("quotes for POSIX shells", () => {
    expect(quote("it's")).toBe(String.raw`'it'\''s'`);
  });

  it("selects the lab for Pulumi and removes conflicting variables", () => {
    const environment = labEnvironment(paths, {
      HOME: "/home/me",
      PATH: `/usr/bin:${paths.bin}:/bin`,
      KUBECONFIG: "/home/me/.kube/config",
      PULUMI_ACCESS_TOKEN: "mine",
      PULUMI_CONFIG_PASSPHRASE: "",
      PULUMI_IGNORE_AMBIENT_PLUGINS: "true",
      PULUMI_BACKEND_URL: "s3://mine",
    });
    expect(environment).toEqual({
      HOME: "/home/me",
      PATH: `${paths.bin}:/usr/bin:/bin`,
      KUBECONFIG: paths.kubeconfig,
      PULUMI_HOME: paths.pulumiHome,
      PULUMI_BACKEND_URL: "file:///tmp/a%20b/state",
      PULUMI_CONFIG_PASSPHRASE_FILE: paths.passphrase,
      PULUMI_SKIP_UPDATE_CHECK: "true",
    });
  });
});
