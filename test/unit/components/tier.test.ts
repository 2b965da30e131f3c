import { globSync, readFileSync } from "node:fs";
import { beforeAll, describe, expect, it, vi } from "vitest";
import type { Recording, Registration } from "../../support/recorder.ts";
import { projectRoot } from "../../support/settings.ts";
import { recordTier } from "../../support/tier.ts";

const isKubernetes = ({ type }: Registration) =>
  type.startsWith("kubernetes:") && !type.startsWith("pulumi:providers");

describe("the single-node tier", () => {
  let recording: Recording;
  beforeAll(async () => {
    ({ recording } = await recordTier("", {
      secrets: { wandbApiKey: "wandb-value", registryCredentials: "registry-value" },
    }));
  });

  it("registers the same resources in preview and in up", async () => {
    const [preview, up] = [await recordTier("", { preview: true }), await recordTier()].map((run) =>
      run.recording.registrations.map(({ urn }) => urn).sort(),
    );
    expect(preview).toEqual(up);
  });

  it("has every object under a component whose name begins the object's", () => {
    for (const { type, name, parent } of recording.registrations.filter(({ custom }) => custom)) {
      if (type.startsWith("pulumi:providers")) continue;
      const component = parent.split("::").at(-1) ?? "";
      expect(parent).toContain("swe-rl:");
      expect(name === component || name.startsWith(`${component}-`)).toBe(true);
    }
  });

  it("gives every object to a provider that names the cluster's context", () => {
    for (const registration of recording.registrations.filter(isKubernetes)) {
      expect(registration.provider).toMatch(/providers:kubernetes::cluster(-adopting)?::/);
    }
    const providers = recording.registrations.filter(({ type }) =>
      type.startsWith("pulumi:providers"),
    );
    expect(providers.map(({ inputs }) => inputs)).toEqual([
      { context: "kwok-swe-rl", kubeconfig: "" },
      { context: "kwok-swe-rl", kubeconfig: "", upsertExistingObjects: "true" },
    ]);
  });

  it("tells its cluster from others by more than a name, and by no path of this machine", async () => {
    vi.stubEnv("KUBECONFIG", "/home/somebody/.kube/config");
    const { recording: known } = await recordTier("", { known: { identity: "uid" } });
    vi.unstubAllEnvs();
    const providers = known.registrations.filter(({ type }) => type.startsWith("pulumi:providers"));
    for (const { inputs } of providers) {
      expect(inputs).toMatchObject({ clusterIdentifier: "uid", kubeconfig: "" });
    }
  });

  it("labels every object", () => {
    for (const { inputs, type } of recording.registrations.filter(isKubernetes)) {
      const { labels } = inputs["metadata"] as { labels: Record<string, string> };
      expect({ type, ...labels }).toMatchObject({
        type,
        "app.kubernetes.io/part-of": "swe-rl",
        "app.kubernetes.io/managed-by": "pulumi",
        "app.kubernetes.io/instance": "run",
        "app.kubernetes.io/name": expect.stringMatching(/./) as string,
        "app.kubernetes.io/component": expect.stringMatching(/./) as string,
        "swe-rl.dev/stack": "run",
      });
    }
  });

  it("protects nothing, so that destroy always works", () => {
    expect(recording.registrations.filter(({ protect }) => protect)).toEqual([]);
  });

  it("keeps exactly the volumes, their namespace and an account that Kubernetes makes itself", () => {
    const kept = recording.registrations.filter(({ retainOnDelete }) => retainOnDelete);
    expect(kept.map(({ type, name }) => `${type.split(":").at(-1) ?? ""} ${name}`).sort()).toEqual([
      "Namespace train",
      "PersistentVolumeClaim checkpoints-claim",
      "PersistentVolumeClaim logs-claim",
      "PersistentVolumeClaim trials-claim",
      "ServiceAccount sandbox-bounds-account",
    ]);
  });

  it("adopts what it keeps, and takes over nothing else", () => {
    const adopting = recording.registrations.filter(({ provider }) =>
      provider.includes("cluster-adopting"),
    );
    expect(adopting.every(({ retainOnDelete }) => retainOnDelete)).toBe(true);
  });

  // A component's children are registered after it, and destroyed before it: its dependencies are theirs.
  it.each([
    [
      "swe-rl:ray:RayCluster",
      "ray",
      [
        "sandbox-default-deny",
        "sandbox-sandboxes-to-proxy",
        "sandbox-bounds-quota",
        "train-default-deny",
        "trainer-account-binding",
      ],
    ],
    ["swe-rl:training:TrainerJob", "trainer", ["ray"]],
    ["swe-rl:index:StartCheck", "training-start", ["ray", "trainer"]],
    ["swe-rl:index:StartCheck", "services-start", ["recorder", "litellm", "sandbox-reaper"]],
    ["swe-rl:inference:PolicyCheck", "policy-check", ["services-start"]],
    ["swe-rl:inference:PolicyCheck", "rollout-check", ["training-start", "train-default-deny"]],
    ["swe-rl:inference:Recorder", "recorder", ["rollout-check", "train-default-deny"]],
    ["swe-rl:inference:LiteLlmProxy", "litellm", ["recorder", "proxy-default-deny"]],
  ])("puts before %s %s: %j", (type, name, before) => {
    const dependencies = recording
      .one(type, name)
      .dependencies.map((urn) => urn.split("::").at(-1));
    expect(dependencies).toEqual(expect.arrayContaining(before) as string[]);
  });

  it("passes no secret value anywhere but in Secrets", () => {
    const values = [
      "secrets-ray-token-value",
      "secrets-master-key-value",
      "secrets-sandbox-key-value",
      "wandb-value",
      "registry-value",
    ];
    const found = (registration: Registration) =>
      values.filter((value) => JSON.stringify(registration.inputs).includes(value));
    const secrets = recording.registrations.filter(
      ({ type }) => type === "kubernetes:core/v1:Secret",
    );
    expect(new Set(secrets.flatMap(found))).toEqual(new Set(values));
    const others = recording.registrations.filter(
      (entry) => entry.custom && !secrets.includes(entry),
    );
    expect(others.flatMap(found)).toEqual([]);
  });

  it("has components whose type token is their place", () => {
    const files = globSync("components/*/*.ts", { cwd: projectRoot });
    const declared = files.flatMap((file) => {
      const [, folder = ""] = file.split("/");
      const text = readFileSync(`${projectRoot}/${file}`, "utf8");
      return [...text.matchAll(/super\("swe-rl:(\w+):(\w+)"/g)].map(([, module, name]) => {
        const kebab = (name ?? "")
          .replaceAll(/(?<=[a-z])(?=[A-Z])/g, "-")
          .toLowerCase()
          .replace("lite-llm", "litellm");
        return { file, place: `components/${module ?? ""}/${kebab}.ts`, module, folder };
      });
    });
    expect(declared.length).toBeGreaterThan(8);
    for (const { file, place } of declared) expect(file).toBe(place);
  });
});

describe("the asynchronous tiers", () => {
  it.each([
    ["two-node", ["train 1", "rollout 1"]],
    ["three-node", ["train 2", "rollout 1"]],
  ])("%s registers the same in preview and in up: Ray groups %j", async (base, groups) => {
    const preview = await recordTier("", { base, preview: true });
    const up = await recordTier("", { base });
    const urns = ({ recording }: typeof up) => recording.registrations.map(({ urn }) => urn).sort();
    expect(urns(preview)).toEqual(urns(up));
    const [cluster] = up.recording.objects("RayCluster");
    const { workerGroupSpecs } = cluster?.["spec"] as {
      workerGroupSpecs: { groupName: string; replicas: number; maxReplicas: number }[];
    };
    expect(workerGroupSpecs.map((group) => `${group.groupName} ${group.replicas}`)).toEqual(groups);
    for (const group of workerGroupSpecs) expect(group.maxReplicas).toBe(group.replicas);
  });

  it("have neither LiteLLM nor its namespace when agent loops are the proxy", async () => {
    const { recording } = await recordTier("", { base: "two-node" });
    const components = recording.registrations.map(({ type }) => type);
    expect(components).not.toContain("swe-rl:inference:LiteLlmProxy");
    const namespaces = recording.objects("Namespace").map(({ metadata }) => metadata.name);
    expect(namespaces.sort()).toEqual(["run-sandbox", "run-train"]);
  });

  it("have both when LiteLLM is chosen", async () => {
    const { recording } = await recordTier("proxy: { mode: litellm }", { base: "two-node" });
    expect(recording.one("swe-rl:inference:LiteLlmProxy", "litellm")).toBeDefined();
    expect(recording.objects("Namespace")).toHaveLength(3);
  });
});
