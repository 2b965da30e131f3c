/** Free ports on the loopback address. */
import { randomInt } from "node:crypto";
import { createServer } from "node:net";
import { LabError } from "../problem.ts";

/** Below the ephemeral ports of Linux and macOS, so that a port stays free between restarts. */
const first = 20_000;
const last = 32_000;

/** Random, since two labs may start at the same time. */
export async function freePorts(count: number): Promise<number[]> {
  const ports = new Set<number>();
  for (let i = 0; i < 1000 && ports.size < count; i++) {
    const port = randomInt(first, last);
    if (!ports.has(port) && (await isFree(port))) ports.add(port);
  }
  if (ports.size < count) {
    throw new LabError(
      `Fewer than ${count} ports between ${first} and ${last} are free on 127.0.0.1. End other programs that listen there, then run the same command again.`,
    );
  }
  return [...ports];
}

async function isFree(port: number): Promise<boolean> {
  // Also tried without an address: a service on all addresses may hold the port.
  return (await canListen(port, "127.0.0.1")) && (await canListen(port));
}

async function canListen(port: number, host?: string): Promise<boolean> {
  const server = createServer();
  return await new Promise((resolve) => {
    server.once("error", () => {
      resolve(false);
    });
    server.listen({ port, host, exclusive: true }, () => {
      server.close(() => {
        resolve(true);
      });
    });
  });
}
