import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import * as random from "@pulumi/random";
import type { TrainingSecret } from "../../config/plan/environment.ts";
import type { Compartment } from "../../config/plan/names.ts";
import { type Labels, leaf } from "../metadata.ts";

/** A value in a Secret, as containers refer to it. */
export interface SecretKey {
  readonly name: pulumi.Output<string>;
  readonly key: string;
}

export interface StackSecretsArgs {
  /** Namespaces of the stack, by compartment. */
  namespaces: Readonly<Record<Compartment, pulumi.Input<string>>>;
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
  /** LiteLLM's master key; it never leaves the proxy's namespace. */
  public readonly masterKey: SecretKey;
  /** The sandboxes' key as the proxy knows it. */
  public readonly sandboxKeyOfProxy: SecretKey;
  /** Secrets that training pods get as variables. */
  public readonly training: Readonly<Record<TrainingSecret, SecretKey>>;
  /** Secrets with registry credentials, by compartment; undefined without credentials. */
  public readonly pull: Readonly<Record<Compartment, pulumi.Output<string> | undefined>>;

  constructor(name: string, args: StackSecretsArgs, opts?: pulumi.ComponentResourceOptions) {
    super("swe-rl:secrets:StackSecrets", name, args, opts);
    const generate = (part: string) =>
      new random.RandomPassword(`${name}-${part}`, { length: 40, special: false }, { parent: this })
        .result;
    const rayToken = generate("ray-token");
    // LiteLLM and its clients expect keys to begin so.
    const masterKey = pulumi.interpolate`sk-${generate("master-key")}`;
    const sandboxKey = pulumi.interpolate`sk-${generate("sandbox-key")}`;

    const secret = (part: string, compartment: Compartment, data: SecretData) =>
      new k8s.core.v1.Secret(
        `${name}-${part}`,
        {
          metadata: leaf({
            labels: args.labels,
            namespace: args.namespaces[compartment],
            app: part,
            component: "secrets",
          }),
          type: dockerConfigKey in data ? "kubernetes.io/dockerconfigjson" : "Opaque",
          stringData: data,
          immutable: true,
        },
        { parent: this },
      ).metadata.name;
    this.rayAuthentication = secret("ray-auth", "train", { [rayTokenKey]: rayToken });
    const training = secret("training-credentials", "train", {
      sandboxKey,
      ...(args.wandbApiKey ? { wandbApiKey: args.wandbApiKey } : {}),
    });
    const proxy = secret("proxy-credentials", "proxy", { masterKey, sandboxKey });
    this.rayToken = { name: this.rayAuthentication, key: rayTokenKey };
    this.masterKey = { name: proxy, key: "masterKey" };
    this.sandboxKeyOfProxy = { name: proxy, key: "sandboxKey" };
    this.training = {
      sandboxKey: { name: training, key: "sandboxKey" },
      wandbApiKey: { name: training, key: "wandbApiKey" },
    };
    const registry = args.registryCredentials;
    const pullSecret = (compartment: Compartment) =>
      registry && secret(`registry-${compartment}`, compartment, { [dockerConfigKey]: registry });
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
