import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import type { KubernetesObject, Recording } from "../../support/recorder.ts";
import { projectRoot } from "../../support/settings.ts";
import { recordTier } from "../../support/tier.ts";

interface Pod {
  spec: {
    serviceAccountName: string;
    automountServiceAccountToken: boolean;
    nodeSelector: Record<string, string>;
    containers: {
      image: string;
      command: string[];
      env: { name: string; value?: string; valueFrom?: object }[];
      securityContext: object;
    }[];
  };
}

const podOf = (recording: Recording): Pod["spec"] => {
  const { inputs } = recording.one("kubernetes:apps/v1:Deployment", "sandbox-reaper");
  return (inputs["spec"] as { template: Pod }).template.spec;
};
const containerOf = (recording: Recording) => podOf(recording).containers[0]!;
const environment = (recording: Recording) =>
  Object.fromEntries(containerOf(recording).env.map(({ name, value }) => [name, value]));
const named = (objects: KubernetesObject[]) =>
  objects.filter(({ metadata }) => metadata.name === "sandbox-reaper");

describe.each(["single-node", "two-node", "three-node"])("the reaper of tier %s", (base) => {
  it("knows the run's sandboxes, their times and their owners", async () => {
    const { recording } = await recordTier("", { base });
    expect(environment(recording)).toEqual({
      SANDBOX_NAMESPACE: "run-sandbox",
      RUN_LABEL: "harbor-run=swe-lego-live-rl",
      STACK: "run",
      OWNER_NAMESPACE: "run-train",
      OWNER_PREFIX: "ray-",
      RAY_JOBS_URL: "http://ray-head-svc.run-train:8265",
      RAY_AUTH_TOKEN: undefined,
      DEADLINE_SECONDS: "6000",
      // Those of validation: they end by their own, longer deadline. Asynchronous tiers give set-up five times as long.
      LONGEST_DEADLINE_SECONDS: base === "single-node" ? "9000" : "9600",
      STARTUP_SECONDS: "2400",
      GRACE_SECONDS: "300",
      FINISHED_SECONDS: "1800",
      ROUND_SECONDS: "60",
      MOST_PER_ROUND: "100",
    });
  });

  it("may list and delete sandboxes, list its own namespace's pods, and nothing else", async () => {
    const { recording } = await recordTier("", { base });
    const rights = named(recording.objects("Role")).map(({ metadata, ...role }) => [
      metadata.namespace,
      role["rules"],
    ]);
    expect(rights.sort()).toEqual([
      ["run-sandbox", [{ apiGroups: [""], resources: ["pods"], verbs: ["list", "delete"] }]],
      ["run-train", [{ apiGroups: [""], resources: ["pods"], verbs: ["list"] }]],
    ]);
    for (const binding of named(recording.objects("RoleBinding"))) {
      expect(binding["roleRef"]).toMatchObject({ kind: "Role", name: "sandbox-reaper" });
      expect(binding["subjects"]).toEqual([
        { kind: "ServiceAccount", name: "sandbox-reaper", namespace: "run-train" },
      ]);
    }
  });
});

describe("the reaper", () => {
  it("runs on CPU nodes, with the training image and hardly any rights", async () => {
    const { recording, plan } = await recordTier();
    expect(podOf(recording)).toMatchObject({
      serviceAccountName: "sandbox-reaper",
      automountServiceAccountToken: true,
      nodeSelector: { "swe-rl.dev/pool": "cpu" },
    });
    expect(containerOf(recording)).toMatchObject({
      image: plan.trainer.image,
      command: ["python3", "-u", "-B", "/opt/swe-rl/reap_sandboxes.py"],
      securityContext: {
        allowPrivilegeEscalation: false,
        readOnlyRootFilesystem: true,
        capabilities: { drop: ["ALL"] },
      },
    });
  });

  it("has the modules that its program imports", async () => {
    const { recording } = await recordTier();
    const files = recording.one("kubernetes:core/v1:ConfigMap", "sandbox-reaper-programs").inputs[
      "data"
    ] as Record<string, string>;
    const ours = readdirSync(`${projectRoot}/runtime`);
    for (const text of Object.values(files)) {
      const imports = [...text.matchAll(/^(?:import|from) (\w+)/gm)].map(
        ([, name]) => `${name}.py`,
      );
      for (const name of imports.filter((file) => ours.includes(file))) {
        expect(Object.keys(files)).toContain(name);
      }
    }
    expect(files["reap_sandboxes.py"]).toBe(
      readFileSync(`${projectRoot}/runtime/reaper/reap_sandboxes.py`, "utf8"),
    );
  });

  it("goes by the experiment's own times and prefix, and can only look", async () => {
    const { recording } = await recordTier(
      `k8s: { pod_active_deadline_seconds: 12000, pod_startup_timeout: 3000 }
harbor_agent: { pod_name_prefix: mine }
sandbox: { reaper: { grace_minutes: 1, finished_minutes: 2, dry_run: true } }`,
    );
    expect(environment(recording)).toMatchObject({
      RUN_LABEL: "harbor-run=mine",
      DEADLINE_SECONDS: "12000",
      LONGEST_DEADLINE_SECONDS: "12000",
      STARTUP_SECONDS: "3000",
      GRACE_SECONDS: "60",
      FINISHED_SECONDS: "120",
    });
    expect(containerOf(recording).command.at(-1)).toBe("--dry-run");
  });

  it("comes after Ray, whose pods own the sandboxes, and goes before it", async () => {
    const { recording } = await recordTier();
    const { dependencies } = recording.one("swe-rl:sandbox:Reaper", "sandbox-reaper");
    const names = dependencies.map((urn) => urn.split("::").at(-1));
    expect(names).toEqual(
      expect.arrayContaining(["training-start", "sandbox-default-deny"]) as string[],
    );
  });
});
