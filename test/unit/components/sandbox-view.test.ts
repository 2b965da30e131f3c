import { beforeAll, describe, expect, it } from "vitest";
import type { KubernetesObject, Recording } from "../../support/recorder.ts";
import { recordTier } from "../../support/tier.ts";

interface Rule {
  apiGroups: string[];
  resources: string[];
  verbs: string[];
}
interface Subject {
  kind: string;
  name: string;
  namespace: string;
}

const variants: { name: string; base: string; yaml?: string }[] = [
  { name: "single-node", base: "single-node" },
  { name: "two-node", base: "two-node" },
  { name: "three-node", base: "three-node" },
  { name: "single-node in process", base: "single-node", yaml: "proxy: { mode: in_process }" },
  { name: "two-node with LiteLLM", base: "two-node", yaml: "proxy: { mode: litellm }" },
];

/** What the network cannot decide: which secrets and rights a sandbox finds where it is. Its traffic is judged in isolation.test.ts and by the engine tests. */
describe.each(variants)("from its namespace, a sandbox of $name", ({ base, yaml }) => {
  let recording: Recording;
  const inSandbox = ({ metadata }: KubernetesObject) => metadata.namespace === "run-sandbox";
  beforeAll(async () => {
    ({ recording } = await recordTier(yaml, {
      base,
      secrets: { wandbApiKey: "wandb-value", registryCredentials: "registry-value" },
    }));
  });

  it("finds no secret but the registry's, and that only where one is given", async () => {
    const secrets = recording.objects("Secret").filter(inSandbox);
    expect(secrets.map(({ type }) => type)).toEqual(["kubernetes.io/dockerconfigjson"]);
    const without = await recordTier(yaml, { base, secrets: { wandbApiKey: "wandb-value" } });
    expect(without.recording.objects("Secret").filter(inSandbox)).toEqual([]);
  });

  it("finds no secret value in any other object there", () => {
    const values = ["wandb-value", "-token-value", "-key-value", "registry-value"];
    const others = recording.registrations
      .filter(({ inputs }) => {
        const metadata = inputs["metadata"] as { namespace?: string } | undefined;
        return metadata?.namespace === "run-sandbox" && inputs["kind"] !== "Secret";
      })
      .map(({ inputs }) => JSON.stringify(inputs));
    expect(others.length).toBeGreaterThan(4);
    expect(others.filter((text) => values.some((value) => text.includes(value)))).toEqual([]);
  });

  it("has no account with rights, and no token of one that has", () => {
    const bindings = recording.objects("RoleBinding");
    const subjects = bindings.flatMap((binding) => binding["subjects"] as Subject[]);
    expect(new Set(subjects.map(({ kind, namespace }) => `${kind} ${namespace}`))).toEqual(
      new Set(["ServiceAccount run-train"]),
    );
    expect(recording.objects("ClusterRoleBinding")).toEqual([]);
    const accounts = recording.objects("ServiceAccount").filter(inSandbox);
    expect(accounts.map(({ metadata, ...account }) => [metadata.name, account])).toEqual([
      ["default", expect.objectContaining({ automountServiceAccountToken: false })],
    ]);
  });

  it("could learn no secret even from the accounts that have rights", () => {
    const rules = recording
      .objects("Role")
      .flatMap((role) =>
        (role["rules"] as Rule[]).map((rule) => ({ ...rule, namespace: role.metadata.namespace })),
      );
    const resources = new Set(rules.flatMap((rule) => rule.resources));
    expect(resources).toEqual(
      new Set(["pods", "pods/exec", "pods/log", "events", "deployments", "jobs", "rayclusters"]),
    );
    expect(rules.flatMap(({ verbs }) => verbs)).not.toContain("*");
    // Where the secrets are, nobody may do more than look at workloads, whose variables only name them.
    const beside = rules.filter(({ namespace }) => namespace !== "run-sandbox");
    expect(new Set(beside.flatMap(({ verbs }) => verbs))).toEqual(new Set(["get", "list"]));
    expect(beside.flatMap((rule) => rule.resources)).not.toContain("pods/exec");
  });

  it("meets a Ray that demands its token, with a token that it cannot read", () => {
    const [cluster] = recording.objects("RayCluster");
    const { authOptions } = cluster?.["spec"] as { authOptions: { mode: string } };
    expect(authOptions.mode).toBe("token");
    const holders = recording.objects("Secret").filter(({ stringData, data }) => {
      return JSON.stringify([stringData, data]).includes("secrets-ray-token-value");
    });
    expect(holders.map(({ metadata }) => metadata.namespace)).toEqual(["run-train"]);
  });
});
