import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import type { Names } from "../../plan/names.ts";
import { roleLabel } from "../../plan/network/index.ts";
import type { Proxy } from "../../plan/serving/index.ts";
import { type Labels, labelsOf, leaf, owner } from "../metadata.ts";
import { type Nodes, podBasis, pullSecrets, resourcesOf } from "../pod.ts";
import { programs } from "../runtime-program.ts";
import { fromSecret, type ProxySecrets } from "../secrets/stack-secrets.ts";

export interface LiteLlmProxyArgs {
  names: Names;
  proxy: Proxy;
  /** Where the pods run. */
  nodes: Nodes;
  namespace: pulumi.Input<string>;
  labels: Labels;
  secrets: ProxySecrets;
  /** Secret with registry credentials. */
  pullSecret?: pulumi.Input<string> | undefined;
  /** Minutes until the policy must be served. */
  rolloutMinutes: number;
}

type Container = k8s.types.input.core.v1.Container;

/** Where the configuration is, with the programs that LiteLLM loads from beside it. */
const configDirectory = "/etc/litellm";

/** Any user but root will do; the image reads nothing that belongs to one. */
const userId = 65532;

/** LiteLLM in front of the recorder; it starts when every rollout server of the run answers. */
export class LiteLlmProxy extends pulumi.ComponentResource {
  constructor(name: string, args: LiteLlmProxyArgs, opts?: pulumi.ComponentResourceOptions) {
    super("swe-rl:inference:LiteLlmProxy", name, args, opts);
    const { names, proxy } = args;
    const identity = {
      labels: args.labels,
      namespace: args.namespace,
      app: "litellm",
      component: "proxy",
    };
    const configuration = programs(
      `${name}-configuration`,
      {
        identity: { ...identity, app: "litellm-configuration" },
        program: "litellm",
        // JSON is YAML.
        beside: { "config.yaml": JSON.stringify(proxy.litellm, null, 2) },
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
            metadata: { labels: { ...labelsOf(identity), ...selector } },
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
              initContainers: [waiter(args)],
              containers: [server(args)],
              volumes: [
                { name: "configuration", configMap: { name: configuration } },
                { name: "tmp", emptyDir: {} },
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
        },
      },
    );
    new k8s.policy.v1.PodDisruptionBudget(
      `${name}-disruption`,
      {
        metadata: leaf({ ...identity, app: "litellm-disruption" }, names.proxy),
        spec: {
          maxUnavailable: 1,
          selector: { matchLabels: { ...selector, "app.kubernetes.io/name": "litellm" } },
        },
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

const configurationMount = { name: "configuration", mountPath: configDirectory, readOnly: true };

function waiter({ proxy, rolloutMinutes }: LiteLlmProxyArgs): Container {
  return {
    name: "await-recorder",
    image: proxy.image,
    command: ["python3", "-u", `${configDirectory}/await_recorder.py`],
    securityContext: hardened,
    env: [
      { name: "RECORDER_URL", value: proxy.recorder.url },
      { name: "TIMEOUT_SECONDS", value: String(rolloutMinutes * 60) },
    ],
    resources: resourcesOf(proxy.waitRequests),
    volumeMounts: [configurationMount],
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
    volumeMounts: [configurationMount, { name: "tmp", mountPath: "/tmp" }],
  };
}
