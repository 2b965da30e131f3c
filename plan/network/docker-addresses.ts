import type { DockerSubnets } from "../host.ts";
import { addressIn } from "./subnet.ts";

/**
 * Addresses that are known before anything runs. They lie in the lower half of a network; the upper one is what Docker
 * gives to containers that ask for none, of which the first would otherwise be given the proxy's.
 */
export interface FixedAddresses {
  /** The host, if it has an address there at all. */
  readonly sandboxGateway: string;
  readonly trainGateway: string;
  /** In the sandbox network: LiteLLM, and the listeners of the egress proof in its place and in another sandbox's. */
  readonly proxy: string;
  readonly allowedTarget: string;
  readonly peer: string;
  /** In the training network: the listener in Ray's place. */
  readonly ray: string;
}

export function fixedAddresses({ train, sandbox }: DockerSubnets): FixedAddresses {
  return {
    sandboxGateway: addressIn(sandbox, 1),
    trainGateway: addressIn(train, 1),
    proxy: addressIn(sandbox, 2),
    allowedTarget: addressIn(sandbox, 3),
    peer: addressIn(sandbox, 4),
    ray: addressIn(train, 2),
  };
}
