import * as docker from "@pulumi/docker";
import * as pulumi from "@pulumi/pulumi";
import { attemptLabel } from "../../plan/attempts.ts";
import type { DockerHost } from "../../plan/docker/index.ts";
import type { PolicyCheck as PolicyCheckPlan, Proxy } from "../../plan/serving/index.ts";
import { discoveryVariables } from "../inference/discovery.ts";
import { programDirectory } from "../runtime-program.ts";
import { containerBasis, endOfUpdate, memoryLimit, runToItsEnd } from "./container.ts";
import type { RecordsArgs } from "./recorder-container.ts";

export interface PolicyCheckArgs extends RecordsArgs {
  check: PolicyCheckPlan;
  proxy: Proxy;
  sandboxKey: pulumi.Output<string>;
  /** Changes if an earlier check failed and is to be repeated. */
  attempt: string;
}

/**
 * A container that has a completion of every rollout server, and one through LiteLLM whose record has token ids and
 * log-probabilities. The update fails with what it said last.
 */
export class PolicyCheck extends pulumi.ComponentResource {
  /** What it said at its end; rejected where that is no success. */
  public readonly served: pulumi.Output<string>;

  constructor(name: string, args: PolicyCheckArgs, opts?: pulumi.ComponentResourceOptions) {
    super("swe-rl:docker:PolicyCheck", name, { check: args.check }, opts);
    const { host, check, proxy, trainer } = args;
    const container = new docker.Container(
      name,
      {
        ...containerBasis({
          name: host.containers.policyCheck,
          image: trainer.image,
          app: "policy-check",
          component: "inference",
          labels: args.labels,
          // Another run, or another way to it, is another check.
          marks: {
            [attemptLabel]: args.attempt,
            "swe-rl.dev/run": trainer.fingerprint,
            "swe-rl.dev/proxy": check.fingerprint,
          },
          command: ["python3", "-u", `${programDirectory}/check_policy.py`],
          environment: {
            ...discoveryVariables({ ...args, ...trainer, ...check }),
            MODEL: check.model,
            PROXY_URL: `http://${host.containers.proxy}:${proxy.port}`,
            TRAJECTORIES_DIRECTORY: args.trials,
          },
          secrets: { RAY_AUTH_TOKEN: args.rayToken, SANDBOX_API_KEY: args.sandboxKey },
          program: "recorder",
        }),
        networksAdvanced: [{ name: args.network }],
        capabilities: { drops: ["ALL"] },
        ...memoryLimit(check.requests.memoryLimitBytes),
        volumes: args.mounts.map((mount) => ({ ...mount, readOnly: true })),
        ...runToItsEnd,
      },
      { parent: this, deleteBeforeReplace: true },
    );
    this.served = pulumi
      .all([container.exitCode, container.containerLogs])
      .apply(([code, logs]) => {
        const said = logs.trim().split("\n").at(-1) ?? "";
        if (code !== 0) throw refusal(said, host);
        return said;
      });
    this.registerOutputs({ served: this.served });
  }
}

function refusal(said: string, { host, containers }: DockerHost): pulumi.RunError {
  return endOfUpdate(
    `the policy is not served.\n${said}\nThe whole check: docker --host ${host} logs ${containers.policyCheck}. The next pulumi up repeats it.`,
  );
}
