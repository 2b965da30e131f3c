import { describe, expect, it } from "vitest";
import { recordTier } from "../../support/tier.ts";

describe("the sandbox namespace", () => {
  it("enforces baseline, and warns of what restricted would refuse", async () => {
    const { recording } = await recordTier();
    const levels = recording
      .objects("Namespace")
      .map(({ metadata }) => [
        metadata.name,
        metadata.labels["pod-security.kubernetes.io/enforce"],
        metadata.labels["pod-security.kubernetes.io/warn"],
        metadata.labels["pod-security.kubernetes.io/audit"],
      ]);
    expect(levels.sort()).toEqual([
      ["run-proxy", "restricted", "restricted", "restricted"],
      ["run-sandbox", "baseline", "restricted", "restricted"],
      ["run-train", "baseline", "restricted", "restricted"],
    ]);
  });

  it.each([
    [96, "120"],
    [128, "160"],
  ])("has a quota for %i parallel trials", async (trials, pods) => {
    const { recording } = await recordTier(`sandbox: { parallel_trials: ${trials} }`);
    const memory = 8192 * 2 ** 20;
    expect(recording.objects("ResourceQuota").map((quota) => quota["spec"])).toEqual([
      {
        hard: {
          pods,
          "requests.cpu": pods,
          "requests.memory": String(Number(pods) * memory),
          "limits.memory": String(Number(pods) * memory * 4),
          "limits.ephemeral-storage": String(Number(pods) * 32 * 2 ** 30),
          "requests.ephemeral-storage": String(Number(pods) * 32 * 2 ** 30),
          persistentvolumeclaims: "0",
          services: "0",
          "services.loadbalancers": "0",
          "services.nodeports": "0",
        },
      },
    ]);
  });

  it("gives its pods no token, whatever they ask for by default", async () => {
    const { recording } = await recordTier("", { secrets: { registryCredentials: "{}" } });
    const account = recording.one("kubernetes:core/v1:ServiceAccount", "sandbox-bounds-account");
    expect(account.inputs).toMatchObject({
      automountServiceAccountToken: false,
      imagePullSecrets: [{ name: "secrets-registry-sandbox-1a2b3c4d" }],
      metadata: { name: "default", namespace: "run-sandbox" },
    });
  });
});

describe("volumes", () => {
  const claims = async (site: object) => {
    const { recording } = await recordTier("", { site });
    return {
      claims: Object.fromEntries<unknown>(
        recording
          .objects("PersistentVolumeClaim")
          .map((claim) => [claim.metadata.name ?? "", claim["spec"]]),
      ),
      volumes: recording
        .objects("PersistentVolume")
        .map((volume) => [volume.metadata.name, volume["spec"]]),
      kept: recording.registrations
        .filter(({ retainOnDelete }) => retainOnDelete)
        .map(({ name }) => name),
    };
  };

  it("are claims of the site's storage class", async () => {
    const { claims: found } = await claims({});
    expect(found["checkpoints"]).toEqual({
      accessModes: ["ReadWriteMany"],
      resources: { requests: { storage: "4Ti" } },
      storageClassName: "swe-rl-lab",
    });
  });

  it("on NFS wait for their own claim, without its uid, so that it binds again after destroy", async () => {
    const nfs = { kind: "nfs", server: "nas", path: "/runs" };
    const {
      claims: found,
      volumes,
      kept,
    } = await claims({
      storage: { checkpoints: nfs, logs: nfs, trials: nfs },
    });
    expect(found["checkpoints"]).toEqual({
      accessModes: ["ReadWriteMany"],
      resources: { requests: { storage: "4Ti" } },
      storageClassName: "",
      volumeName: "run-checkpoints",
    });
    expect(volumes).toContainEqual([
      "run-checkpoints",
      {
        nfs: { server: "nas", path: "/runs", readOnly: false },
        capacity: { storage: "4Ti" },
        accessModes: ["ReadWriteMany"],
        persistentVolumeReclaimPolicy: "Retain",
        storageClassName: "",
        claimRef: { namespace: "run-train", name: "checkpoints" },
      },
    ]);
    expect(kept).toEqual(
      expect.arrayContaining(["checkpoints-volume", "checkpoints-claim"]) as string[],
    );
  });

  it("that exist are named", async () => {
    const { claims: found } = await claims({
      storage: {
        checkpoints: { kind: "existing", volume: "old-run", access_mode: "ReadWriteMany" },
        logs: { kind: "claim", access_mode: "ReadWriteOnce" },
        trials: { kind: "claim", access_mode: "ReadWriteMany" },
      },
    });
    expect(found["checkpoints"]).toMatchObject({ storageClassName: "", volumeName: "old-run" });
    expect(found["logs"]).toEqual({
      accessModes: ["ReadWriteOnce"],
      resources: { requests: { storage: "100Gi" } },
    });
  });

  it("with removal: remove are deleted, and their namespace with them", async () => {
    const { recording } = await recordTier(
      "storage: { checkpoints: { removal: remove }, logs: { removal: remove }, trials: { removal: remove } }",
    );
    const kept = recording.registrations.filter(({ retainOnDelete }) => retainOnDelete);
    expect(kept.map(({ name }) => name)).toEqual(["sandbox-bounds-account"]);
  });
});

describe("a claim of GPU nodes", () => {
  it("labels and taints the nodes, and only the stack's own pods follow", async () => {
    const gpu_nodes = {
      pool: { kind: "existing" },
      selector: { pool: "gpu" },
      tolerations: [],
      claim: ["node-7"],
      resource: "nvidia.com/gpu",
      cpus: 96,
      memory: "1400Gi",
    };
    const { recording } = await recordTier("", { site: { gpu_nodes } });
    expect(recording.one("kubernetes:core/v1:NodePatch", "gpu-nodes-node-7").inputs).toMatchObject({
      metadata: { name: "node-7", labels: { "swe-rl.dev/claimed-by": "run" } },
      spec: { taints: [{ key: "swe-rl.dev/claimed-by", value: "run", effect: "NoSchedule" }] },
    });
    const cluster = recording.objects("RayCluster")[0] as unknown as {
      spec: {
        workerGroupSpecs: { template: { spec: { nodeSelector: object; tolerations: object[] } } }[];
      };
    };
    expect(cluster.spec.workerGroupSpecs[0]?.template.spec).toMatchObject({
      nodeSelector: { pool: "gpu", "swe-rl.dev/claimed-by": "run" },
      tolerations: [
        { key: "swe-rl.dev/claimed-by", operator: "Equal", value: "run", effect: "NoSchedule" },
      ],
    });
  });
});
