import * as pulumi from "@pulumi/pulumi";
import * as random from "@pulumi/random";
import { programDirectory } from "../runtime-program.ts";

type Secret = pulumi.Output<string>;

/**
 * The generated credentials of a stack on a Docker host. `docker inspect` shows a container's environment and command
 * line to everyone who may use the daemon, so they hold none: credentials are files in the container, uploaded when it
 * is made, and `with_secrets.py` hands them to the program.
 */
export class Credentials extends pulumi.ComponentResource {
  public readonly rayToken: Secret;
  public readonly masterKey: Secret;
  public readonly sandboxKey: Secret;

  constructor(name: string, opts?: pulumi.ComponentResourceOptions) {
    super("swe-rl:docker:Credentials", name, {}, opts);
    const generate = (part: string) =>
      new random.RandomPassword(`${name}-${part}`, { length: 40, special: false }, { parent: this })
        .result;
    this.rayToken = pulumi.secret(generate("ray-token"));
    this.masterKey = pulumi.secret(pulumi.interpolate`sk-${generate("master-key")}`);
    this.sandboxKey = pulumi.secret(pulumi.interpolate`sk-${generate("sandbox-key")}`);
    this.registerOutputs();
  }
}

/** Directory of the credentials in a container: a file for each, named after the variable that takes it. */
export const secretDirectory = "/run/swe-rl-secrets";

/** A command that finds the container's credentials in its environment. */
export function withSecrets(command: readonly string[]): string[] {
  return ["python3", `${programDirectory}/with_secrets.py`, secretDirectory, "--", ...command];
}
