import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import * as random from "@pulumi/random";
import type { TrainingSecret } from "../../plan/verl/index.ts";
import type { NamespaceRole } from "../../plan/names.ts";
import { type Labels, deletedInBackground } from "../metadata.ts";

/** A value in a Secret, as containers refer to it. */
export interface SecretKey {
  readonly name: pulumi.Output<string>;
  readonly key: string;
}

/** The proxy's credentials. */
export interface ProxySecrets {
  /** LiteLLM's master key; it never leaves the proxy's namespace. */
  readonly masterKey: SecretKey;
  /** The sandboxes' key, as the proxy knows it. */
  readonly sandboxKey: SecretKey;
}

export interface StackSecretsArgs {
  /** Namespaces of the stack, by namespaceRole; without a proxy's, nothing of it is generated. */
  namespaces: {
    readonly train: pulumi.Input<string>;
    readonly proxy?: pulumi.Input<string> | undefined;
    readonly sandbox: pulumi.Input<string>;
  };
  /** Key of the tracker, from the stack's secrets; needed when runs are tracked online. */
  wandbApiKey?: pulumi.Output<string> | undefined;
  /** Content of a Docker `config.json` with credentials of the image registries, from the stack's secrets. */
  registryCredentials?: pulumi.Output<string> | undefined;
  labels: Labels;
}

/** Key under which KubeRay looks for the token. */
const rayTokenKey = "auth_token";

/** Key under which Kubernetes looks for registry credentials. */
const dockerConfigKey = ".dockerconfigjson";

/**
 * The generated credentials of a stack. They live in Secrets, encrypted in the state, and reach programs only by
 * reference: no value stands in a pod specification, a ConfigMap or a command line.
 */
export class StackSecrets extends pulumi.ComponentResource {
  /** Secret of the training namespace with Ray's token, in KubeRay's form. */
  public readonly rayAuthentication: pulumi.Output<string>;
  /** Ray's token for programs of the training namespace. */
  public readonly rayToken: SecretKey;
  /** What the proxy knows, in a Secret of its own namespace; undefined without a proxy. */
  public readonly proxy: ProxySecrets | undefined;
  /** Secrets that training pods get as variables. */
  public readonly training: Readonly<Record<TrainingSecret, SecretKey>>;
  /** Secrets with registry credentials, by namespaceRole; undefined without credentials. */
  public readonly pull: Readonly<Record<NamespaceRole, pulumi.Output<string> | undefined>>;

  constructor(name: string, args: StackSecretsArgs, opts?: pulumi.ComponentResourceOptions) {
    super("swe-rl:secrets:StackSecrets", name, args, opts);
    const generate = (part: string) =>
      new random.RandomPassword(`${name}-${part}`, { length: 40, special: false }, { parent: this })
        .result;
    const rayToken = generate("ray-token");
    // LiteLLM and its clients expect keys to begin so.
    const key = (part: string) => pulumi.interpolate`sk-${generate(part)}`;
    const sandboxKey = key("sandbox-key");

    const secret = (part: string, namespace: pulumi.Input<string>, data: SecretData) =>
      new k8s.core.v1.Secret(
        `${name}-${part}`,
        {
          metadata: deletedInBackground({
            labels: args.labels,
            namespace,
            app: part,
            component: "secrets",
          }),
          type: dockerConfigKey in data ? "kubernetes.io/dockerconfigjson" : "Opaque",
          stringData: data,
          immutable: true,
        },
        { parent: this },
      ).metadata.name;
    const { namespaces } = args;
    this.rayAuthentication = secret("ray-auth", namespaces.train, { [rayTokenKey]: rayToken });
    const training = secret("training-credentials", namespaces.train, {
      sandboxKey,
      ...(args.wandbApiKey ? { wandbApiKey: args.wandbApiKey } : {}),
    });
    this.rayToken = { name: this.rayAuthentication, key: rayTokenKey };
    this.training = {
      sandboxKey: { name: training, key: "sandboxKey" },
      wandbApiKey: { name: training, key: "wandbApiKey" },
    };
    if (namespaces.proxy !== undefined) {
      const proxy = secret("proxy-credentials", namespaces.proxy, {
        masterKey: key("master-key"),
        sandboxKey,
      });
      this.proxy = {
        masterKey: { name: proxy, key: "masterKey" },
        sandboxKey: { name: proxy, key: "sandboxKey" },
      };
    }
    const registry = args.registryCredentials;
    const pullSecret = (namespaceRole: NamespaceRole) => {
      const namespace = namespaces[namespaceRole];
      if (registry === undefined || namespace === undefined) return undefined;
      return secret(`registry-${namespaceRole}`, namespace, { [dockerConfigKey]: registry });
    };
    this.pull = {
      train: pullSecret("train"),
      proxy: pullSecret("proxy"),
      sandbox: pullSecret("sandbox"),
    };
    this.registerOutputs({ rayAuthentication: this.rayAuthentication });
  }
}

type SecretData = Record<string, pulumi.Input<string>>;

/** A container's variable that is taken from a Secret. */
export function fromSecret(name: string, secret: SecretKey): k8s.types.input.core.v1.EnvVar {
  return { name, valueFrom: { secretKeyRef: { name: secret.name, key: secret.key } } };
}
