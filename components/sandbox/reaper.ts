import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import { roleLabel } from "../../plan/network/index.ts";
import type { Reaper as ReaperPlan } from "../../plan/sandbox/index.ts";
import { type Identity, type Labels, labelsOf, leaf } from "../metadata.ts";
import { type Nodes, podBasis, pullSecrets, resourcesOf } from "../pod.ts";
import { programDirectory, programs } from "../runtime-program.ts";
import { fromSecret, type SecretKey } from "../secrets/stack-secrets.ts";

export interface ReaperArgs {
  reaper: ReaperPlan;
  stack: string;
  /** Image with Python 3. */
  image: string;
  /** Where the pod runs: on the nodes of the head, which have the image. */
  nodes: Nodes;
  /** Where it runs, beside Ray's pods, which own the sandboxes. */
  namespace: pulumi.Input<string>;
  sandboxNamespace: pulumi.Input<string>;
  labels: Labels;
  /** Address of Ray's job API, which knows whether the run goes on. */
  jobsUrl: pulumi.Input<string>;
  rayToken: SecretKey;
  /** Secret with registry credentials. */
  pullSecret?: pulumi.Input<string> | undefined;
  /** Minutes until it must run: its node may have to pull the image first. */
  rolloutMinutes: number;
}

/**
 * Deletes sandboxes past their deadline, without an owner, or finished a while ago. One pod that stays, instead of a
 * CronJob's pod a minute: the control plane has enough pods to start. It may list and delete pods where the sandboxes
 * are, and list them in its own namespace.
 */
export class Reaper extends pulumi.ComponentResource {
  constructor(name: string, args: ReaperArgs, opts?: pulumi.ComponentResourceOptions) {
    super("swe-rl:sandbox:Reaper", name, args, opts);
    const { reaper } = args;
    const identity: Identity = {
      labels: args.labels,
      namespace: args.namespace,
      app: reaper.name,
      component: "sandbox",
    };
    const account = new k8s.core.v1.ServiceAccount(
      `${name}-account`,
      {
        metadata: leaf(identity, reaper.name),
        automountServiceAccountToken: false,
        ...pullSecrets(args.pullSecret),
      },
      { parent: this },
    );
    const rights = [
      { suffix: "sandboxes", namespace: args.sandboxNamespace, verbs: ["list", "delete"] },
      { suffix: "owners", namespace: args.namespace, verbs: ["list"] },
    ];
    for (const { suffix, namespace, verbs } of rights) {
      const metadata = leaf({ ...identity, namespace }, reaper.name);
      const role = new k8s.rbac.v1.Role(
        `${name}-${suffix}-role`,
        { metadata, rules: [{ apiGroups: [""], resources: ["pods"], verbs }] },
        { parent: this },
      );
      new k8s.rbac.v1.RoleBinding(
        `${name}-${suffix}-binding`,
        {
          metadata,
          roleRef: {
            apiGroup: "rbac.authorization.k8s.io",
            kind: "Role",
            name: role.metadata.name,
          },
          subjects: [
            { kind: "ServiceAccount", name: account.metadata.name, namespace: args.namespace },
          ],
        },
        { parent: this },
      );
    }
    const files = programs(
      `${name}-programs`,
      {
        identity: { ...identity, app: `${reaper.name}-programs` },
        program: "reaper",
      },
      { parent: this },
    );
    const selector = { [roleLabel]: "reaper" };
    new k8s.apps.v1.Deployment(
      name,
      {
        metadata: leaf(identity, reaper.name),
        spec: {
          replicas: 1,
          strategy: { type: "Recreate" },
          progressDeadlineSeconds: args.rolloutMinutes * 60,
          selector: { matchLabels: selector },
          template: {
            metadata: { labels: { ...labelsOf(identity), ...selector } },
            spec: {
              ...podBasis(args.nodes, account.metadata.name),
              automountServiceAccountToken: true,
              terminationGracePeriodSeconds: 10,
              securityContext: { seccompProfile: { type: "RuntimeDefault" } },
              containers: [container(args)],
              volumes: [{ name: "programs", configMap: { name: files } }],
            },
          },
        },
      },
      {
        parent: this,
        customTimeouts: { create: `${args.rolloutMinutes}m`, update: `${args.rolloutMinutes}m` },
      },
    );
    this.registerOutputs();
  }
}

function container(args: ReaperArgs): k8s.types.input.core.v1.Container {
  const { reaper } = args;
  const command = ["python3", "-u", "-B", `${programDirectory}/reap_sandboxes.py`];
  return {
    name: "reaper",
    image: args.image,
    command: reaper.dryRun ? [...command, "--dry-run"] : command,
    securityContext: {
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ["ALL"] },
    },
    env: [
      { name: "SANDBOX_NAMESPACE", value: args.sandboxNamespace },
      { name: "RUN_LABEL", value: reaper.runLabel },
      { name: "STACK", value: args.stack },
      { name: "OWNER_NAMESPACE", value: args.namespace },
      { name: "OWNER_PREFIX", value: reaper.ownerPrefix },
      { name: "RAY_JOBS_URL", value: args.jobsUrl },
      fromSecret("RAY_AUTH_TOKEN", args.rayToken),
      { name: "DEADLINE_SECONDS", value: String(reaper.deadlineSeconds) },
      { name: "LONGEST_DEADLINE_SECONDS", value: String(reaper.longestDeadlineSeconds) },
      { name: "STARTUP_SECONDS", value: String(reaper.startupSeconds) },
      { name: "GRACE_SECONDS", value: String(reaper.graceSeconds) },
      { name: "FINISHED_SECONDS", value: String(reaper.finishedSeconds) },
      { name: "ROUND_SECONDS", value: String(reaper.roundSeconds) },
      { name: "MOST_PER_ROUND", value: String(reaper.mostPerRound) },
    ],
    resources: resourcesOf(reaper.requests),
    volumeMounts: [{ name: "programs", mountPath: programDirectory, readOnly: true }],
  };
}
