import type * as k8s from "@pulumi/kubernetes";
import type * as pulumi from "@pulumi/pulumi";
import type { Names } from "../../plan/names.ts";
import type { Proxy } from "../../plan/serving/index.ts";
import type { Labels } from "../metadata.ts";
import { type Nodes, programVolume, resourcesOf, unprivileged } from "../pod.ts";
import { ProgramDeployment, type ProgramTransforms } from "../program-deployment.ts";
import { fromSecret, type ProxySecrets } from "../secrets/stack-secrets.ts";
import { serviceMinutes } from "./discovery.ts";
import { proxyPods } from "./proxy-endpoint.ts";

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
  /** @default no change */
  transform?: ProgramTransforms;
}

type Container = k8s.types.input.core.v1.Container;

/** Where the configuration is, with the programs that LiteLLM loads from beside it. */
const configDirectory = "/etc/litellm";

/** Any user but root will do; the image reads nothing that belongs to one. */
const userId = 65532;

/** LiteLLM in front of the recorder; it starts when every rollout server of the run answers. */
export class LiteLlmProxy extends ProgramDeployment {
  constructor(name: string, args: LiteLlmProxyArgs, opts?: pulumi.ComponentResourceOptions) {
    const { names, proxy, labels, namespace } = args;
    super(
      { type: "swe-rl:inference:LiteLlmProxy", name, args },
      {
        identity: { labels, namespace, app: "litellm", component: "proxy" },
        object: names.proxy,
        selector: proxyPods,
        nodes: args.nodes,
        pullSecret: args.pullSecret,
        program: {
          folder: "litellm",
          suffix: "configuration",
          app: "litellm-configuration",
          // JSON is YAML.
          beside: { "config.yaml": JSON.stringify(proxy.litellm, null, 2) },
        },
        replicas: proxy.replicas,
        rolloutMinutes: serviceMinutes,
        deletion: "foreground",
        pod: (files) => ({
          automountServiceAccountToken: false,
          topologySpreadConstraints: [
            {
              maxSkew: 1,
              topologyKey: "kubernetes.io/hostname",
              whenUnsatisfiable: "ScheduleAnyway",
              labelSelector: { matchLabels: { ...proxyPods } },
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
            { ...programVolume(files), name: configurationMount.name },
            { name: "tmp", emptyDir: {} },
          ],
        }),
        budget: { maxUnavailable: 1, app: "litellm-disruption" },
      },
      opts,
    );
    this.registerOutputs({ deployment: this.deployment.metadata.name });
  }
}

const configurationMount = { name: "configuration", mountPath: configDirectory, readOnly: true };

function waiter({ proxy, rolloutMinutes }: LiteLlmProxyArgs): Container {
  return {
    name: "await-recorder",
    image: proxy.image,
    command: ["python3", "-u", `${configDirectory}/await_recorder.py`],
    securityContext: unprivileged,
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
    securityContext: unprivileged,
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
