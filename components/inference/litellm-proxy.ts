import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import type { Names } from "../../config/plan/names.ts";
import { roleLabel } from "../../config/plan/network.ts";
import type { Proxy } from "../../config/plan/proxy.ts";
import type { Trainer } from "../../config/plan/trainer.ts";
import { deletionTimeout, type Labels, labelsOf, leaf, owner } from "../metadata.ts";
import { type Nodes, podBasis, pullSecrets } from "../pod.ts";
import { programDirectory, programs } from "../runtime-program.ts";
import { fromSecret, type ProxySecrets } from "../secrets/stack-secrets.ts";

export interface LiteLlmProxyArgs {
  names: Names;
  proxy: Proxy;
  trainer: Pick<Trainer, "fingerprint" | "rayNamespace">;
  /** Where the pods run. */
  nodes: Nodes;
  namespace: pulumi.Input<string>;
  labels: Labels;
  /** Address of Ray's job API, which discovery asks for the rollout servers. */
  jobsUrl: pulumi.Input<string>;
  secrets: ProxySecrets;
  /** Secret with registry credentials. */
  pullSecret?: pulumi.Input<string> | undefined;
  /** Minutes until the policy must be served. */
  rolloutMinutes: number;
}

type Container = k8s.types.input.core.v1.Container;

const templateDirectory = "/etc/swe-rl";
const configDirectory = "/etc/litellm";

/** Any user but root will do; the image reads nothing that belongs to one. */
const userId = 65532;

/** LiteLLM in front of all rollout servers of a run; it starts when every one of them answers. */
export class LiteLlmProxy extends pulumi.ComponentResource {
  constructor(name: string, args: LiteLlmProxyArgs, opts?: pulumi.ComponentResourceOptions) {
    super("swe-rl:inference:LiteLlmProxy", name, args, opts);
    const { names, proxy, trainer } = args;
    const identity = {
      labels: args.labels,
      namespace: args.namespace,
      app: "litellm",
      component: "proxy",
    };
    const template = new k8s.core.v1.ConfigMap(
      `${name}-template`,
      {
        metadata: leaf({ ...identity, app: "litellm-template" }),
        immutable: true,
        data: { "proxy-template.json": JSON.stringify(proxy.litellm, null, 2) },
      },
      { parent: this },
    );
    const proxyPrograms = programs(
      `${name}-programs`,
      {
        identity: { ...identity, app: "litellm-programs" },
        files: ["discover_rollouts.py", "pod.py", "ray_jobs.py", "sandbox_auth.py"],
      },
      { parent: this },
    );
    const account = new k8s.core.v1.ServiceAccount(
      `${name}-account`,
      {
        metadata: leaf(identity, names.proxy),
        automountServiceAccountToken: false,
        ...pullSecrets(args.pullSecret),
      },
      { parent: this },
    );
    const selector = { [roleLabel]: "proxy" };
    new k8s.apps.v1.Deployment(
      name,
      {
        metadata: owner(identity, names.proxy),
        spec: {
          replicas: proxy.replicas,
          selector: { matchLabels: selector },
          progressDeadlineSeconds: args.rolloutMinutes * 60,
          template: {
            metadata: {
              labels: { ...labelsOf(identity), ...selector },
              // Another run has other rollout servers, which only a new pod discovers.
              annotations: { "swe-rl.dev/run": trainer.fingerprint },
            },
            spec: {
              ...podBasis(args.nodes, account.metadata.name),
              automountServiceAccountToken: false,
              topologySpreadConstraints: [
                {
                  maxSkew: 1,
                  topologyKey: "kubernetes.io/hostname",
                  whenUnsatisfiable: "ScheduleAnyway",
                  labelSelector: { matchLabels: selector },
                },
              ],
              securityContext: {
                runAsNonRoot: true,
                runAsUser: userId,
                runAsGroup: userId,
                fsGroup: userId,
                seccompProfile: { type: "RuntimeDefault" },
              },
              initContainers: [discovery(args)],
              containers: [server(args)],
              volumes: [
                { name: "config", emptyDir: {} },
                { name: "tmp", emptyDir: {} },
                { name: "template", configMap: { name: template.metadata.name } },
                { name: "programs", configMap: { name: proxyPrograms } },
              ],
            },
          },
        },
      },
      {
        parent: this,
        customTimeouts: {
          create: `${args.rolloutMinutes}m`,
          update: `${args.rolloutMinutes}m`,
          delete: deletionTimeout,
        },
      },
    );
    new k8s.policy.v1.PodDisruptionBudget(
      `${name}-disruption`,
      {
        metadata: leaf({ ...identity, app: "litellm-disruption" }, names.proxy),
        spec: { maxUnavailable: 1, selector: { matchLabels: selector } },
      },
      { parent: this },
    );
    this.registerOutputs();
  }
}

const hardened = {
  allowPrivilegeEscalation: false,
  readOnlyRootFilesystem: true,
  capabilities: { drop: ["ALL"] },
};

function discovery(args: LiteLlmProxyArgs): Container {
  const { proxy, trainer, rolloutMinutes } = args;
  return {
    name: "discover-rollouts",
    image: proxy.image,
    command: ["python3", "-u", `${programDirectory}/discover_rollouts.py`],
    securityContext: hardened,
    env: [
      { name: "RAY_JOBS_URL", value: args.jobsUrl },
      fromSecret("RAY_AUTH_TOKEN", args.secrets.rayToken),
      { name: "RAY_NAMESPACE", value: trainer.rayNamespace },
      { name: "ROLLOUT_SERVERS", value: String(proxy.rolloutServers) },
      { name: "LIST_PROGRAM", value: `${programDirectory}/list_rollouts.py` },
      { name: "PROXY_TEMPLATE", value: `${templateDirectory}/proxy-template.json` },
      { name: "PROXY_CONFIG", value: `${configDirectory}/config.yaml` },
      { name: "DISCOVERY_TIMEOUT_SECONDS", value: String(rolloutMinutes * 60) },
    ],
    resources: { requests: { cpu: "100m", memory: "64Mi" }, limits: { memory: "256Mi" } },
    volumeMounts: [
      { name: "config", mountPath: configDirectory },
      { name: "template", mountPath: templateDirectory, readOnly: true },
      { name: "programs", mountPath: programDirectory, readOnly: true },
    ],
  };
}

function server(args: LiteLlmProxyArgs): Container {
  const { proxy } = args;
  // /health would send a completion to every rollout server; these two only ask the proxy itself.
  const probe = (path: string, failureThreshold: number) => ({
    httpGet: { path: `/health/${path}`, port: "http" },
    periodSeconds: 10,
    timeoutSeconds: 5,
    failureThreshold,
  });
  return {
    name: "litellm",
    image: proxy.image,
    command: ["litellm"],
    args: [
      "--config",
      `${configDirectory}/config.yaml`,
      "--host",
      "0.0.0.0",
      "--port",
      String(proxy.port),
    ],
    securityContext: hardened,
    env: [
      fromSecret("LITELLM_MASTER_KEY", args.secrets.masterKey),
      fromSecret("SANDBOX_API_KEY", args.secrets.sandboxKey),
      // verl's rollout servers ask for no key; LiteLLM must send something.
      { name: "VLLM_API_KEY", value: "none" },
      // Without this it looks for model prices on the internet first.
      { name: "LITELLM_LOCAL_MODEL_COST_MAP", value: "True" },
      { name: "HOME", value: "/tmp" },
    ],
    ports: [{ name: "http", containerPort: proxy.port }],
    startupProbe: probe("liveliness", 30),
    readinessProbe: probe("readiness", 3),
    livenessProbe: probe("liveliness", 18),
    resources: {
      requests: { cpu: String(proxy.cpus), memory: String(proxy.memoryBytes) },
      limits: { memory: String(proxy.memoryBytes) },
    },
    volumeMounts: [
      { name: "config", mountPath: configDirectory, readOnly: true },
      { name: "tmp", mountPath: "/tmp" },
    ],
  };
}
