import { readFileSync } from "node:fs";
import * as pulumi from "@pulumi/pulumi";
import type { GatePlan, Isolation } from "../../plan/network/index.ts";
import { gateContainer } from "../../plan/sandbox/index.ts";
import { hardened } from "../pod.ts";

/** Whom the gate probes, by address: sandboxes have no DNS. */
export interface GateTargets {
  /** `address:port` of the canary, one for each IP family. */
  readonly canary: readonly string[];
  /** For each of them the port of the same listener that must answer. */
  readonly control: readonly string[];
  /** `address:port` of the proxy. */
  readonly proxy: string;
}

/**
 * The container that holds a sandbox's own back until the network has closed around the pod. Whole and in plain values:
 * admission puts it into every sandbox, and demands it as it is. Its program is its command, so that nothing can be put
 * in its place.
 */
export function entryGate(plan: GatePlan, targets: GateTargets) {
  return {
    name: gateContainer,
    image: plan.image,
    imagePullPolicy: "IfNotPresent",
    command: ["python3", "-I", "-S", "-c", program()],
    env: Object.entries(gateEnvironment(plan, targets)).map(([name, value]) => ({ name, value })),
    resources: {
      requests: { cpu: "10m", memory: "32Mi", "ephemeral-storage": "16Mi" },
      limits: { memory: "64Mi", "ephemeral-storage": "16Mi" },
    },
    securityContext: hardened,
    terminationMessagePolicy: "FallbackToLogsOnError",
  };
}

/** What `runtime/egress_proof/entry_gate.py` finds in its environment. */
export function gateEnvironment(
  { timeoutSeconds, quietSeconds }: Pick<GatePlan, "timeoutSeconds" | "quietSeconds">,
  { canary, control, proxy }: GateTargets,
) {
  return {
    CANARY: canary.join(","),
    CONTROL: control.join(","),
    PROXY: proxy,
    TIMEOUT_SECONDS: String(timeoutSeconds),
    QUIET_SECONDS: String(quietSeconds),
  };
}

/**
 * @param allowedTarget Addresses of the listener in the proxy's place.
 * @param proxyUrl URL of the proxy by address; undefined where agent loops serve it on ports that are not known yet.
 */
export function gateTargets(
  { allowedPort, canaryPort }: Isolation,
  allowedTarget: pulumi.Output<string[]>,
  proxyUrl: pulumi.Output<string> | undefined,
): pulumi.Output<GateTargets> {
  return pulumi.all([allowedTarget, proxyUrl]).apply(([addresses, url]) => {
    const control = addresses.map((address) => authority(address, allowedPort));
    return {
      canary: addresses.map((address) => authority(address, canaryPort)),
      control,
      proxy: url === undefined ? (control[0] ?? "") : new URL(url).host,
    };
  });
}

function authority(address: string, port: number): string {
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}

function program(): string {
  return readFileSync(`${import.meta.dirname}/../../runtime/egress_proof/entry_gate.py`, "utf8");
}
