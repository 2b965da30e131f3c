import * as docker from "@pulumi/docker";
import * as pulumi from "@pulumi/pulumi";
import { attemptLabel } from "../../plan/attempts.ts";
import type { DockerHost } from "../../plan/docker/index.ts";
import { exceptAccepted, type Isolation, proofGateSeconds } from "../../plan/network/index.ts";
import type { WithImage } from "../images/reference.ts";
import type { Labels } from "../metadata.ts";
import { programDirectory } from "../runtime-program.ts";
import { gateEnvironment } from "../sandbox/entry-gate.ts";
import { containerBasis, endOfUpdate, memoryLimit, runToItsEnd } from "./container.ts";
import { sandboxBounds } from "./sandbox-files.ts";

export interface EgressProofArgs {
  host: DockerHost;
  isolation: WithImage<Isolation>;
  network: pulumi.Input<string>;
  /** What the result depends on beside the container itself: another one is another proof. */
  proves: pulumi.Input<string>;
  /** Changes if an earlier proof failed and is to be repeated. */
  attempt: string;
  labels: Labels;
}

const proofFile = `${programDirectory}/proof.json`;

/**
 * A container like a sandbox, which shows that it reaches the proxy and nothing else. A leak, or a doubt, ends the
 * update before training.
 */
export class EgressProof extends pulumi.ComponentResource {
  /** What it found, in a sentence. */
  public readonly verdict: pulumi.Output<string>;
  /** Itself if it proved; rejected otherwise, for whatever must not be made then to depend on. */
  public readonly passed: pulumi.Output<pulumi.Resource>;

  constructor(name: string, args: EgressProofArgs, opts?: pulumi.ComponentResourceOptions) {
    super("swe-rl:docker:EgressProof", name, args, opts);
    const { host, isolation } = args;
    const container = new docker.Container(
      name,
      {
        ...containerBasis({
          name: host.containers.proof,
          image: isolation.image,
          app: "egress-proof",
          component: "sandbox",
          labels: args.labels,
          marks: { [attemptLabel]: args.attempt },
          command: ["python3", "-u", `${programDirectory}/egress_probe.py`],
          environment: {
            PROOF: proofFile,
            PROVES: args.proves,
            ...gateVariables(args),
          },
          secrets: {},
          program: "egress_proof",
          files: { [proofFile]: proofSettings(args) },
        }),
        networksAdvanced: [{ name: args.network }],
        ...sandboxBounds,
        // Echo requests without a capability.
        sysctls: { "net.ipv4.ping_group_range": "0 2147483647" },
        ...memoryLimit(256 * 2 ** 20),
        ...runToItsEnd,
      },
      { parent: this, deleteBeforeReplace: true },
    );
    const found = pulumi
      .all([container.exitCode, container.containerLogs])
      .apply(([code, logs]) => read(code, logs, isolation));
    this.verdict = found.apply(({ words }) => words);
    this.passed = found.apply(({ proven, words }) => {
      if (!proven) throw refusal(words, host);
      return container;
    });
    this.registerOutputs({ verdict: this.verdict });
  }
}

function proofSettings({ host, isolation }: EgressProofArgs): string {
  const { targets, accepted, allowedPort } = isolation;
  return JSON.stringify({
    // A container's own name for itself: each proof is another one to the listeners.
    run: "$HOSTNAME",
    network: "docker",
    allowed_target: { address: host.addresses.allowedTarget, port: allowedPort },
    targets,
    accepted,
  });
}

/** The firewall comes at about the same time: what is open before is no finding. */
function gateVariables({ host, isolation }: EgressProofArgs): Record<string, string> {
  const { allowedPort, canaryPort, gate } = isolation;
  const { allowedTarget } = host.addresses;
  const proxy = `${allowedTarget}:${allowedPort}`;
  const plan = { ...gate, timeoutSeconds: proofGateSeconds };
  return gateEnvironment(plan, {
    canary: [`${allowedTarget}:${canaryPort}`],
    control: [proxy],
    proxy,
  });
}

function refusal(words: string, { host, containers }: DockerHost): pulumi.RunError {
  return endOfUpdate(
    `the egress proof of the sandboxes failed; nothing of the training was made or changed.\n${words}\nThe whole verdict: docker --host ${host} logs ${containers.proof}. The next pulumi up repeats the proof.`,
  );
}

/** The proof prints its verdict as a line of JSON, and a sentence of it after that. An exit code alone proves nothing. */
function read(
  code: number,
  logs: string,
  isolation: WithImage<Isolation>,
): { proven: boolean; words: string } {
  const lines = logs.trim().split("\n");
  const line = lines.find((one) => one.startsWith('{"proof"'));
  const shown = JSON.parse(line ?? "{}") as { verdict?: string; started?: string };
  if (code !== 0 || shown.verdict !== "proven") {
    const said = lines.findLast((one) => /^(leaks|unknown|egress_probe):/.test(one));
    return {
      proven: false,
      words: said ?? `The proof ended with exit code ${code}, and without a verdict.`,
    };
  }
  return {
    proven: true,
    words: `proven at ${shown.started ?? "an unknown time"}: a container in the sandbox network reached the proxy and none of ${isolation.targets.length} targets${exceptAccepted(isolation)}`,
  };
}
