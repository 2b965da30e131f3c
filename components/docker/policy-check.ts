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
  /** Name of the container. */
  container: string;
  check: PolicyCheckPlan;
  /** The agents' way through LiteLLM. @default only the rollout servers are asked */
  way?: { proxy: Proxy; sandboxKey: pulumi.Output<string> };
  /** Changes if an earlier check failed and is to be repeated. */
  attempt: string;
}

/**
 * A container that has a completion of every rollout server, and, where agents go through LiteLLM, one of its whose
 * record has token ids and log-probabilities. The update fails with what it said last.
 */
export class PolicyCheck extends pulumi.ComponentResource {
  /** What it said at its end. */
  public readonly verdict: pulumi.Output<string>;
  /** Itself if it is served; rejected otherwise, for whatever must not be made then to depend on. */
  public readonly passed: pulumi.Output<pulumi.Resource>;

  constructor(name: string, args: PolicyCheckArgs, opts?: pulumi.ComponentResourceOptions) {
    super("swe-rl:docker:PolicyCheck", name, { check: args.check }, opts);
    const { host, check, way, trainer } = args;
    const container = new docker.Container(
      name,
      {
        ...containerBasis({
          name: args.container,
          image: trainer.image,
          app: name,
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
            ...(way && {
              PROXY_URL: `http://${host.containers.proxy}:${way.proxy.port}`,
              TRAJECTORIES_DIRECTORY: args.trials,
            }),
          },
          secrets: {
            RAY_AUTH_TOKEN: args.rayToken,
            ...(way && { SANDBOX_API_KEY: way.sandboxKey }),
          },
          program: "recorder",
        }),
        networksAdvanced: [{ name: args.network }],
        capabilities: { drops: ["ALL"] },
        ...memoryLimit(check.requests.memoryLimitBytes),
        volumes: way ? args.mounts.map((mount) => ({ ...mount, readOnly: true })) : [],
        ...runToItsEnd,
      },
      { parent: this, deleteBeforeReplace: true },
    );
    const found = pulumi
      .all([container.exitCode, container.containerLogs])
      .apply(([code, logs]) => ({ isServed: code === 0, said: endOf(logs) }));
    this.verdict = found.apply(({ said }) => said);
    this.passed = found.apply(({ isServed, said }) => {
      if (!isServed) throw refusal(said, host, args.container);
      return container;
    });
    this.registerOutputs({ verdict: this.verdict });
  }
}

/** Its last line, or from where it gave up, with what it shows of the run's end. */
function endOf(logs: string): string {
  const lines = logs.trim().split("\n");
  return lines.slice(lines.findLastIndex((line) => line.startsWith("check_policy: "))).join("\n");
}

function refusal(said: string, { host }: DockerHost, container: string): pulumi.RunError {
  return endOfUpdate(
    `the policy is not served.\n${said}\nThe whole check: docker --host ${host} logs ${container}. The next pulumi up repeats it.`,
  );
}
