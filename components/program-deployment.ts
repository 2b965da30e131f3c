/** A Deployment of one program, with everything that it needs beside its pods. */
import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import {
  type Identity,
  type Labels,
  labelsOf,
  deletedInBackground,
  deletedInForeground,
} from "./metadata.ts";
import { type Nodes, podBasis, pullSecrets } from "./pod.ts";
import { type Program, programs } from "./runtime-program.ts";
import { markOf, type Workload } from "./workload.ts";
import { type Transform, transformed } from "./transform.ts";

type PodSpec = k8s.types.input.core.v1.PodSpec;
type DeploymentSpec = k8s.types.input.apps.v1.DeploymentSpec;

/** What a user may change of the children of a {@link ProgramDeployment}. */
export interface ProgramTransforms {
  /** @default no change */
  deployment?: Transform<k8s.apps.v1.DeploymentArgs>;
  /** @default no change */
  service?: Transform<k8s.core.v1.ServiceArgs>;
}

/** What a component says of its program. */
export interface DeployedProgram {
  identity: Identity;
  /** Name of all its objects. */
  object: string;
  /**
   * Labels by which Deployment, Service and PodDisruptionBudget select its pods, and no others of the namespace: a role,
   * by which policies know pods, may belong to several programs. Immutable: with other labels Pulumi deletes the
   * Deployment before it makes the new one, whose name is the same.
   */
  selector: Labels;
  /** Labels of the pods beside those of the identity and the selector. @default none */
  podLabels?: Labels;
  /** @default none */
  podAnnotations?: Readonly<Record<string, string>>;
  nodes: Nodes;
  /** Secret with registry credentials. @default the nodes' own */
  pullSecret?: pulumi.Input<string> | undefined;
  /** The folder of `runtime/` that its pods mount. @default no program of ours */
  program?: {
    folder: Program;
    /** Ending of the ConfigMap's logical name. @default "programs" */
    suffix?: string;
    /** `app.kubernetes.io/name` of the ConfigMap. @default the identity's */
    app?: string;
    /** Files beside the program, by name. @default none */
    beside?: Readonly<Record<string, string>>;
  };
  /** Pods. @default 1 */
  replicas?: number;
  /** @default Kubernetes' own: RollingUpdate */
  strategy?: DeploymentSpec["strategy"];
  /** Minutes until new pods must be ready. @default Kubernetes' and Pulumi's own: 10 */
  rolloutMinutes?: number;
  /** The same for an update. @default rolloutMinutes */
  updateMinutes?: number;
  /** How Kubernetes deletes the Deployment: in the foreground Pulumi waits for its pods, in the background not. */
  deletion: "foreground" | "background";
  /** Containers, volumes, security: all of the pod but nodes and account. */
  pod: (programs: pulumi.Output<string> | undefined) => Omit<PodSpec, "serviceAccountName">;
  /** Of type ClusterIP, selecting the program's pods. @default none */
  service?: Omit<k8s.types.input.core.v1.ServiceSpec, "type" | "selector">;
  /** Whether the Service, and what needs its address, waits for ready pods. @default false */
  serviceAfterPods?: boolean;
  /** Pods that a drain may take at once. @default no PodDisruptionBudget */
  budget?: { maxUnavailable: number; app?: string };
}

/** Account, program, Deployment and, where wanted, Service and PodDisruptionBudget of one program. */
export abstract class ProgramDeployment extends pulumi.ComponentResource {
  public readonly account: k8s.core.v1.ServiceAccount;
  public readonly deployment: k8s.apps.v1.Deployment;
  public readonly service: k8s.core.v1.Service | undefined;
  public readonly budget: k8s.policy.v1.PodDisruptionBudget | undefined;
  /** For the check of its start: on an update Pulumi may not wait for its new pods. */
  public readonly workload: Workload;

  /** @param component Type token, logical name and arguments of the component. */
  constructor(
    component: { type: string; name: string; args: { transform?: ProgramTransforms } },
    deployed: DeployedProgram,
    opts?: pulumi.ComponentResourceOptions,
  ) {
    const { type, name, args } = component;
    // A transform can be a function, which is no input of a resource.
    const { transform = {}, ...inputs } = args;
    super(type, name, inputs, opts);
    const parts = { name, deployed, transform };
    const files = this.#program(parts);
    this.account = this.#account(parts);
    const deployment = this.#deploymentArgs(parts, files);
    this.deployment = new k8s.apps.v1.Deployment(...deployment);
    this.workload = {
      kind: "Deployment",
      namespace: this.deployment.metadata.namespace,
      name: deployed.object,
      mark: markOf(deployment[1]),
    };
    this.service = this.#service(parts);
    this.budget = this.#budget(parts);
  }

  #program({ name, deployed }: Parts): pulumi.Output<string> | undefined {
    const { program, identity } = deployed;
    if (!program) return undefined;
    return programs(
      `${name}-${program.suffix ?? "programs"}`,
      {
        identity: { ...identity, app: program.app ?? identity.app },
        program: program.folder,
        beside: program.beside ?? {},
      },
      { parent: this },
    );
  }

  #account({ name, deployed }: Parts): k8s.core.v1.ServiceAccount {
    return new k8s.core.v1.ServiceAccount(
      `${name}-account`,
      {
        metadata: deletedInBackground(deployed.identity, deployed.object),
        automountServiceAccountToken: false,
        ...pullSecrets(deployed.pullSecret),
      },
      { parent: this },
    );
  }

  #deploymentArgs(
    { name, deployed, transform }: Parts,
    files: pulumi.Output<string> | undefined,
  ): [string, k8s.apps.v1.DeploymentArgs, pulumi.CustomResourceOptions] {
    const { identity, selector, rolloutMinutes } = deployed;
    const metadata = deployed.deletion === "foreground" ? deletedInForeground : deletedInBackground;
    const template = {
      metadata: {
        labels: { ...labelsOf(identity), ...selector, ...deployed.podLabels },
        ...(deployed.podAnnotations === undefined
          ? {}
          : { annotations: { ...deployed.podAnnotations } }),
      },
      spec: {
        ...podBasis(deployed.nodes, this.account.metadata.name),
        ...deployed.pod(files),
      },
    };
    const args = {
      metadata: metadata(identity, deployed.object),
      spec: {
        replicas: deployed.replicas ?? 1,
        ...(deployed.strategy === undefined ? {} : { strategy: deployed.strategy }),
        ...(rolloutMinutes === undefined ? {} : { progressDeadlineSeconds: rolloutMinutes * 60 }),
        selector: { matchLabels: { ...selector } },
        template,
      },
    };
    return transformed<k8s.apps.v1.DeploymentArgs>(transform.deployment, {
      name,
      args,
      opts: { parent: this, ...timeouts(deployed) },
    });
  }

  #service({ name, deployed, transform }: Parts): k8s.core.v1.Service | undefined {
    const { service, identity, object, selector } = deployed;
    if (!service) return undefined;
    const args = {
      // `skipAwait`: the Deployment is awaited, and Pulumi's patience for a Service's endpoints is shorter.
      metadata: deletedInBackground(identity, object, {
        annotations: { "pulumi.com/skipAwait": "true" },
      }),
      spec: { type: "ClusterIP", selector: { ...selector }, ...service },
    };
    const opts = {
      parent: this,
      ...(deployed.serviceAfterPods ? { dependsOn: [this.deployment] } : {}),
    };
    return new k8s.core.v1.Service(
      ...transformed<k8s.core.v1.ServiceArgs>(transform.service, {
        name: `${name}-service`,
        args,
        opts,
      }),
    );
  }

  #budget({ name, deployed }: Parts): k8s.policy.v1.PodDisruptionBudget | undefined {
    const { budget, identity, object, selector } = deployed;
    if (!budget) return undefined;
    return new k8s.policy.v1.PodDisruptionBudget(
      `${name}-disruption`,
      {
        metadata: deletedInBackground({ ...identity, app: budget.app ?? identity.app }, object),
        spec: {
          maxUnavailable: budget.maxUnavailable,
          selector: { matchLabels: { ...selector } },
        },
      },
      { parent: this },
    );
  }
}

interface Parts {
  readonly name: string;
  readonly deployed: DeployedProgram;
  readonly transform: ProgramTransforms;
}

function timeouts({
  rolloutMinutes,
  updateMinutes = rolloutMinutes,
}: DeployedProgram): Pick<pulumi.CustomResourceOptions, "customTimeouts"> {
  if (rolloutMinutes === undefined || updateMinutes === undefined) return {};
  return { customTimeouts: { create: `${rolloutMinutes}m`, update: `${updateMinutes}m` } };
}
