import type * as k8s from "@pulumi/kubernetes";
import type * as pulumi from "@pulumi/pulumi";
import { roleLabel } from "../../plan/network/index.ts";
import type { Reaper as ReaperPlan } from "../../plan/sandbox/index.ts";
import { grant } from "../grant.ts";
import type { Identity, Labels } from "../metadata.ts";
import { type Nodes, programMount, programVolume, resourcesOf, unprivileged } from "../pod.ts";
import { ProgramDeployment, type ProgramTransforms } from "../program-deployment.ts";
import { programDirectory } from "../runtime-program.ts";
import { fromSecret, type SecretKey } from "../secrets/stack-secrets.ts";

export interface ReaperArgs {
  reaper: ReaperPlan;
  stack: string;
  /** Image with Python 3. */
  image: pulumi.Input<string>;
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
  /** @default no change */
  transform?: ProgramTransforms;
}

/**
 * Deletes sandboxes past their deadline, without an owner, or finished a while ago. One pod that stays, instead of a
 * CronJob's pod a minute: the control plane has enough pods to start. It may list and delete pods where the sandboxes
 * are, and list them in its own namespace.
 */
export class Reaper extends ProgramDeployment {
  public readonly roles: readonly k8s.rbac.v1.Role[];

  constructor(name: string, args: ReaperArgs, opts?: pulumi.ComponentResourceOptions) {
    const { reaper, labels, namespace, rolloutMinutes } = args;
    const identity: Identity = { labels, namespace, app: reaper.name, component: "sandbox" };
    super(
      { type: "swe-rl:sandbox:Reaper", name, args },
      {
        identity,
        object: reaper.name,
        selector: { [roleLabel]: "reaper" },
        nodes: args.nodes,
        pullSecret: args.pullSecret,
        program: { folder: "reaper", app: `${reaper.name}-programs` },
        strategy: { type: "Recreate" },
        rolloutMinutes,
        deletion: "background",
        pod: (files) => ({
          automountServiceAccountToken: true,
          terminationGracePeriodSeconds: 10,
          securityContext: { seccompProfile: { type: "RuntimeDefault" } },
          containers: [container(args)],
          volumes: [programVolume(files)],
        }),
      },
      opts,
    );
    const account = { name: this.account.metadata.name, namespace };
    const mayPods = (suffix: string, where: Identity, verbs: string[]) =>
      grant(this, `${name}-${suffix}`, {
        identity: where,
        object: reaper.name,
        rules: [{ apiGroups: [""], resources: ["pods"], verbs }],
        account,
      }).role;
    this.roles = [
      mayPods("sandboxes", { ...identity, namespace: args.sandboxNamespace }, ["list", "delete"]),
      mayPods("owners", identity, ["list"]),
    ];
    this.registerOutputs({ deployment: this.deployment.metadata.name });
  }
}

function container(args: ReaperArgs): k8s.types.input.core.v1.Container {
  const { reaper } = args;
  const command = ["python3", "-u", "-B", `${programDirectory}/reap_sandboxes.py`];
  return {
    name: "reaper",
    image: args.image,
    command: reaper.dryRun ? [...command, "--dry-run"] : command,
    securityContext: unprivileged,
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
    volumeMounts: [programMount],
  };
}
