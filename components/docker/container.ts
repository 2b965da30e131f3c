import type * as docker from "@pulumi/docker";
import * as pulumi from "@pulumi/pulumi";
import { filesOf, type Program, programDirectory } from "../runtime-program.ts";
import type { Labels } from "../metadata.ts";
import { secretDirectory, withSecrets } from "./credentials.ts";
import { dockerLabels } from "./metadata.ts";

type ContainerArgs = docker.ContainerArgs;
type Upload = docker.types.input.ContainerUpload;

/** What a container of ours is. */
export interface Basis {
  readonly name: string;
  readonly image: pulumi.Input<string>;
  readonly app: string;
  readonly component: string;
  readonly labels: Labels;
  readonly command: readonly string[];
  readonly environment: Readonly<Record<string, pulumi.Input<string>>>;
  /** Credentials by the variable that takes them. */
  readonly secrets: Readonly<Record<string, pulumi.Input<string>>>;
  /** Beside what every container has: `runtime/docker` and `runtime/common`. */
  readonly program: Program;
  /** Other files, by their path in the container. */
  readonly files?: Readonly<Record<string, string>>;
  /** Labels of this container alone. */
  readonly marks?: Readonly<Record<string, string>>;
}

/** What all containers of a stack have in common. */
export function containerBasis(basis: Basis): ContainerArgs & { uploads: Upload[] } {
  const { labels, app, component } = basis;
  return {
    name: basis.name,
    image: basis.image,
    // The image's own entry point would run first, and read what it likes.
    entrypoints: withSecrets(basis.command),
    envs: variables(basis.environment),
    uploads: uploads(basis),
    labels: dockerLabels({ labels, app, component }, basis.marks),
    restart: "unless-stopped",
    init: true,
    securityOpts: ["no-new-privileges:true"],
    logDriver: "json-file",
    // Without these a run of weeks fills the disk of the daemon.
    logOpts: { "max-size": "100m", "max-file": "5" },
  };
}

/** Sorted: the daemon keeps their order, and another order would be another container. */
function variables(environment: Basis["environment"]): pulumi.Output<string>[] {
  return Object.entries(environment)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, value]) => pulumi.interpolate`${name}=${value}`);
}

function uploads({ program, secrets, files = {} }: Basis): Upload[] {
  return [
    ...Object.entries(filesOf(program, "docker")).map(([file, content]) => ({
      file: `${programDirectory}/${file}`,
      content,
    })),
    ...Object.entries(files).map(([file, content]) => ({
      file,
      content,
      ...(content.startsWith("#!") ? { executable: true } : {}),
    })),
    ...Object.entries(secrets).map(([name, content]) => ({
      file: `${secretDirectory}/${name}`,
      content: pulumi.secret(content),
    })),
  ];
}

/** Docker counts memory in MB of 2^20 bytes. */
export function megabytes(bytes: number): number {
  return Math.ceil(bytes / 2 ** 20);
}

/** No swap beside it: a process that is too big ends, instead of dragging the host down. */
export function memoryLimit(bytes: number): Pick<ContainerArgs, "memory" | "memorySwap"> {
  const memory = megabytes(bytes);
  return { memory, memorySwap: memory };
}

/** A health check that asks an HTTP server in the container itself, with what every image of ours has. */
export function httpHealth(
  url: string,
  limits: { startSeconds: number; retries: number },
): docker.types.input.ContainerHealthcheck {
  const ask = `import urllib.request as r; r.build_opener(r.ProxyHandler({})).open("${url}", timeout=5)`;
  return {
    tests: ["CMD", "python3", "-c", ask],
    interval: "5s",
    timeout: "10s",
    startPeriod: duration(limits.startSeconds),
    retries: limits.retries,
  };
}

/** A health check that connects to a port of the container itself. */
export function tcpHealth(port: number): docker.types.input.ContainerHealthcheck {
  const connect = `import socket; socket.create_connection(("127.0.0.1", ${port}), 2)`;
  return {
    tests: ["CMD", "python3", "-c", connect],
    interval: "2s",
    timeout: "5s",
    startPeriod: duration(30),
    retries: 5,
  };
}

/** As the daemon writes it back: another spelling would be a change at every update. */
function duration(seconds: number): string {
  const [hours, minutes, rest] = [
    Math.floor(seconds / 3600),
    Math.floor((seconds % 3600) / 60),
    seconds % 60,
  ];
  if (hours > 0) return `${hours}h${minutes}m${rest}s`;
  return minutes > 0 ? `${minutes}m${rest}s` : `${rest}s`;
}

/** Of a container that runs to its end before the update goes on, with what it printed as an output. */
export const runToItsEnd = {
  attach: true,
  logs: true,
  mustRun: false,
  restart: "no",
} as const;

/** An error with which an update ends. Pulumi shows the stack of whatever a resource or an output is rejected with. */
export function endOfUpdate(message: string): pulumi.RunError {
  const error = new pulumi.RunError(message);
  error.stack = error.message;
  return error;
}
